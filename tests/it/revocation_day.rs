//! A CA will revoke many certificates, and its renewal information says so (RFC 9773): all are replaced at the CA's pace, those that
//! it will revoke first before the others, and people can follow it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::common::faults::path::RENEWAL_INFO;
use crate::common::overheard::{NEW_ORDER, Overheard};
use crate::common::program::certwright;
use crate::common::{SOON, certificate, issuer, revision};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use certwright_runtime::clock;
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::json;

const CERTIFICATES: usize = 30;
/// How many orders are in progress at a time.
const SLOTS: usize = 2;
/// A CA is asked again after a minute at the earliest.
const ASKED_AGAIN: Duration = Duration::from_secs(100);

/// What the CA does.
#[derive(Default)]
struct Ca {
    /// The certificates that it has been asked about before the day, which it will revoke, and whether it revokes them soon.
    revoked: BTreeMap<String, bool>,
    is_the_day: bool,
    /// Whether it answers new orders on that day.
    is_able: bool,
}

impl Ca {
    fn renewal_info(&mut self, id: &str) -> Action {
        if !self.is_the_day {
            let soon = self.revoked.len() % 2 == 1;
            self.revoked.entry(id.to_owned()).or_insert(soon);
        }
        let days = match self.revoked.get(id).filter(|_| self.is_the_day) {
            Some(true) => (-3, -2),
            Some(false) => (-2, -1),
            None => (50, 51),
        };
        let at = |days: i64| clock::now() + SignedDuration::from_hours(24 * days);
        let window = json!({ "suggestedWindow": { "start": at(days.0), "end": at(days.1) } });
        let headers = vec![("retry-after", "60".to_owned())];
        Action::Respond { status: 200, headers, body: window.to_string() }
    }
}

#[tokio::test]
async fn all_certificates_that_a_ca_will_revoke_are_replaced_and_first_those_that_it_revokes_first()
-> Result<()> {
    TestNamespace::with("revocation-day", async |ns| {
        let pebble = Pebble::builder()
            .always_valid()
            .certificate_validity(Duration::from_secs(90 * 86_400))
            .start(&ns.cluster)
            .await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let (heard, ca) = (Overheard::default(), Arc::new(Mutex::new(Ca::default())));
        let answers = ca.clone();
        heard.script(&proxy, move |said| {
            let mut ca = answers.lock();
            match said.path.strip_prefix(RENEWAL_INFO) {
                Some(id) => ca.renewal_info(id),
                None if said.path == NEW_ORDER && ca.is_the_day && !ca.is_able => Action::Hang,
                None => Action::Pass,
            }
        });
        let operator =
            Operator::builder(ns).argument("--orders-per-account", &SLOTS.to_string()).start().await?;
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let names: Vec<String> = (0..CERTIFICATES).map(|n| format!("web-{n}")).collect();
        let objects = names.iter().map(|name| certificate(name, &[&format!("{name}.example.com")], ""));
        ns.apply(&objects.collect::<Vec<_>>().join("\n---\n")).await?;
        for name in &names {
            revision(ns, name, 1).await?;
        }
        ensure!(ca.lock().revoked.len() == names.len(), "the CA was asked about each");
        ca.lock().is_the_day = true;

        // The CA does not answer the first two orders in time. Meanwhile, all others become due, and wait.
        let queued = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(500));
            while metric(&operator, "certwright_issuances_queued").await? < names.len() - SLOTS {
                ticks.tick().await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(ASKED_AGAIN, queued).await.context("not all became due")??;
        let listed = async {
            while certwright(ns, &["list", "--renewing"]).await?.ended(0)?.output.lines().skip(1).count()
                < names.len() - SLOTS
            {}
            anyhow::Ok(())
        };
        tokio::time::timeout(SOON, listed).await.context("not all are listed")??;

        ca.lock().is_able = true;
        heard.forget();
        for name in &names {
            revision(ns, name, 2).await?;
        }
        let orders = heard.those(|said| said.path == NEW_ORDER);
        let revoked = ca.lock().revoked.clone();
        // A request that was not answered in time is sent again.
        let mut replaced: Vec<&str> = Vec::new();
        for id in orders.iter().filter_map(|said| said.payload["replaces"].as_str()) {
            if !replaced.contains(&id) {
                replaced.push(id);
            }
        }
        ensure!(replaced.len() == names.len(), "each is replaced: {replaced:?}");
        // The first two may be any.
        let soon: Vec<bool> = replaced.iter().filter_map(|id| revoked.get(*id).copied()).collect();
        ensure!(!soon[CERTIFICATES / 2 + SLOTS..].contains(&true), "{soon:?}");
        for name in &names {
            let web = ns.get(&format!("certificate/{name}")).await?.context("it is gone")?;
            ensure!(
                web["status"]["failedIssuanceAttempts"].is_null() && web["status"]["revision"] == 2,
                "{web:#}"
            );
        }
        Ok(())
    })
    .await
}

async fn metric(operator: &Operator, name: &str) -> Result<usize> {
    let metrics = operator.metrics().await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.context("no such metric")?.parse()?)
}
