//! Reports of objects that cannot be read reach the API server, although it fails and although other objects change all the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::status;
use crate::common::{SOON, condition};
use anyhow::{Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Proxy, TestNamespace};
use serde_json::{Value, json};

/// How many times in a row the write fails.
const TIMES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_fails_is_retried_while_another_unreadable_object_keeps_changing() -> Result<()> {
    TestNamespace::with("stumble-report", async |ns| {
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let failed = Arc::new(AtomicUsize::new(0));
        let count = failed.clone();
        api.script(move |request| {
            let is_report = request.path.contains("/certificates/refused/status");
            match is_report && count.fetch_add(1, Ordering::Relaxed) < TIMES {
                true => status(500, "InternalError"),
                false => Action::Pass,
            }
        });
        let operator = Operator::builder(ns).api_server(&api.url).start().await?;
        ns.apply(&unreadable("busy")).await?;
        ns.apply(&unreadable("refused")).await?;
        let changing = async {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            for n in 0.. {
                ticks.tick().await;
                let change = json!({ "spec": { "secretName": format!("busy-{n}") } });
                ns.patch("certificate/busy", change).await?;
            }
            anyhow::Ok(())
        };
        let is_reported = |object: &Value| {
            condition(object, "Ready").is_some_and(|(_, reason, message)| {
                reason == "InvalidSpec" && message.starts_with("metadata.labels: larger than ")
            })
        };
        tokio::select! {
            reported = ns.wait("certificate/refused", SOON, is_reported) => reported.map(drop)?,
            failed = changing => failed?,
        }
        ensure!(failed.load(Ordering::Relaxed) > TIMES, "the write did not fail");
        let logs = operator.logs();
        let logged =
            logs.iter().filter(|line| line.contains("refused") && line.contains("until it is corrected"));
        ensure!(logged.count() == 1, "it is logged once: {logs:#?}");
        Ok(())
    })
    .await
}

/// A Certificate with more labels than the operator reads.
fn unreadable(name: &str) -> String {
    let labels: BTreeMap<_, _> = (0..200).map(|n| (format!("{n:0>60}"), "v".repeat(60))).collect();
    json!({
        "apiVersion": "certwright.dev/v1alpha1",
        "kind": "Certificate",
        "metadata": { "name": name, "labels": labels },
        "spec": { "secretName": name, "dnsNames": ["a.test"], "issuerRef": { "name": "none" } },
    })
    .to_string()
}
