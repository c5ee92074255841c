//! The alerts and the dashboard of the Helm chart: when alerts fire, where their links lead, and that there is data for each query.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::common::helm::{chart, compare, objects, rendered, root, run};
use crate::common::markdown::Page;
use crate::common::{SOON, certificate, issued, issuer};
use anyhow::{Context, Result, ensure};
use certwright::runtime::metrics::Metrics;
use certwright_cluster::{Operator, Pebble, Prometheus, TestNamespace};
use serde_json::{Value, json};

const TESTS: &str = "tests/fixtures/alerts/tests.yaml";
const PAGE: &str = "docs/alerts.md";
const ALERTMANAGER: &str = "deploy/monitoring/alertmanager.yaml";

#[test]
fn the_alerts_fire_when_they_should_and_only_then() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    fs::write(file("rules.yaml"), serde_yaml::to_string(&json!({ "groups": groups()? }))?)?;
    fs::copy(root().join(TESTS), file("tests.yaml"))?;
    run("promtool", &["check", "rules", &file("rules.yaml")])?;
    run("promtool", &["test", "rules", &file("tests.yaml")])?;
    Ok(())
}

#[test]
fn every_alert_is_tested_both_to_fire_and_not_to_fire() -> Result<()> {
    let tests: Value = serde_yaml::from_str(&fs::read_to_string(root().join(TESTS))?)?;
    let cases = tests["tests"].as_array().into_iter().flatten();
    let cases: Vec<&Value> = cases.filter_map(|test| test["alert_rule_test"].as_array()).flatten().collect();
    let tested = |fires: bool| -> BTreeSet<&str> {
        let cases = cases.iter().filter(|case| case["exp_alerts"].is_array() == fires);
        cases.filter_map(|case| case["alertname"].as_str()).collect()
    };
    let alerts = alerts()?;
    let there_are: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert["alert"].as_str()).collect();
    assert_eq!(tested(true), there_are, "alerts that are tested to fire, and those that there are");
    assert_eq!(tested(false), there_are, "alerts that are tested not to fire, and those that there are");
    Ok(())
}

#[test]
fn every_alert_leads_to_what_to_do_about_it() -> Result<()> {
    let page = Page::read(PAGE)?;
    let headings = page.anchors();
    let of_all = ["alerts", "which-alert-for-what", "what-to-do-first"];
    let mut led_to = BTreeSet::from(of_all.map(str::to_owned));
    for alert in alerts()? {
        let url = alert["annotations"]["runbook_url"].as_str().context("an alert without a runbook")?;
        let anchor =
            url.strip_prefix(&format!("{PAGE}#")).with_context(|| format!("{url} is another page"))?;
        led_to.insert(anchor.to_owned());
    }
    assert_eq!(led_to, headings, "where alerts lead, and the headings of docs/alerts.md");
    Ok(())
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_it_affects() -> Result<()> {
    let page = fs::read_to_string(root().join(PAGE))?;
    for alert in alerts()? {
        let (name, severity) = (&alert["alert"], &alert["labels"]["severity"]);
        let (name, severity) = (name.as_str().context("no name")?, severity.as_str().context("no severity")?);
        let (_, section) = page.split_once(&format!("\n## {name}\n\n")).context(name.to_owned())?;
        let (first, rest) = section.split_once("\n\n").context(name.to_owned())?;
        ensure!(first.starts_with(&format!("Severity: {severity}. Impact: ")), "{name}: {first}");
        ensure!(!rest.starts_with("## "), "{name}: nothing says what to do");
    }
    Ok(())
}

#[test]
fn by_default_an_alert_leads_to_the_page_of_its_version_and_the_rules_for_any_prometheus_are_the_same()
-> Result<()> {
    let groups = groups_with(&[])?;
    let page = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/v", env!("CARGO_PKG_VERSION"), "/docs/alerts.md");
    for alert in groups[0]["rules"].as_array().into_iter().flatten() {
        let name = alert["alert"].as_str().unwrap_or_default().to_lowercase();
        assert_eq!(alert["annotations"]["runbook_url"], format!("{page}#{name}"));
    }
    let rules = format!(
        "# The alerts of the Helm chart, for a Prometheus without its operator. Made by `make chart`; docs/on-call.md describes it.\n{}",
        serde_yaml::to_string(&json!({ "groups": groups }))?
    );
    compare(&root().join("deploy/monitoring/alerts.yaml"), &rules, "make chart")
}

#[test]
fn alertmanager_sends_what_is_critical_to_those_on_call_and_the_rest_to_teams() -> Result<()> {
    let file = root().join(ALERTMANAGER).display().to_string();
    run("amtool", &["check-config", &file])?;
    for alert in alerts()? {
        let label = |name: &str, value: &Value| format!("{name}={}", value.as_str().unwrap_or_default());
        let labels = [label("alertname", &alert["alert"]), label("severity", &alert["labels"]["severity"])];
        for (namespace, team) in
            [("shop", "chat-shop"), ("shop-eu", "chat-shop"), ("web", "chat-platform"), ("", "chat-platform")]
        {
            let test = ["config", "routes", "test", "--config.file", &file];
            let namespace = format!("namespace={namespace}");
            let receivers = run("amtool", &[&test[..], &[&labels[0], &labels[1], &namespace]].concat())?;
            let expected = match labels[1].as_str() {
                "severity=critical" => format!("on-call,{team}"),
                _ => team.to_owned(),
            };
            assert_eq!(receivers.trim(), expected, "{labels:?} {namespace}");
        }
    }
    Ok(())
}

#[test]
fn the_example_for_alertmanager_names_alerts_that_there_are_and_is_what_the_page_shows() -> Result<()> {
    let text = fs::read_to_string(root().join(ALERTMANAGER))?;
    let alerts = alerts()?;
    let alerts: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert["alert"].as_str()).collect();
    let words =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > "Certwright".len());
    let named: Vec<&str> = words.filter(|word| word.starts_with("Certwright")).collect();
    ensure!(named.len() > 5 && named.iter().all(|name| alerts.contains(name)), "{named:?}");
    let shown = Page::read("docs/on-call.md")?.blocks();
    let shown =
        shown.iter().find(|block| block.code.starts_with("route:\n  receiver:")).context("no routes")?;
    let (shown, real): (Value, Value) = (serde_yaml::from_str(&shown.code)?, serde_yaml::from_str(&text)?);
    assert_eq!(shown["route"]["routes"], real["route"]["routes"]);
    Ok(())
}

