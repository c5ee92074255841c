//! The operator is killed after or before each of its writes while it goes from one issuer to another.

use crate::common::crash::{Killer, Run, When, walk};
use crate::common::faults::{path, ready_behind_proxy, refusal, requests_to, steady};
use crate::common::{SOON, certificate, of_issuer, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{Operator, Proxy, TestNamespace};
use serde_json::{Value, json};

const FALLBACK: &str = "  fallbackIssuerRefs: [{ name: second }]\n  fallbackPolicy: { after: 1s }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_one_certificate_from_the_second_issuer() -> Result<()> {
    walk(10, |point| issuance(point, When::Answered)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_leaves_one_certificate_from_the_second_issuer() -> Result<()> {
    walk(10, |point| issuance(point, When::NotSent)).await
}

/// One issuance with a crash at the write `point`.
async fn issuance(point: usize, when: When) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("fallback-crash", async |ns| {
        let (pebble, other) = (steady().start(&ns.cluster).await?, steady().start(&ns.cluster).await?);
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let operator =
            Operator::builder(ns).api_server(&api.url).argument("--backoff-first", "1s").start().await?;
        let first = ready_behind_proxy(ns, &pebble, "first").await?;
        let second = ready_behind_proxy(ns, &other, "second").await?;
        let problem = json!({ "type": "urn:ietf:params:acme:error:serverInternal", "detail": "no" });
        // The first CA fails when there is already an order with presented answers.
        first.script(move |request| match request.path.starts_with(path::CHALLENGE) {
            true => refusal(500, &problem),
            false => Action::Pass,
        });
        let killer = Killer::new(when, point, finalizes);
        [&second, &api].into_iter().for_each(|proxy| killer.stand_at(proxy));
        killer.arm(&operator)?;
        let host = format!("web.{}.example.com", ns.name);
        ns.apply(&of_issuer("first", &certificate("web", &[&host], FALLBACK))).await?;
        let at_rest = |object: &Value| {
            let status = &object["status"];
            status["issuedBy"]["issuerRef"]["name"] == "second"
                && [&status["attempt"], &status["order"], &object["metadata"]["finalizers"]]
                    .iter()
                    .all(|left| left.is_null())
        };
        killer.until(ns.wait("certificate/web", SOON, at_rest), &operator).await?;
        ns.wait("certificate/web", SOON, at_rest).await?;
        let heard = killer.heard();
        ensure!(heard.len() == 1 && heard.values().all(|times| *times == 1), "finalized once: {heard:?}");
        ensure!(requests_to(&first, path::FINALIZE).is_empty(), "the first CA has failed");
        wait_nothing_left(ns).await?;
        run = Some(killer.run().await?);
        Ok(())
    })
    .await?;
    run.context("the issuance did not end")
}

fn finalizes(request: &RequestInfo) -> bool {
    request.path.starts_with(path::FINALIZE)
}
