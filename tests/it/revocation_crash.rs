//! The operator is killed at each write while it revokes certificates: each of them is revoked nevertheless, and no other.

use crate::common::crash::{Killer, Run, When, walk};
use crate::common::faults::path;
use crate::common::{SOON, certificate, condition, issuer, revision, tls, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::RequestInfo;
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use serde_json::{Value, json};

/// The cause of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Request,
    Replacement,
    Deletion,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_of_a_request_revokes_the_one_certificate() -> Result<()> {
    walk(8, |point| revocation(point, When::Answered, Cause::Request)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_of_a_request_revokes_the_one_certificate() -> Result<()> {
    walk(8, |point| revocation(point, When::NotSent, Cause::Request)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_of_a_replacement_revokes_the_one_certificate() -> Result<()> {
    walk(8, |point| revocation(point, When::Answered, Cause::Replacement)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_of_a_replacement_revokes_the_one_certificate() -> Result<()> {
    walk(8, |point| revocation(point, When::NotSent, Cause::Replacement)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_of_a_deletion_revokes_the_one_certificate() -> Result<()> {
    walk(1, |point| revocation(point, When::Answered, Cause::Deletion)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_of_a_deletion_revokes_the_one_certificate() -> Result<()> {
    walk(1, |point| revocation(point, When::NotSent, Cause::Deletion)).await
}

/// A certificate is issued and then revoked, with a crash at the write `point`.
async fn revocation(point: usize, when: When, cause: Cause) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("crash", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let ca = Proxy::start(&ns.cluster, &pebble.address).await?;
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let killer = Killer::new(when, point, is_notable);
        [&ca, &api].into_iter().for_each(|proxy| killer.stand_at(proxy));
        let operator =
            Operator::builder(ns).api_server(&api.url).argument("--backoff-first", "1s").start().await?;
        ns.apply(&issuer(&format!("{}/dir", ca.url), &pebble.ca_pem, "")).await?;
        let policy = match cause {
            Cause::Request => "",
            Cause::Replacement => "  revocation: { onReplace: superseded }\n",
            Cause::Deletion => "  revocation: { onDelete: superseded }\n",
        };
        ns.apply(&certificate("web", &["a.example.com"], policy)).await?;
        revision(ns, "web", 1).await?;
        let first = tls(ns, "web-tls").await?;
        killer.arm(&operator)?;
        let annotate = |name: &str, value: &str| {
            let name = format!("certwright.dev/{name}");
            ns.patch("certificate/web", json!({"metadata": {"annotations": {name: value}}}))
        };
        match cause {
            Cause::Request => drop(annotate("revoke", "superseded").await?),
            Cause::Replacement => drop(annotate("renew", "now").await?),
            Cause::Deletion => ns.delete_object("certificate/web").await?,
        }
        match cause {
            Cause::Deletion => killer.until(ns.wait_gone("certificate/web", SOON), &operator).await?,
            _ => killer.until(done(ns), &operator).await?,
        }
        let state = async |serial: &str| {
            Ok::<_, anyhow::Error>(pebble.certificate_status(serial).await?["Status"].clone())
        };
        let serial = &first.chain.leaf().serial_number;
        match cause {
            Cause::Deletion => ns.wait_gone("certificate/web", SOON).await?,
            _ => {
                done(ns).await?;
                let second = tls(ns, "web-tls").await?;
                ensure!(
                    state(&second.chain.leaf().serial_number).await? == "Valid",
                    "the new one is revoked"
                );
            }
        }
        ensure!(state(serial).await? == "Revoked", "it is not revoked");
        let issued = if cause == Cause::Deletion { 1 } else { 2 };
        let finalized: Vec<usize> = killer.heard().into_values().collect();
        ensure!(
            finalized == vec![1; issued],
            "other certificates were made than these {issued}: {finalized:?}"
        );
        wait_nothing_left(ns).await?;
        run = Some(killer.run().await?);
        Ok(())
    })
    .await?;
    run.context("it did not end")
}

/// Whether a request finalizes an order.
fn is_notable(request: &RequestInfo) -> bool {
    request.path.starts_with(path::FINALIZE)
}

/// Waits until the second certificate has been issued, and the first one has been dealt with.
async fn done(ns: &TestNamespace) -> Result<Value> {
    ns.wait("certificate/web", SOON, |web| {
        let (status, revocation) = (&web["status"], &web["status"]["revocation"]);
        let held = revocation["certificates"].as_array().map_or(&[][..], Vec::as_slice);
        let is = |type_: &str, status: &str| condition(web, type_).is_some_and(|(found, ..)| found == status);
        status["revision"] == 2
            && status["order"].is_null()
            && is("Ready", "True")
            && is("Issuing", "False")
            && revocation["last"]["result"] == "Revoked"
            && held.iter().all(|held| held["revocation"].is_null())
            && web["metadata"]["finalizers"].is_null() == held.is_empty()
    })
    .await
}
