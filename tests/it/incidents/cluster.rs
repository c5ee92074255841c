//! What happens to Secrets, and to those who serve what is in them.

use std::sync::Arc;

use crate::common::faults::issuing;
use crate::common::site::serve;
use crate::common::{SOON, issued, revision, tls, wait_all};
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;

use super::scene::{FINE, Scene};
use super::{Happened, Told, named};

/// How many certificates are issued for a Secret before it is restored; the operator's default.
const LIMIT: i64 = 4;
const KEPT: &str = "certwright.dev/secret=next-private-key";
/// The addresses of sites.
const OLD: &str = "127.80.6.2";
const OTHER: &str = "127.80.6.3";

pub async fn secret_is_deleted(scene: &Scene<'_>) -> Result<Happened> {
    let ns = scene.ns;
    scene.certificate("deleted", FINE, "").await?;
    revision(ns, "deleted", 1).await?;
    for turn in 2..=LIMIT {
        ns.delete_object("secret/deleted-tls").await?;
        revision(ns, "deleted", turn).await?;
    }
    ns.delete_object("secret/deleted-tls").await?;
    ns.wait("secret/deleted-tls", SOON, |secret| secret["data"]["tls.crt"].is_string()).await?;
    // The certificate that would be restored once more is lost, too.
    let is_its = |kept: &&Arc<Secret>| kept.name_any().starts_with("deleted-next-key-");
    let kept = wait_all::<Secret>(ns, KEPT, |kept| kept.iter().any(|kept| is_its(&kept))).await?;
    let kept = kept.iter().find(is_its).context("it is gone")?;
    ns.delete_object(&format!("secret/{}", kept.name_any())).await?;
    ns.delete_object("secret/deleted-tls").await?;
    issuing(ns, "deleted", "DuplicateCertificates").await?;
    Ok(Happened {
        reasons: vec![
            Told::Event("deleted", "SecretRestored"),
            Told::Condition("certificate/deleted", "Issuing", "DuplicateCertificates"),
        ],
        alerts: vec![("CertwrightSecretLost", Vec::new())],
        _kept: Vec::new(),
    })
}

pub async fn old_one_is_served(scene: &Scene<'_>) -> Result<Happened> {
    let ns = scene.ns;
    scene.certificate("old", FINE, &served_at(OLD)).await?;
    issued(ns, "old").await?;
    let site = serve(ns, OLD, &tls(ns, "old-tls").await?).await?;
    let renew = json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } });
    ns.patch("certificate/old", renew).await?;
    revision(ns, "old", 2).await?;
    Ok(Happened {
        reasons: vec![Told::Condition("certificate/old", "Served", "OldCertificateServed")],
        alerts: vec![("CertwrightOldCertificateServed", named("old"))],
        _kept: vec![Box::new(site)],
    })
}

pub async fn another_is_served(scene: &Scene<'_>) -> Result<Happened> {
    let ns = scene.ns;
    let site = serve(ns, OTHER, &tls(ns, &format!("{FINE}-tls")).await?).await?;
    scene.certificate("other", FINE, &served_at(OTHER)).await?;
    issued(ns, "other").await?;
    Ok(Happened {
        reasons: vec![Told::Condition("certificate/other", "Served", "OtherCertificateServed")],
        alerts: vec![("CertwrightOtherCertificateServed", named("other"))],
        _kept: vec![Box::new(site)],
    })
}

/// Settings of a Certificate that is served at this address.
fn served_at(address: &str) -> String {
    format!("  served: {{ check: true, addresses: [{address}] }}\n")
}
