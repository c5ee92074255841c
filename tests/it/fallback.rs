//! A Certificate with several issuers, of which the first one cannot issue.

use std::time::Duration;

use crate::common::faults::{event, path, ready_behind_proxy, refusal, requests_to, steady};
use crate::common::{SOON, certificate, condition, issued, issuer, of_issuer, stays_as_it_is};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Pebble, TestNamespace};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

/// Falls back to the Issuer `second` after two seconds, or after two refused validations.
const FALLBACK: &str = "  fallbackIssuerRefs: [{ name: second }]\n  \
                        fallbackPolicy: { after: 2s, validationFailures: 2 }\n";

#[tokio::test]
async fn another_issuer_issues_whatever_prevents_the_first_one_and_a_renewal_begins_with_the_first()
-> Result<()> {
    TestNamespace::with("fallback", async |ns| {
        let (pebble, other) = (steady().start(&ns.cluster).await?, steady().start(&ns.cluster).await?);
        let operator = Operator::builder(ns).argument("--backoff-first", "1s").start().await?;
        let second = ready_behind_proxy(ns, &other, "second").await?;
        let says = |status, code| {
            let problem = json!({ "type": format!("urn:ietf:params:acme:error:{code}"), "detail": "no" });
            move || refusal(status, &problem)
        };
        type Cause = (&'static str, Box<dyn Fn() -> Action + Send + Sync>, &'static str);
        let causes: [Cause; 4] = [
            ("unreachable", Box::new(|| Action::Drop), "CAUnavailable"),
            ("broken", Box::new(says(500, "serverInternal")), "ServerInternal"),
            ("limited", Box::new(says(429, "rateLimited")), "RateLimited"),
            ("closed", Box::new(says(400, "accountDoesNotExist")), "IssuerNotReady"),
        ];
        let mut firsts = Vec::new();
        for (name, action, reason) in causes {
            let first = ready_behind_proxy(ns, &pebble, name).await?;
            first
                .script(move |request| if request.path == path::NEW_ORDER { action() } else { Action::Pass });
            firsts.push((name, reason, first));
        }
        // Nobody answers the CA's requests, and the operator does not check that.
        let refused = refusing(&pebble);
        ns.apply(&refused).await?;
        ns.wait_condition("issuer/refused", "Ready", "True", SOON).await?;
        let names = firsts.iter().map(|(name, ..)| *name).chain(["refused"]);
        for name in names.clone() {
            ns.apply(&falls_back(name, &host(ns, name))).await?;
        }
        for name in names {
            let status = issued(ns, name).await?["status"].clone();
            let by = &status["issuedBy"];
            ensure!(by["issuerRef"]["name"] == "second" && by["insteadOf"]["name"] == name, "{name}: {by}");
            let why = by["message"].as_str().unwrap_or_default();
            ensure!(!why.is_empty() && status["attempt"].is_null(), "{name}: {status}");
            ensure!(issuer_of(ns, name).await? == "second", "{name}");
            let (_, note) = event(ns, name, "FallingBack").await?;
            ensure!(
                note == format!("Issuer second is tried, because Issuer {name} could not issue: {why}"),
                "{note}"
            );
            let (_, note) = event(ns, name, "Issued").await?;
            ensure!(note.contains("Issuer second is used, because"), "{note}");
        }
        for (name, reason, _) in &firsts {
            let object = ns.get(&format!("certificate/{name}")).await?.context("it is gone")?;
            let found = object["status"]["issuedBy"]["reason"].as_str();
            ensure!(found == Some(reason), "{name}: {found:?}");
        }
        ensure!(requests_to(&second, path::NEW_ORDER).len() == 5, "one order for each");
        let metrics = operator.metrics().await?;
        ensure!(metrics.contains("certwright_fallback_issuances_total 5"), "{metrics}");
        stays_as_it_is(ns, "broken", Duration::from_secs(3)).await?;

        let (name, _, first) = &firsts[1];
        first.pass();
        ns.patch(
            &format!("certificate/{name}"),
            json!({ "metadata": { "annotations": { "certwright.dev/renew": "1" } } }),
        )
        .await?;
        let renewed =
            |object: &Value| object["status"]["revision"] == 2 && object["status"]["issuedBy"].is_null();
        ns.wait(&format!("certificate/{name}"), SOON, renewed).await?;
        ensure!(issuer_of(ns, name).await? == *name, "a renewal begins with the first issuer");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_issuer_that_works_is_the_only_one_that_is_asked() -> Result<()> {
    TestNamespace::with("fallback", async |ns| {
        let (pebble, other) = (steady().start(&ns.cluster).await?, steady().start(&ns.cluster).await?);
        let _operator = Operator::builder(ns).start().await?;
        let _first = ready_behind_proxy(ns, &pebble, "first").await?;
        let second = ready_behind_proxy(ns, &other, "second").await?;
        ns.apply(&falls_back("first", &host(ns, "first"))).await?;
        let status = issued(ns, "first").await?["status"].clone();
        ensure!(status["issuedBy"].is_null() && status["attempt"].is_null(), "{status}");
        ensure!(requests_to(&second, path::NEW_ORDER).is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wrong_spec_is_no_reason_to_ask_another_issuer() -> Result<()> {
    TestNamespace::with("fallback", async |ns| {
        let (pebble, other) = (steady().start(&ns.cluster).await?, steady().start(&ns.cluster).await?);
        let _operator = Operator::builder(ns).argument("--backoff-first", "1s").start().await?;
        let second = ready_behind_proxy(ns, &other, "second").await?;
        let first = ready_behind_proxy(ns, &pebble, "rejected").await?;
        let problem = json!({ "type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "no" });
        first.script(move |request| match request.path.as_str() {
            path::NEW_ORDER => refusal(400, &problem),
            _ => Action::Pass,
        });
        ns.apply(&falls_back("rejected", &host(ns, "rejected"))).await?;
        ns.apply(&falls_back("absent", &host(ns, "absent"))).await?;
        for (name, reason) in [("rejected", "RejectedIdentifier"), ("absent", "IssuerNotFound")] {
            let is =
                |object: &Value| condition(object, "Issuing").is_some_and(|(_, found, _)| found == reason);
            ns.wait(&format!("certificate/{name}"), SOON, is).await?;
        }
        stays_as_it_is(ns, "absent", Duration::from_secs(5)).await?;
        ensure!(requests_to(&second, path::NEW_ORDER).is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_fallback_that_cannot_be_used_is_named_and_used_once_it_can() -> Result<()> {
    TestNamespace::with("fallback", async |ns| {
        let (pebble, other) = (steady().start(&ns.cluster).await?, steady().start(&ns.cluster).await?);
        let operator = Operator::builder(ns).argument("--backoff-first", "600s").start().await?;
        let first = ready_behind_proxy(ns, &pebble, "first").await?;
        first.script(|_| Action::Drop);
        ns.apply(&falls_back("first", &host(ns, "first"))).await?;
        let words = ". Issuer second cannot be used instead: it does not exist";
        let says =
            |object: &Value| condition(object, "Issuing").is_some_and(|(.., found)| found.ends_with(words));
        ns.wait("certificate/first", SOON, says).await?;
        let _second = ready_behind_proxy(ns, &other, "second").await?;
        let status = issued(ns, "first").await?["status"].clone();
        ensure!(status["issuedBy"]["issuerRef"]["name"] == "second", "{status}");
        operator.restart().await?;
        stays_as_it_is(ns, "first", Duration::from_secs(3)).await
    })
    .await
}

/// A Certificate of the same name as its first Issuer.
fn falls_back(name: &str, host: &str) -> String {
    of_issuer(name, &certificate(name, &[host], FALLBACK))
}

fn host(ns: &TestNamespace, name: &str) -> String {
    format!("{name}.{}.example.com", ns.name)
}

/// An Issuer whose CA finds no answer to its challenges.
fn refusing(pebble: &Pebble) -> String {
    let yaml = issuer(&pebble.directory_url, &pebble.ca_pem, "");
    let solver = "{ selfCheck: { disabled: true }, http01: { ingress: { ingressClassName: nobody } } }";
    of_issuer("refused", &yaml.replace("{ http01: { ingress: { ingressClassName: router } } }", solver))
}

/// The issuer that the TLS Secret of a Certificate names.
async fn issuer_of(ns: &TestNamespace, name: &str) -> Result<String> {
    let secret = ns.api::<Secret>().get(&format!("{name}-tls")).await?;
    Ok(secret.annotations().get(certwright_api::ANNOTATION_ISSUER_NAME).cloned().unwrap_or_default())
}
