//! A Secret that is deleted repeatedly does not cause an order each time.

use std::time::Duration;

use crate::common::faults::{event, issuing};
use crate::common::overheard::NEW_ORDER;
use crate::common::{
    SOON, certificate, condition, count, issued, ready_through_proxy, revision, stays_as_it_is, tls, wait_all,
};
use anyhow::{Context, Result};
use certwright_cluster::{Pebble, TestNamespace};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;

/// The operator's default.
const LIMIT: i64 = 4;
const KEPT: &str = "certwright.dev/secret=next-private-key";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_lost_again_and_again_is_restored_and_then_waits() -> Result<()> {
    TestNamespace::with("duplicates", async |ns| {
        let (_pebble, proxy, operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        ns.apply(&certificate("web", &["lost.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        for turn in 2..=LIMIT {
            ns.delete_object("secret/web-tls").await?;
            revision(ns, "web", turn).await?;
        }
        let kept = tls(ns, "web-tls").await?;
        let orders = count(&proxy, NEW_ORDER);

        // The last certificate is kept, and the Secret is written with it, also after a restart of the operator.
        for _ in 0..2 {
            operator.restart().await?;
            ns.delete_object("secret/web-tls").await?;
            ns.wait("secret/web-tls", SOON, |secret| secret["data"]["tls.crt"].is_string()).await?;
            ns.wait_condition("certificate/web", "Ready", "True", SOON).await?;
            let found = tls(ns, "web-tls").await?;
            assert_eq!((found.chain.pem(), found.key_pem), (kept.chain.pem(), kept.key_pem.clone()));
            assert_eq!(found.secret.type_.as_deref(), Some("kubernetes.io/tls"));
        }
        let (type_, note) = event(ns, "web", "SecretRestored").await?;
        assert_eq!(type_, "Warning");
        assert!(note.starts_with("Secret web-tls was lost again"), "{note}");
        assert_eq!(count(&proxy, NEW_ORDER), orders, "nothing was ordered");

        // If that is also lost, the Certificate waits, and says why.
        let backup = wait_all::<Secret>(ns, KEPT, |kept| kept.len() == 1).await?;
        ns.delete_object(&format!("secret/{}", backup[0].name_any())).await?;
        wait_all::<Secret>(ns, KEPT, <[_]>::is_empty).await?;
        ns.delete_object("secret/web-tls").await?;
        let (waiting, _) = issuing(ns, "web", "DuplicateCertificates").await?;
        let (status, reason, message) = condition(&waiting, "Ready").context("no condition")?;
        assert_eq!((status.as_str(), reason.as_str()), ("False", "DuplicateCertificates"));
        assert!(message.contains("issued 4 times within a week"), "{message}");
        assert!(message.contains("Find out what deletes or overwrites Secret web-tls"), "{message}");
        stays_as_it_is(ns, "web", Duration::from_secs(3)).await?;
        assert_eq!(count(&proxy, NEW_ORDER), orders, "nothing was ordered");

        // A requested renewal is still executed.
        let ask = json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } });
        ns.patch("certificate/web", ask).await?;
        revision(ns, "web", LIMIT + 1).await?;
        assert_eq!(count(&proxy, NEW_ORDER), orders + 1);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_are_other_certificates() -> Result<()> {
    TestNamespace::with("duplicates", async |ns| {
        let (_pebble, _proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        ns.apply(&certificate("web", &["one.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        for turn in 2..=LIMIT + 2 {
            let names = json!({ "spec": { "dnsNames": [format!("{turn}.example.com")] } });
            ns.patch("certificate/web", names).await?;
            revision(ns, "web", turn).await?;
        }
        ns.delete_object("secret/web-tls").await?;
        let found = revision(ns, "web", LIMIT + 3).await?;
        assert_eq!(found["status"]["recentIssuances"].as_array().map(Vec::len), Some(7));
        issued(ns, "web").await?;
        wait_all::<Secret>(ns, KEPT, <[_]>::is_empty).await?;
        Ok(())
    })
    .await
}
