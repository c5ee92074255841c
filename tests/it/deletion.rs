//! Deleted objects disappear quickly, with everything that was created for them, even while the CA hangs.

use std::time::Duration;

use crate::common::{
    HTTP01, SOON, certificate, condition, count, hang, hold, issued, issuer, ready_through_proxy, revision,
    tls, wait_all, wait_nothing_left,
};
use anyhow::{Context, Result};
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::json;
use tokio::time::Instant;

/// Long enough for Kubernetes to delete the dependents of a deleted object, and much shorter than the timeout of a request to a
/// CA.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_certificate_deleted_while_the_ca_hangs_is_gone_at_once() -> Result<()> {
    for path in ["/order-plz", "/chalZ/", "/finalize-order/"] {
        TestNamespace::with("deletion", async |ns| {
            let (_pebble, proxy, operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
            let mut hanging = hang(&proxy, path);
            ns.apply(&certificate("web", &["a.example.com"], "")).await?;
            hanging.reached().await?;
            let deleted = Instant::now();
            ns.delete_object("certificate/web").await?;
            ns.wait_gone("certificate/web", AT_ONCE).await?;
            wait_nothing_left(ns).await?;
            assert!(deleted.elapsed() < AT_ONCE, "{path}: it took {:?}", deleted.elapsed());
            assert!(ns.get("secret/web-tls").await?.is_none());

            // Others continue in the meantime.
            hanging.go_on(&proxy);
            ns.apply(&certificate("next", &["b.example.com"], "")).await?;
            issued(ns, "next").await?;
            let metrics = operator.metrics().await?;
            assert!(!metrics.contains("name=\"web\""), "the metrics still tell of it");
            wait_nothing_left(ns).await
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_of_the_ca_for_a_deleted_certificate_makes_nothing() -> Result<()> {
    for path in ["/order-plz", "/authZ/", "/chalZ/", "/finalize-order/", "/certZ/"] {
        TestNamespace::with("deletion", async |ns| {
            let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
            let mut held = hold(&proxy, path);
            ns.apply(&certificate("web", &["a.example.com"], "")).await?;
            held.reached().await?;
            ns.delete_object("certificate/web").await?;
            ns.wait_gone("certificate/web", AT_ONCE).await?;
            wait_nothing_left(ns).await?;
            held.go_on(&proxy);
            // When this one is issued, the other one would have been issued, too.
            ns.apply(&certificate("next", &["b.example.com"], "")).await?;
            issued(ns, "next").await?;
            wait_nothing_left(ns).await?;
            assert!(ns.get("secret/web-tls").await?.is_none(), "{path}: a Secret was made all the same");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_made_anew_under_the_same_name_is_issued_while_the_old_one_hangs() -> Result<()> {
    TestNamespace::with("deletion", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let mut held = hold(&proxy, "/chalZ/");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        held.reached().await?;
        ns.delete_object("certificate/web").await?;
        ns.wait_gone("certificate/web", AT_ONCE).await?;
        ns.apply(&certificate("web", &["b.example.com"], "")).await?;
        held.go_on(&proxy);
        revision(ns, "web", 1).await?;
        assert_eq!(Vec::from_iter(&tls(ns, "web-tls").await?.chain.leaf().dns_names), ["b.example.com"]);
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_presented_beside_another_takes_only_its_own_along() -> Result<()> {
    TestNamespace::with("deletion", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let mut held = hold(&proxy, "/chalZ/");
        ns.apply(&certificate("gone", &["a.example.com"], "")).await?;
        ns.apply(&certificate("stays", &["b.example.com"], "")).await?;
        held.reached().await?;
        wait_all::<Ingress>(ns, HTTP01, |ingresses| ingresses.len() == 2).await?;
        ns.delete_object("certificate/gone").await?;
        let left = wait_all::<Ingress>(ns, HTTP01, |ingresses| ingresses.len() == 1).await?;
        let rules =
            left.iter().flat_map(|ingress| ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten()));
        assert_eq!(Vec::from_iter(rules.filter_map(|rule| rule.host.as_deref())), ["b.example.com"]);
        assert!(ns.get("service/certwright-http01").await?.is_some());
        held.go_on(&proxy);
        issued(ns, "stays").await?;
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn an_issuer_deleted_in_mid_order_is_gone_at_once_and_its_certificates_say_so() -> Result<()> {
    TestNamespace::with("deletion", async |ns| {
        let (pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let mut held = hold(&proxy, "/chalZ/");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        held.reached().await?;
        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", AT_ONCE).await?;
        held.go_on(&proxy);
        let waiting = ns
            .wait("certificate/web", SOON, |object| {
                condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "IssuerNotFound")
            })
            .await?;
        let (_, _, message) = condition(&waiting, "Ready").context("no condition")?;
        assert!(message.contains("Issuer ca does not exist"), "{message}");
        wait_nothing_left(ns).await?;

        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        issued(ns, "web").await?;
        assert_eq!(accepted(&proxy, "/sign-me-up", 201), 1, "the account outlives its Issuer");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespace_deleted_in_mid_order_is_gone_although_the_ca_hangs() -> Result<()> {
    TestNamespace::with("deletion", async |ns| {
        let doomed = TestNamespace::create("doomed").await?;
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let watched = format!("{},{}", ns.name, doomed.name);
        let operator = Operator::builder(ns).argument("--watch-namespaces", &watched).start().await?;
        let issuer = issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "");
        for namespace in [ns, &doomed] {
            namespace.apply(&issuer).await?;
            namespace.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        }
        let mut hanging = hang(&proxy, "/chalZ/");
        doomed.apply(&certificate("web", &["a.example.com"], "")).await?;
        hanging.reached().await?;
        wait_all::<Ingress>(&doomed, HTTP01, |ingresses| ingresses.len() == 1).await?;
        let _none = certwright_cluster::without_api_groups().await;
        doomed.delete().await?;
        ns.wait_gone(&format!("namespace/{}", doomed.name), SOON).await?;

        hanging.go_on(&proxy);
        ns.apply(&certificate("web", &["b.example.com"], "")).await?;
        issued(ns, "web").await?;
        assert!(operator.is_running()?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_for_other_names_is_abandoned() -> Result<()> {
    TestNamespace::with("deletion", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let mut held = hold(&proxy, "/chalZ/");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        held.reached().await?;
        ns.patch("certificate/web", json!({"spec": {"dnsNames": ["b.example.com"]}})).await?;
        held.go_on(&proxy);
        revision(ns, "web", 1).await?;
        assert_eq!(Vec::from_iter(&tls(ns, "web-tls").await?.chain.leaf().dns_names), ["b.example.com"]);
        assert_eq!(accepted(&proxy, "/order-plz", 201), 2);
        assert_eq!(accepted(&proxy, "/finalize-order/", 200), 1, "the first order was finalized for nothing");
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn an_order_of_another_issuer_is_abandoned() -> Result<()> {
    TestNamespace::with("deletion", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let other = Pebble::builder().start(&ns.cluster).await?;
        ns.apply(&issuer(&other.directory_url, &other.ca_pem, "").replace("name: ca ", "name: other "))
            .await?;
        ns.wait_condition("issuer/other", "Ready", "True", SOON).await?;
        let mut held = hold(&proxy, "/chalZ/");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        held.reached().await?;
        ns.patch("certificate/web", json!({"spec": {"issuerRef": {"name": "other"}}})).await?;
        held.go_on(&proxy);
        revision(ns, "web", 1).await?;
        let secret = tls(ns, "web-tls").await?.secret;
        assert_eq!(secret.metadata.annotations.unwrap_or_default()["certwright.dev/issuer-name"], "other");
        assert_eq!(count(&proxy, "/finalize-order/"), 0);
        wait_nothing_left(ns).await
    })
    .await
}

/// How many requests the CA has answered with `status`: it may have rejected a nonce before.
fn accepted(proxy: &Proxy, path: &str, status: u16) -> usize {
    let accepted = |request: &&certwright_cluster::proxy::Record| {
        request.path.starts_with(path) && request.status.is_some_and(|found| found == status)
    };
    proxy.requests().iter().filter(accepted).count()
}
