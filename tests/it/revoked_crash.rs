//! The operator is killed at each write while it replaces a certificate that its CA has revoked: there is one new certificate, with a
//! new key, and what was found is on record.

use crate::common::crash::{Killer, Run, When, walk};
use crate::common::{SOON, certificate, condition, issuer, revision, tls, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_acme::{Server, ServerConfig, Trust};
use certwright_cluster::proxy::RequestInfo;
use certwright_cluster::{Operator, Proxy, StepCa, TestNamespace};
use certwright_runtime::clock;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_of_a_replacement_leaves_one_new_certificate() -> Result<()> {
    walk(8, |point| replacement(point, When::Answered)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_of_a_replacement_leaves_one_new_certificate() -> Result<()> {
    walk(8, |point| replacement(point, When::NotSent)).await
}

/// A certificate is issued and then revoked elsewhere, with a crash at the write `point`.
async fn replacement(point: usize, when: When) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("crash", async |ns| {
        let ca = StepCa::start_with_revocation_list(&ns.cluster, str::to_owned).await?;
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let killer = Killer::new(when, point, |_: &RequestInfo| false);
        killer.stand_at(&api);
        let operator = Operator::builder(ns)
            .api_server(&api.url)
            .argument("--backoff-first", "1s")
            .argument("--revocation-check-interval", "1s")
            .start()
            .await?;
        ns.apply(&issuer(&ca.directory_url, &ca.root_pem, "")).await?;
        let never =
            certificate("web", &["a.example.com"], "").replace("ECDSA", "ECDSA, rotationPolicy: Never");
        ns.apply(&never).await?;
        revision(ns, "web", 1).await?;
        let first = tls(ns, "web-tls").await?;
        killer.arm(&operator)?;
        let trust = Trust::Bundle(ca.root_pem.clone().into_bytes());
        let server = Server::new(ServerConfig { trust, ..ServerConfig::new(&ca.directory_url, clock::now) })?;
        server.revoke_certificate_with_its_key(first.key.clone(), &first.chain.leaf().der, 1).await?;
        let done = || {
            ns.wait("certificate/web", SOON, |web| {
                let is = |type_: &str, status: &str| {
                    condition(web, type_).is_some_and(|(found, ..)| found == status)
                };
                web["status"]["revision"] == 2 && is("Ready", "True") && is("Issuing", "False")
            })
        };
        killer.until(done(), &operator).await?;
        let web = done().await?;
        let second = tls(ns, "web-tls").await?;
        ensure!(second.key_pem != first.key_pem, "the key is used again");
        ensure!(condition(&web, "Revoked").is_none(), "the new certificate is not revoked");
        let serial = &first.chain.leaf().serial_number;
        ensure!(web["status"]["revoked"]["serialNumber"] == **serial, "it is not on record: {web:#}");
        wait_nothing_left(ns).await?;
        run = Some(killer.run().await?);
        Ok(())
    })
    .await?;
    run.context("it did not end")
}
