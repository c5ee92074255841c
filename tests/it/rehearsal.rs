//! A Certificate whose failed validations are repeated at a CA for tests.

use crate::common::crash::{Killer, Run, When, walk};
use crate::common::faults::{event, path, ready_behind_proxy, requests_to, steady};
use crate::common::{SOON, certificate, condition, issued, of_issuer, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::RequestInfo;
use certwright_cluster::{Operator, Proxy, TestNamespace};
use serde_json::{Value, json};

const REHEARSAL: &str = "  rehearsalIssuerRef: { name: staging }\n";

#[tokio::test]
async fn after_a_failed_validation_the_ca_is_asked_again_once_a_rehearsal_has_passed() -> Result<()> {
    TestNamespace::with("rehearsal", async |ns| {
        let (pebble, other) = (steady().start(&ns.cluster).await?, steady().start(&ns.cluster).await?);
        let operator = Operator::builder(ns).argument("--backoff-first", "1s").start().await?;
        let production = ready_behind_proxy(ns, &pebble, "production").await?;
        let staging = ready_behind_proxy(ns, &other, "staging").await?;
        for name in ["production", "staging"] {
            leads_to(ns, name, "nobody").await?;
        }
        ns.apply(&rehearses(ns)).await?;
        fails(ns, 3).await?;
        ensure!(requests_to(&production, path::NEW_ORDER).len() == 1, "production waits for the rehearsal");
        let (_, note) = event(ns, "web", "Rehearsing").await?;
        let wanted = "Issuer staging is asked to validate the names, until it succeeds; then Issuer production is asked again";
        ensure!(note == wanted, "{note}");
        let words = "Issuer staging is asked first, because Issuer production could not validate the names";
        let says = |object: &Value| condition(object, "Issuing").is_some_and(|(.., found)| found.contains(words));
        let object = ns.wait("certificate/web", SOON, says).await?;
        ensure!(object["status"]["attempt"]["rehearses"] == true, "{object}");
        operator.restart().await?;

        for name in ["production", "staging"] {
            leads_to(ns, name, "router").await?;
        }
        let status = issued(ns, "web").await?["status"].clone();
        ensure!(status["attempt"].is_null() && status["issuedBy"].is_null(), "{status}");
        event(ns, "web", "Rehearsed").await?;
        ensure!(requests_to(&production, path::NEW_ORDER).len() == 2, "once more");
        ensure!(requests_to(&production, path::FINALIZE).len() == 1);
        ensure!(requests_to(&staging, path::FINALIZE).is_empty(), "no certificate of the CA for tests");
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn without_a_rehearsal_issuer_that_can_be_used_the_ca_is_asked_as_usual() -> Result<()> {
    TestNamespace::with("rehearsal", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--backoff-first", "1s").start().await?;
        let production = ready_behind_proxy(ns, &pebble, "production").await?;
        leads_to(ns, "production", "nobody").await?;
        ns.apply(&rehearses(ns)).await?;
        let (_, note) = event(ns, "web", "RehearsalSkipped").await?;
        let wanted = "Issuer staging cannot be used, so Issuer production is asked again: it does not exist";
        ensure!(note == wanted, "{note}");
        fails(ns, 2).await?;
        ensure!(requests_to(&production, path::NEW_ORDER).len() > 1);
        leads_to(ns, "production", "router").await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_one_certificate_and_nothing_of_the_rehearsal() -> Result<()> {
    walk(10, |point| issuance(point, When::Answered)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_leaves_one_certificate_and_nothing_of_the_rehearsal() -> Result<()> {
    walk(10, |point| issuance(point, When::NotSent)).await
}

/// One issuance whose first validation fails, with a crash at the write `point`.
async fn issuance(point: usize, when: When) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("rehearsal-crash", async |ns| {
        let (pebble, other) = (steady().start(&ns.cluster).await?, steady().start(&ns.cluster).await?);
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let operator =
            Operator::builder(ns).api_server(&api.url).argument("--backoff-first", "1s").start().await?;
        let production = ready_behind_proxy(ns, &pebble, "production").await?;
        let staging = ready_behind_proxy(ns, &other, "staging").await?;
        leads_to(ns, "production", "nobody").await?;
        let killer = Killer::new(when, point, finalizes);
        [&production, &staging, &api].into_iter().for_each(|proxy| killer.stand_at(proxy));
        killer.arm(&operator)?;
        ns.apply(&rehearses(ns)).await?;
        let mended = async {
            staging.wait_request(SOON, |record| record.path == path::NEW_ORDER).await?;
            leads_to(ns, "production", "router").await
        };
        let at_rest = |object: &Value| {
            let status = &object["status"];
            let left = [&status["attempt"], &status["order"], &object["metadata"]["finalizers"]];
            status["revision"] == 1 && left.iter().all(|left| left.is_null())
        };
        let issued = killer.until(ns.wait("certificate/web", SOON, at_rest), &operator);
        tokio::try_join!(mended, issued)?;
        ns.wait("certificate/web", SOON, at_rest).await?;
        let heard = killer.heard();
        ensure!(heard.len() == 1 && heard.values().all(|times| *times == 1), "finalized once: {heard:?}");
        ensure!(requests_to(&staging, path::FINALIZE).is_empty(), "no certificate of the CA for tests");
        wait_nothing_left(ns).await?;
        run = Some(killer.run().await?);
        Ok(())
    })
    .await?;
    run.context("the issuance did not end")
}

fn rehearses(ns: &TestNamespace) -> String {
    let host = format!("web.{}.example.com", ns.name);
    of_issuer("production", &certificate("web", &[&host], REHEARSAL))
}

/// The CA of this Issuer is led to this Ingress class, and the operator does not check that.
async fn leads_to(ns: &TestNamespace, issuer: &str, class: &str) -> Result<()> {
    let http01 = json!({ "ingress": { "ingressClassName": class } });
    let solvers = json!([{ "selfCheck": { "disabled": class != "router" }, "http01": http01 }]);
    let issuer = format!("issuer/{issuer}");
    let patched = ns.patch(&issuer, json!({ "spec": { "acme": { "solvers": solvers } } })).await?;
    let generation = patched["metadata"]["generation"].as_i64();
    // The operator has seen the change.
    let seen = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|one| one["observedGeneration"].as_i64() >= generation)
    };
    ns.wait(&issuer, SOON, seen).await?;
    Ok(())
}

/// Waits until this many attempts have failed.
async fn fails(ns: &TestNamespace, times: i64) -> Result<()> {
    let has = |object: &Value| object["status"]["failedIssuanceAttempts"].as_i64() >= Some(times);
    ns.wait("certificate/web", SOON, has).await?;
    Ok(())
}

fn finalizes(request: &RequestInfo) -> bool {
    request.path.starts_with(path::FINALIZE)
}
