//! The operator is killed at each write while it serves a CertificateSigningRequest, and started again.

use crate::common::crash::{Killer, Run, When, walk};
use crate::common::wait_nothing_left;
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::RequestInfo;
use certwright_cluster::{Pebble, Proxy, TestNamespace};
use certwright_pki::{KeyAlgorithm, PrivateKey};

use super::*;

/// An issuance has more writes than this, with those to the request.
const LEAST_WRITES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leads_to_one_certificate_and_leaves_nothing_else() -> Result<()> {
    walk(LEAST_WRITES, |point| one_request(point, When::Answered)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_leads_to_one_certificate_and_leaves_nothing_else() -> Result<()> {
    walk(LEAST_WRITES, |point| one_request(point, When::NotSent)).await
}

/// A request from its approval to its certificate, with a crash at the write `point`.
async fn one_request(point: usize, when: When) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("csr-crash", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let ca = Proxy::start(&ns.cluster, &pebble.address).await?;
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let killer = Killer::new(when, point, finalizes);
        [&ca, &api].into_iter().for_each(|proxy| killer.stand_at(proxy));
        let operator = serving(ns).api_server(&api.url).argument("--backoff-first", "1s").start().await?;
        ns.apply(&issuer(&format!("{}{}", ca.url, path::DIRECTORY), &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        killer.arm(&operator)?;
        let (name, key) = (named(ns, "web"), PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?);
        ns.apply(&request(&name, &signer(ns), &pem(&key, &host(ns, "a"))?, &[])).await?;
        kubectl(ns, &["certificate", "approve", &name])?;
        let signed = async || {
            certificate_of(ns, &name).await?.leaf().check_key(&key)?;
            let object = ns.get(&target(&name)).await?.context("it is gone")?;
            for kind in ["certificate", "secret"] {
                ns.wait_gone(&format!("{kind}/csr-{}", uid(&object)?), SOON).await?;
            }
            Ok(())
        };
        killer.until(signed(), &operator).await?;
        signed().await?;
        wait_nothing_left(ns).await?;
        let heard = killer.heard();
        ensure!(
            heard.len() == 1 && heard.values().all(|times| *times == 1),
            "orders were finalized: {heard:?}"
        );
        ns.delete_object(&target(&name)).await?;
        run = Some(killer.run().await?);
        Ok(())
    })
    .await?;
    run.context("the request did not end")
}

/// Whether a request finalizes an order.
fn finalizes(request: &RequestInfo) -> bool {
    request.path.starts_with(path::FINALIZE)
}