/// An increase is seen only from a value on, so what a new process does not have cannot be counted from 0.
#[test]
fn the_counters_of_the_tests_are_those_of_a_new_process() -> Result<()> {
    let metrics = Metrics::default();
    for kind in ["Certificate", "Issuer"] {
        metrics.reconciling(kind);
    }
    for server in ["acme.example.com", "acme.example.net"] {
        drop(metrics.acme_server(server));
    }
    let exposed = metrics.encode()?;
    let there_are: BTreeMap<String, f64> = exposed
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(series, value)| Some((labels(series), value.parse().ok()?)))
        .collect();
    let tests: Value = serde_yaml::from_str(&fs::read_to_string(root().join(TESTS))?)?;
    let mut counters = 0;
    for test in tests["tests"].as_array().into_iter().flatten() {
        for input in test["input_series"].as_array().into_iter().flatten() {
            let series = input["series"].as_str().context("no series")?;
            let values = input["values"].as_str().map_or_else(|| input["values"].to_string(), str::to_owned);
            // What succeeds raises no alert.
            let succeeds =
                ["succeeded", "answered", "progressed"].iter().any(|result| series.contains(result));
            if !series.contains("_total") || succeeds {
                continue;
            }
            counters += 1;
            assert_eq!(there_are.get(&labels(series)), Some(&0.0), "{series} of a new process");
            // A process that is asked for the first time may have counted already.
            assert!(values.starts_with(['0', '_']), "{series} begins with {values}");
        }
    }
    assert!(counters > 15, "only {counters} counters were looked at");
    Ok(())
}

#[tokio::test]
async fn prometheus_has_data_for_each_panel_of_the_dashboard_and_no_alert_is_due() -> Result<()> {
    TestNamespace::with("alerts", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).start().await?;
        let rules = json!({ "groups": groups()? });
        let prometheus = Prometheus::start(&ns.cluster, &[("a", &operator)], &rules).await?;
        prometheus.wait_data("certwright_leader == 1", SOON).await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("www", &["www.example.com"], "")).await?;
        issued(ns, "www").await?;
        // From here on, all counters increase.
        prometheus.wait_data("certwright_issuance_duration_seconds_count == 1", SOON).await?;
        ns.apply(&certificate("api", &["api.example.com"], "")).await?;
        issued(ns, "api").await?;
        let dashboard = fs::read_to_string(chart().join("files/dashboard.json"))?;
        let dashboard: Value = serde_json::from_str(&dashboard)?;
        let mut queries = 0;
        for panel in dashboard["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().context("no query")?.replace("$__rate_interval", "30s");
                let title = &panel["title"];
                prometheus.wait_data(&query, SOON).await.with_context(|| format!("the panel {title}"))?;
                queries += 1;
            }
        }
        assert!(queries > 15, "only {queries} queries");
        let on_the_wall = on_the_wall()?;
        assert_eq!(on_the_wall.len(), 5, "{on_the_wall:?}");
        for query in on_the_wall {
            prometheus.wait_data(&query, SOON).await?;
        }
        for rule in prometheus.rules().await? {
            assert_eq!(rule["health"], "ok", "{rule}");
            let alerts = rule["alerts"].as_array().into_iter().flatten();
            let firing = alerts.filter(|alert| alert["state"] == "firing");
            assert_eq!(firing.count(), 0, "{rule}");
        }
        Ok(())
    })
    .await
}

/// A series without the labels of the scraped target, with the others in order.
fn labels(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
    labels.retain(|label| !label.is_empty() && !label.starts_with("pod="));
    labels.sort_unstable();
    format!("{name}{{{}}}", labels.join(","))
}

/// The queries that docs/on-call.md puts on a wall.
fn on_the_wall() -> Result<Vec<String>> {
    let page = fs::read_to_string(root().join("docs/on-call.md"))?;
    let (_, section) = page.split_once("## What to put on a wall").context("no wall")?;
    let rows = section.lines().filter_map(|line| line.split_once("| `")?.1.split_once("` |"));
    Ok(rows.map(|(query, _)| query.to_owned()).collect())
}

fn alerts() -> Result<Vec<Value>> {
    let groups = groups()?;
    let rules = groups.as_array().into_iter().flatten().filter_map(|group| group["rules"].as_array());
    Ok(rules.flatten().cloned().collect())
}

/// The groups of the chart's PrometheusRule, whose alerts lead to the page in this repository.
fn groups() -> Result<Value> {
    groups_with(&["--set", &format!("prometheusRule.runbookURL={PAGE}")])
}

fn groups_with(arguments: &[&str]) -> Result<Value> {
    let enabled = ["--set", "prometheusRule.enabled=true"];
    let all = objects(&rendered(&[&enabled, arguments].concat())?)?;
    let rule = all.into_iter().find(|object| object["kind"] == "PrometheusRule");
    Ok(rule.context("the chart renders no PrometheusRule")?["spec"]["groups"].take())
}
