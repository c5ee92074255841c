//! Certificates are revoked on request, when they are replaced, and when their Certificate is deleted; and a CA that does not
//! revoke delays nothing.

mod deletion;
mod refused;

use crate::common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::faults::{change_json, event, path, payload, requests_to, steady};
use crate::common::{
    SOON, Tls, certificate, condition, hang, hold, issued, issuer, ready, revision, stays_as_it_is, tls,
};
use anyhow::{Context, Result, ensure};
use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Pebble's path for revokeCert.
const REVOKE: &str = "/revoke-cert";
const ON_REPLACE: &str = "  revocation: { onReplace: superseded }\n";
const ON_DELETE: &str = "  revocation: { onDelete: cessationOfOperation }\n";
/// Long enough for anything that waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_request_revokes_the_certificate_and_another_one_takes_its_place() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, operator) = ready(ns).await?;
        ns.apply(
            &certificate("web", &["a.example.com"], "").replace("ECDSA", "ECDSA, rotationPolicy: Never"),
        )
        .await?;
        revision(ns, "web", 1).await?;
        let first = tls(ns, "web-tls").await?;

        ask(ns, "superseded").await?;
        revision(ns, "web", 2).await?;
        let second = tls(ns, "web-tls").await?;
        assert_eq!(status(&pebble, &first).await?, ("Revoked".to_owned(), 4));
        assert_eq!(status(&pebble, &second).await?, ("Valid".to_owned(), 0));
        assert_eq!(second.key_pem, first.key_pem, "the key is as good as it was");

        ask(ns, "keyCompromise").await?;
        revision(ns, "web", 3).await?;
        let third = tls(ns, "web-tls").await?;
        assert_eq!(status(&pebble, &second).await?, ("Revoked".to_owned(), 1));
        assert_eq!(status(&pebble, &third).await?, ("Valid".to_owned(), 0));
        assert!(third.key_pem != second.key_pem, "a compromised key is used again");

        let web = at_rest(ns).await?;
        let revocation = &web["status"]["revocation"];
        assert_eq!(revocation["observedRequest"], "keyCompromise");
        assert_eq!(revocation["certificates"], Value::Null);
        let last = &revocation["last"];
        assert_eq!(last["serialNumber"], json!(serial(&second)));
        assert_eq!((&last["reason"], &last["cause"]), (&json!("keyCompromise"), &json!("Requested")));
        let (is, reason, message) = condition(&web, "Revocation").context("no condition")?;
        assert_eq!((is.as_str(), reason.as_str()), ("True", "Revoked"));
        assert_eq!(message, format!("The certificate {} is revoked: keyCompromise", serial(&second)));
        let (kind, note) = event(ns, "web", "Revoked").await?;
        assert_eq!(kind, "Normal");
        assert!(note.contains("signed by the account"), "{note}");
        assert!(metric(&operator, "succeeded", "keyCompromise").await?, "it is not counted");
        stays_as_it_is(ns, "web", AT_ONCE).await
    })
    .await
}

