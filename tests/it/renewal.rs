//! A certificate is renewed at the time in its status, and nothing happens before.

use std::time::Duration;

use crate::common::faults::event;
use crate::common::{
    SOON, certificate, condition, issued, issuer, ready, ready_through_proxy, revision, tls,
};
use anyhow::{Context, Result};
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use certwright_runtime::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// It is valid for 20 s and is renewed after a little under 5.
const SHORT: &str = "  renewBefore: 15s\n";
const LIFETIME: Duration = Duration::from_secs(20);
/// Only the lifetime determines the renewal, not Pebble's suggestion.
const UNASKED: &str = "    renewalInformationSource: None\n";

#[tokio::test]
async fn a_certificate_is_renewed_at_the_time_in_its_status() -> Result<()> {
    TestNamespace::with("renewal", async |ns| {
        let pebble = Pebble::builder().certificate_validity(LIFETIME);
        let (_pebble, _proxy, _operator) = ready_through_proxy(ns, pebble, "").await?;
        ns.apply(&certificate("web", &["a.example.com"], SHORT)).await?;
        let first = revision(ns, "web", 1).await?;
        let due = renewal_time(&first)?;
        let second = revision(ns, "web", 2).await?;
        let renewed = tls(ns, "web-tls").await?.chain.leaf().not_before;
        let late = renewed.duration_since(due).as_secs();
        assert!((0..=2).contains(&late), "due at {due}, renewed at {renewed}");
        assert!(renewal_time(&second)? > due);
        let ready = |object: &Value| {
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions
                .into_iter()
                .find(|one| one["type"] == "Ready")
                .map(|one| one["lastTransitionTime"].clone())
        };
        assert_eq!(ready(&first), ready(&second), "it stayed ready all the while");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_restarted_operator_renews_at_the_time_in_the_status() -> Result<()> {
    TestNamespace::with("renewal", async |ns| {
        let pebble = Pebble::builder().certificate_validity(LIFETIME);
        let (_pebble, _proxy, operator) = ready_through_proxy(ns, pebble, "").await?;
        ns.apply(&certificate("web", &["a.example.com"], SHORT)).await?;
        let due = renewal_time(&revision(ns, "web", 1).await?)?;
        operator.restart().await?;
        revision(ns, "web", 2).await?;
        let renewed = tls(ns, "web-tls").await?.chain.leaf().not_before;
        let late = renewed.duration_since(due).as_secs();
        assert!((0..=2).contains(&late), "due at {due}, renewed at {renewed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_renewal_that_fell_due_while_no_operator_ran_is_made_up_for_at_once() -> Result<()> {
    TestNamespace::with("renewal", async |ns| {
        let pebble = Pebble::builder().certificate_validity(LIFETIME);
        let (_pebble, _proxy, operator) = ready_through_proxy(ns, pebble, "").await?;
        ns.apply(&certificate("web", &["a.example.com"], SHORT)).await?;
        let due = renewal_time(&revision(ns, "web", 1).await?)?;
        operator.kill9()?;
        until(due + SignedDuration::from_secs(2)).await;
        let restarted = clock::now();
        operator.restart().await?;
        revision(ns, "web", 2).await?;
        let renewed = tls(ns, "web-tls").await?.chain.leaf().not_before;
        let late = renewed.duration_since(restarted).as_secs();
        assert!((0..=3).contains(&late), "started at {restarted}, renewed at {renewed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_expired_certificate_is_not_ready_until_it_is_renewed() -> Result<()> {
    TestNamespace::with("renewal", async |ns| {
        let pebble = Pebble::builder().certificate_validity(Duration::from_secs(8));
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, pebble, "").await?;
        ns.apply(&certificate("web", &["a.example.com"], "  renewBefore: 4s\n")).await?;
        let first = revision(ns, "web", 1).await?;
        let refuse = |request: &certwright_cluster::proxy::RequestInfo| match request.path.as_str() {
            "/order-plz" => certwright_cluster::proxy::Action::Drop,
            _ => certwright_cluster::proxy::Action::Pass,
        };
        proxy.script(refuse);
        let expired = ns
            .wait("certificate/web", SOON, |object| {
                condition(object, "Ready").is_some_and(|(is, ..)| is == "False")
            })
            .await?;
        assert_eq!(expired["status"]["serialNumber"], first["status"]["serialNumber"]);
        let not_after: Timestamp = expired["status"]["notAfter"].as_str().context("no notAfter")?.parse()?;
        assert!(clock::now() >= not_after, "it is ready as long as it is valid");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_spec_says_when_to_renew() -> Result<()> {
    TestNamespace::with("renewal", async |ns| {
        let hours = 1000;
        let pebble = Pebble::builder().certificate_validity(Duration::from_secs(hours * 3600));
        let (_pebble, _proxy, _operator) = ready_through_proxy(ns, pebble, UNASKED).await?;
        let cases = [
            ("default", "", 2.0 / 3.0),
            ("before", "  renewBefore: 100h\n", 0.9),
            ("part", "  renewBeforePercentage: 20\n", 0.8),
            // It would be renewed endlessly.
            ("absurd", "  renewBefore: 2000h\n", 2.0 / 3.0),
        ];
        for (name, rule, _) in cases {
            ns.apply(&certificate(name, &[&format!("{name}.example.com")], rule)).await?;
        }
        for (name, _, expected) in cases {
            let used = used(&revision(ns, name, 1).await?)?;
            assert!(
                (expected - 0.1001..=expected + 0.0001).contains(&used),
                "{name}: {used}, not {expected}"
            );
        }

        // Another rule does not require another certificate.
        ns.patch("certificate/before", json!({"spec": {"renewBefore": "200h"}})).await?;
        let moved =
            ns.wait("certificate/before", SOON, |object| used(object).is_ok_and(|used| used < 0.81)).await?;
        assert_eq!(moved["status"]["revision"], 1, "{moved:#}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_lifetime_under_ten_days_is_used_by_half() -> Result<()> {
    TestNamespace::with("renewal", async |ns| {
        let pebble = Pebble::builder().certificate_validity(Duration::from_secs(6 * 86_400));
        let (_pebble, _proxy, _operator) = ready_through_proxy(ns, pebble, UNASKED).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let used = used(&revision(ns, "web", 1).await?)?;
        assert!((0.3999..=0.5001).contains(&used), "{used}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_annotation_asks_for_one_renewal() -> Result<()> {
    TestNamespace::with("renewal", async |ns| {
        let (_pebble, operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        for (request, expected) in [("first", 2), ("second", 3)] {
            let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": request}}});
            ns.patch("certificate/web", renew).await?;
            let renewed = revision(ns, "web", expected).await?;
            assert_eq!(renewed["status"]["observedRenewRequest"], request);
        }
        operator.restart().await?;
        ns.apply(&certificate("other", &["b.example.com"], "")).await?;
        issued(ns, "other").await?;
        let after = ns.get("certificate/web").await?.context("the Certificate is gone")?;
        assert_eq!(after["status"]["revision"], 3, "a request that was answered stays answered");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes() -> Result<()> {
    TestNamespace::with("renewal", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let proxy = Proxy::of_api_server(&ns.cluster).await?;
        let operator = Operator::builder(ns).api_server(&proxy.url).start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        for index in 0..5 {
            ns.apply(&certificate(&format!("web{index}"), &[&format!("w{index}.example.com")], "")).await?;
        }
        for index in 0..5 {
            revision(ns, &format!("web{index}"), 1).await?;
            event(ns, &format!("web{index}"), "Issued").await?;
        }
        let counted = counted_writes(&operator).await?;
        proxy.forget();
        let write = |request: &certwright_cluster::proxy::Record| !request.method.is_safe();
        let written = proxy.wait_request(Duration::from_secs(10), write).await;
        assert!(written.is_err(), "{written:?}");
        assert_eq!(counted_writes(&operator).await?, counted);
        assert!(counted > 5.0, "the operator does count: {counted}");
        Ok(())
    })
    .await
}

fn renewal_time(certificate: &Value) -> Result<Timestamp> {
    Ok(certificate["status"]["renewalTime"].as_str().context("no renewalTime")?.parse()?)
}

/// The fraction of its lifetime after which a certificate is renewed.
fn used(certificate: &Value) -> Result<f64> {
    let time = |field: &str| -> Result<f64> {
        let time: Timestamp = certificate["status"][field].as_str().context("no such time")?.parse()?;
        Ok(time.as_duration().as_secs_f64())
    };
    let (begin, end) = (time("notBefore")?, time("notAfter")?);
    Ok((time("renewalTime")? - begin) / (end - begin))
}

async fn counted_writes(operator: &Operator) -> Result<f64> {
    let metrics = operator.metrics().await?;
    let counts = metrics.lines().filter(|line| line.starts_with("certwright_api_writes_total{"));
    Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// Waits until a point in time.
async fn until(time: Timestamp) {
    let wait = Duration::try_from(time.duration_since(clock::now())).unwrap_or_default();
    tokio::time::sleep_until(tokio::time::Instant::now() + wait).await;
}
