//! Each incident of docs/alerts.md happens: its objects show the reason, its alerts find them, and both lead to what to do.

mod authorities;
mod cluster;
mod names;
mod operators;
mod scene;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use crate::common::faults::event;
use crate::common::markdown::Page;
use crate::common::program::alone;
use crate::common::{SOON, condition};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Prometheus, TestNamespace};
use futures::future::{FutureExt, LocalBoxFuture, join_all, try_join_all};
use serde_json::{Value, json};

use self::scene::{FINE, OPERATOR, STANDBY, Scene};

const RULES: &str = "deploy/monitoring/alerts.yaml";
const PAGE: &str = "docs/alerts.md";
/// Longer than an issuance may wait until an alert says so.
const LATER: Duration = Duration::from_secs(2 * 3600);

/// What happened, and how it is seen.
#[derive(Default)]
struct Happened {
    /// The reasons that objects show from now on.
    reasons: Vec<Told>,
    /// The alerts, and the labels of what they find.
    alerts: Vec<(&'static str, Labels)>,
    /// Servers that are needed until the end.
    _kept: Vec<Box<dyn Any>>,
}

type Labels = Vec<(&'static str, String)>;

/// The label of an object's name.
fn named(name: &str) -> Labels {
    vec![("name", name.to_owned())]
}

/// The label of a reason.
fn because(reason: &str) -> Labels {
    vec![("reason", reason.to_owned())]
}

/// Where a reason is.
enum Told {
    /// In this condition of an object.
    Condition(&'static str, &'static str, &'static str),
    /// In an event about the object with this name.
    Event(&'static str, &'static str),
}

type Happens = for<'a> fn(&'a Scene<'a>) -> LocalBoxFuture<'a, Result<Happened>>;

/// The rows of the table in docs/alerts.md, and how each of them happens.
const INCIDENTS: [(&str, Happens); 15] = [
    ("The CA is down or cannot be reached", |scene| authorities::goes_down(scene).boxed_local()),
    ("The token of a DNS provider has expired", |scene| names::token_expires(scene).boxed_local()),
    ("A provider webhook does not answer in time", |scene| names::webhook_hangs(scene).boxed_local()),
    ("Port 80 is blocked", |scene| names::port_is_blocked(scene).boxed_local()),
    ("The ingress class is wrong", |scene| names::class_is_wrong(scene).boxed_local()),
    ("The CA limits the rate", |scene| authorities::limits_the_rate(scene).boxed_local()),
    ("A CAA record forbids the CA", |scene| authorities::is_forbidden(scene).boxed_local()),
    ("The external account binding has expired", |scene| authorities::binding_expires(scene).boxed_local()),
    ("The CA has deactivated the account", |scene| authorities::deactivates(scene).boxed_local()),
    ("A Secret is deleted again and again", |scene| cluster::secret_is_deleted(scene).boxed_local()),
    ("A node's clock is off", |scene| operators::clock_is_off(scene).boxed_local()),
    ("No replica leads", |scene| operators::nobody_leads(scene).boxed_local()),
    ("The Secret is new, and an old certificate is served", |scene| {
        cluster::old_one_is_served(scene).boxed_local()
    }),
    ("Another certificate is served, or a controller's default one", |scene| {
        cluster::another_is_served(scene).boxed_local()
    }),
    ("The operator sees no changes", |scene| operators::sees_nothing(scene).boxed_local()),
];

#[tokio::test]
async fn each_incident_is_told_by_its_objects_found_by_its_alerts_and_explained() -> Result<()> {
    TestNamespace::with("incidents", async |ns| {
        TestNamespace::with("standby", async |apart| {
            let scene = Scene::start(ns, apart).await?;
            let alerts = Alerts::watch(&scene).await?;
            let happening = INCIDENTS.map(|(what, happens)| {
                let happening = happens(&scene);
                async move { anyhow::Ok((what, happening.await.context(what)?)) }
            });
            let incidents: Vec<(&str, Happened)> = try_join_all(happening).await?;
            scene.clock.leap(LATER)?;
            let found = incidents.iter().map(|(what, happened)| {
                let (scene, alerts) = (&scene, &alerts);
                async move { is_found(scene, alerts, happened).await.context(*what).err() }
            });
            let wrong: Vec<String> =
                join_all(found).await.iter().flatten().map(|error| format!("{error:#}")).collect();
            ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
            alerts.are_silent_about(FINE).await?;
            let expected = incidents.iter().map(|(what, happened)| row(what, happened));
            assert_eq!(table()?, BTreeMap::from_iter(expected), "the table in {PAGE}, and what was found");

            // If all replicas are gone, there are no metrics.
            scene.ground.operator.kill9()?;
            scene.standby.kill9()?;
            alerts.find("CertwrightNoLeader", &[("job", "")]).await
        })
        .await
    })
    .await
}

/// Waits until the reasons are shown and the alerts find what has happened, and checks that they lead to what to do.
async fn is_found(scene: &Scene<'_>, alerts: &Alerts, happened: &Happened) -> Result<()> {
    for told in &happened.reasons {
        let reason = match told {
            Told::Condition(object, type_, reason) => {
                let has =
                    |object: &Value| condition(object, type_).is_some_and(|(_, found, _)| found == *reason);
                scene.ns.wait(object, SOON, has).await?;
                *reason
            }
            Told::Event(name, reason) => {
                event(scene.ns, name, reason).await?;
                *reason
            }
        };
        let explained = alone(&["explain", reason]).await?.ended(0)?.output;
        ensure!(explained.lines().count() > 2, "{reason}: {explained}");
    }
    for (alert, labels) in &happened.alerts {
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(label, value)| (*label, value.as_str())).collect();
        alerts.find(alert, &labels).await?;
        let link = alerts.rule(alert)?["annotations"]["runbook_url"].as_str().context("no runbook")?;
        let (_, anchor) = link.split_once(&format!("/{PAGE}#")).with_context(|| link.to_owned())?;
        ensure!(Page::read(PAGE)?.anchors().contains(anchor), "{link} leads nowhere");
    }
    Ok(())
}

/// The rules for any Prometheus, and a Prometheus that watches the operators of the scene.
struct Alerts {
    rules: Vec<Value>,
    prometheus: Prometheus,
}

impl Alerts {
    async fn watch(scene: &Scene<'_>) -> Result<Self> {
        let root = env!("CARGO_MANIFEST_DIR");
        let file: Value = serde_yaml::from_str(&fs::read_to_string(format!("{root}/{RULES}"))?)?;
        let rules = file["groups"][0]["rules"].as_array().context("no rules")?.clone();
        let operators = [(OPERATOR, &scene.ground.operator), (STANDBY, &scene.standby)];
        let prometheus = Prometheus::start(&scene.ns.cluster, &operators, &json!({ "groups": [] })).await?;
        for (name, _) in operators {
            prometheus.wait_sample("certwright_leader", &[("pod", name)], SOON).await?;
        }
        Ok(Self { rules, prometheus })
    }

    fn rule(&self, alert: &str) -> Result<&Value> {
        self.rules.iter().find(|rule| rule["alert"] == alert).context(alert.to_owned())
    }

    /// Waits until the expression of an alert has a sample with these labels. How long that has to last is what the tests of
    /// promtool are about.
    async fn find(&self, alert: &str, labels: &[(&str, &str)]) -> Result<()> {
        let expression = self.rule(alert)?["expr"].as_str().context("no expression")?;
        self.prometheus.wait_sample(expression, labels, SOON).await.context(alert.to_owned())
    }

    /// No alert finds objects with this name.
    async fn are_silent_about(&self, name: &str) -> Result<()> {
        for rule in &self.rules {
            for sample in self.prometheus.query(rule["expr"].as_str().context("no expression")?).await? {
                ensure!(sample["metric"]["name"] != name, "{}: {sample}", rule["alert"]);
            }
        }
        Ok(())
    }
}

/// The alerts and the reasons of an incident.
type Row = (BTreeSet<String>, BTreeSet<String>);

fn row(what: &str, happened: &Happened) -> (String, Row) {
    let alerts = happened.alerts.iter().map(|(alert, _)| (*alert).to_owned());
    let reasons = happened.reasons.iter().map(|told| match told {
        Told::Condition(.., reason) | Told::Event(_, reason) => (*reason).to_owned(),
    });
    (what.to_owned(), (alerts.collect(), reasons.collect()))
}

/// The table of incidents in the documentation.
fn table() -> Result<BTreeMap<String, Row>> {
    let page = Page::read(PAGE)?.text;
    let (_, table) = page.split_once("| --- |").context("no table")?;
    let rows = table.lines().skip(1).take_while(|line| line.starts_with("| "));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [what, alerts, reasons] = cells[..] else { anyhow::bail!("{row}") };
        Ok((what.to_owned(), (linked(alerts), linked(reasons))))
    })
    .collect()
}

/// The texts of the links in a cell of a table.
fn linked(cell: &str) -> BTreeSet<String> {
    let links = cell.split('[').skip(1).filter_map(|rest| rest.split_once("]("));
    links.map(|(text, _)| text.trim_matches('`').to_owned()).collect()
}