#[tokio::test]
async fn a_request_for_a_reason_that_there_is_not_is_refused_with_a_sentence() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        ask(ns, "compromised").await?;
        let message = revocation(ns, "InvalidRevocationReason").await?;
        assert!(message.contains("with the invalid reason 'compromised'; nothing is revoked"), "{message}");
        assert!(message.contains("Use one of unspecified, keyCompromise, "), "{message}");
        assert_eq!(event(ns, "web", "InvalidRevocationReason").await?, ("Warning".to_owned(), message));
        assert_eq!(status(&pebble, &tls(ns, "web-tls").await?).await?.0, "Valid");
        stays_as_it_is(ns, "web", AT_ONCE).await?;

        ns.patch("certificate/web", json!({"metadata": {"annotations": {"certwright.dev/revoke": null}}}))
            .await?;
        let gone =
            |web: &Value| condition(web, "Revocation").is_none() && web["status"]["revocation"].is_null();
        ns.wait("certificate/web", SOON, gone).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_request_without_a_certificate_says_so_and_is_not_for_the_next_one() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, _operator) = ready(ns).await?;
        let annotated = "metadata: { name: web, annotations: { certwright.dev/revoke: superseded } }";
        ns.apply(&certificate("web", &["a.example.com"], "").replace("metadata: { name: web }", annotated))
            .await?;
        revocation(ns, "NothingToRevoke").await?;
        revision(ns, "web", 1).await?;
        assert_eq!(status(&pebble, &tls(ns, "web-tls").await?).await?.0, "Valid");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_of_somebody_else_that_was_put_into_the_secret_is_not_revoked() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, operator) = ready(ns).await?;
        ns.apply(&certificate("victim", &["victim.example.com"], "")).await?;
        ns.apply(&certificate(
            "web",
            &["a.example.com"],
            "  revocation: { onReplace: superseded, onDelete: superseded }\n",
        ))
        .await?;
        revision(ns, "victim", 1).await?;
        revision(ns, "web", 1).await?;
        operator.kill9()?;
        let victim = tls(ns, "victim-tls").await?;
        let theirs = ns.get("secret/victim-tls").await?.context("no Secret")?["data"]["tls.crt"].clone();
        ns.patch("secret/web-tls", json!({"data": {"tls.crt": theirs}})).await?;
        ask(ns, "keyCompromise").await?;
        operator.restart().await?;
        revision(ns, "web", 2).await?;
        at_rest(ns).await?;
        ns.delete_object("certificate/web").await?;
        ns.wait_gone("certificate/web", SOON).await?;
        assert_eq!(status(&pebble, &victim).await?.0, "Valid");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_replaced_certificate_is_revoked_once_the_next_one_is_in_the_secret() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, proxy, _operator) = started(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], ON_REPLACE)).await?;
        revision(ns, "web", 1).await?;
        let first = tls(ns, "web-tls").await?;
        assert_eq!(held(ns).await?, [serial(&first)], "it is on record while it is in the Secret");
        assert_eq!(requests_to(&proxy, REVOKE).len(), 0);

        let mut revoking = hold(&proxy, REVOKE);
        renew(ns, "now").await?;
        revoking.reached().await?;
        let second = tls(ns, "web-tls").await?;
        assert!(serial(&second) != serial(&first), "it is revoked before another is in its place");
        revoking.go_on(&proxy);
        revision(ns, "web", 2).await?;
        let web = at_rest(ns).await?;
        assert_eq!(status(&pebble, &first).await?, ("Revoked".to_owned(), 4));
        assert_eq!(status(&pebble, &second).await?.0, "Valid");
        assert_eq!(web["status"]["revocation"]["last"]["cause"], "Replaced");
        assert_eq!(held(ns).await?, [serial(&second)]);
        assert_eq!(requests_to(&proxy, REVOKE).len(), 1);
        stays_as_it_is(ns, "web", AT_ONCE).await?;

        // The Secret is lost: its certificate is revoked nevertheless, after it has been replaced.
        ns.delete_object("secret/web-tls").await?;
        revision(ns, "web", 3).await?;
        at_rest(ns).await?;
        assert_eq!(status(&pebble, &second).await?, ("Revoked".to_owned(), 4));

        // Without the policy, nothing is recorded or revoked.
        ns.patch("certificate/web", json!({"spec": {"revocation": null}})).await?;
        ns.wait("certificate/web", SOON, |web| web["metadata"]["finalizers"].is_null()).await?;
        let third = tls(ns, "web-tls").await?;
        renew(ns, "again").await?;
        revision(ns, "web", 4).await?;
        assert_eq!(status(&pebble, &third).await?.0, "Valid");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_replaced_certificate_is_revoked_by_the_issuer_that_it_came_from() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, _operator) = ready(ns).await?;
        let other = Pebble::builder().start(&ns.cluster).await?;
        let other_issuer = issuer(&other.directory_url, &other.ca_pem, "");
        ns.apply(&common::of_issuer("other", &other_issuer)).await?;
        ns.wait_condition("issuer/other", "Ready", "True", SOON).await?;
        ns.apply(&certificate("web", &["a.example.com"], ON_REPLACE)).await?;
        revision(ns, "web", 1).await?;
        let first = tls(ns, "web-tls").await?;
        ns.patch("certificate/web", json!({"spec": {"issuerRef": {"name": "other"}}})).await?;
        revision(ns, "web", 2).await?;
        at_rest(ns).await?;
        assert_eq!(status(&pebble, &first).await?, ("Revoked".to_owned(), 4));
        assert_eq!(status(&other, &tls(ns, "web-tls").await?).await?.0, "Valid");
        Ok(())
    })
    .await
}

/// A CA behind a proxy, and an operator that waits only briefly after a failure.
async fn started(ns: &TestNamespace) -> Result<(Pebble, Proxy, Operator)> {
    let pebble = steady().start(&ns.cluster).await?;
    let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
    let operator = Operator::builder(ns).argument("--backoff-first", "1s").start().await?;
    ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
    ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
    Ok((pebble, proxy, operator))
}

async fn ask(ns: &TestNamespace, reason: &str) -> Result<()> {
    ns.patch("certificate/web", json!({"metadata": {"annotations": {"certwright.dev/revoke": reason}}}))
        .await?;
    Ok(())
}

async fn renew(ns: &TestNamespace, value: &str) -> Result<()> {
    ns.patch("certificate/web", json!({"metadata": {"annotations": {"certwright.dev/renew": value}}}))
        .await?;
    Ok(())
}

/// Waits until the condition `Revocation` is false for this reason, and returns its message.
async fn revocation(ns: &TestNamespace, reason: &str) -> Result<String> {
    let has = |web: &Value| {
        condition(web, "Revocation").is_some_and(|(is, found, _)| is == "False" && found == reason)
    };
    let web = ns.wait("certificate/web", SOON, has).await?;
    Ok(condition(&web, "Revocation").map(|(_, _, message)| message).unwrap_or_default())
}

/// Waits until no revocation is pending and nothing else is in progress.
async fn at_rest(ns: &TestNamespace) -> Result<Value> {
    ns.wait("certificate/web", SOON, |web| {
        let held = web["status"]["revocation"]["certificates"].as_array();
        let open = held.is_some_and(|held| held.iter().any(|held| !held["revocation"].is_null()));
        let is = |type_: &str, status: &str| condition(web, type_).is_some_and(|(found, ..)| found == status);
        !open && is("Ready", "True") && is("Issuing", "False")
    })
    .await
}

/// Serial numbers of the recorded certificates.
async fn held(ns: &TestNamespace) -> Result<Vec<String>> {
    let web = at_rest(ns).await?;
    let held = web["status"]["revocation"]["certificates"].as_array().cloned().unwrap_or_default();
    Ok(held.iter().filter_map(|held| held["serialNumber"].as_str()).map(str::to_owned).collect())
}

fn serial(tls: &Tls) -> String {
    tls.chain.leaf().serial_number.clone()
}

/// The CA's information about a certificate, and the reason.
async fn status(pebble: &Pebble, tls: &Tls) -> Result<(String, u64)> {
    let status = pebble.certificate_status(&serial(tls)).await?;
    let word = status["Status"].as_str().context("no status")?.to_owned();
    Ok((word, status["Reason"].as_u64().unwrap_or_default()))
}

/// Whether revocations with this result were counted.
async fn metric(operator: &Operator, result: &str, reason: &str) -> Result<bool> {
    let metrics = operator.metrics().await?;
    let line = format!("certwright_revocations_total{{result=\"{result}\",reason=\"{reason}\"}}");
    Ok(metrics.lines().any(|found| found.starts_with(&line)))
}
