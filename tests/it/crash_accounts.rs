//! The operator is killed after each of its writes while an account is replaced and both accounts are deactivated, and started
//! again.

use crate::common::accounts::{Ca, MAC_KEY, OTHER_MAC_KEY, deactivate, key_in, registered, uri};
use crate::common::crash::{Killer, Run, When, payload, walk};
use crate::common::overheard::NEW_ACCOUNT;
use crate::common::{SOON, external_account, mac_key};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::RequestInfo;
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

/// A key, a registration, and two deactivations, each with its records.
const LEAST_WRITES: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_two_accounts_that_both_end() -> Result<()> {
    walk(LEAST_WRITES, |point| life(point, When::Answered, By::KeyId)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_leaves_two_accounts_that_both_end() -> Result<()> {
    walk(LEAST_WRITES, |point| life(point, When::NotSent, By::KeyId)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_of_a_rebinding_leaves_two_accounts_that_both_end() -> Result<()> {
    walk(LEAST_WRITES, |point| life(point, When::Answered, By::Request)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_of_a_rebinding_leaves_two_accounts_that_both_end() -> Result<()> {
    walk(LEAST_WRITES, |point| life(point, When::NotSent, By::Request)).await
}

/// How the account is replaced.
#[derive(Clone, Copy)]
enum By {
    /// The spec has another key id.
    KeyId,
    /// The annotation requests another account with the same key id.
    Request,
}

async fn life(point: usize, when: When, by: By) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("crash", async |ns| {
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY).eab("kid-2", OTHER_MAC_KEY)).await?;
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let killer = Killer::new(when, point, registers);
        [&ca.proxy, &api].into_iter().for_each(|proxy| killer.stand_at(proxy));
        let operator = Operator::builder(ns)
            .api_server(&api.url)
            .argument("--backoff-first", "1s")
            .argument("--backoff-longest", "2s")
            .start()
            .await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply(&issuer(&ca, "kid-1")).await?;
        let old = uri(&registered(ns, "ca").await?);
        let old_key = key_in(ns, "ca-account-key", "tls.key").await?;
        if let By::KeyId = by {
            ns.apply(&mac_key("eab", OTHER_MAC_KEY)).await?;
        }
        killer.arm(&operator)?;
        killer.until(end(ns, &ca, &old, by), &operator).await?;
        end(ns, &ca, &old, by).await?;

        let heard = killer.heard().get(NEW_ACCOUNT).copied().unwrap_or_default();
        ensure!(heard == 2, "{heard} registrations, but there are two accounts");
        let new_key = key_in(ns, "ca-account-key", "tls.key").await?;
        ensure!(ca.has_deactivated(old_key).await?, "the first account lives on");
        ensure!(ca.has_deactivated(new_key).await?, "the second account lives on");
        let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
        ensure!(data.len() == 1, "keys are left: {:?}", data.keys());
        run = Some(killer.run().await?);
        Ok(())
    })
    .await?;
    run.context("it did not end")
}

/// Binds another account, deactivates the first one, and then the second one with its issuer; continues from wherever the last
/// run ended.
async fn end(ns: &TestNamespace, ca: &Ca, old: &str, by: By) -> Result<()> {
    let Some(present) = ns.get("issuer/ca").await? else { return Ok(()) };
    if present["metadata"]["deletionTimestamp"].is_null() {
        match by {
            By::KeyId => drop(ns.apply(&issuer(ca, "kid-2")).await?),
            By::Request => {
                let request = json!({"metadata": {"annotations": {"certwright.dev/rebind-account": "1"}}});
                ns.patch("issuer/ca", request).await?;
            }
        }
        let replaced = |issuer: &Value| issuer["status"]["acme"]["previousAccounts"][0]["uri"] == old;
        ns.wait("issuer/ca", SOON, replaced).await?;
        ns.patch("issuer/ca", deactivate(old)).await?;
        let ended =
            |issuer: &Value| issuer["status"]["acme"]["previousAccounts"][0]["deactivationTime"].is_string();
        ns.wait("issuer/ca", SOON, ended).await?;
        ns.delete_object("issuer/ca").await?;
    }
    ns.wait_gone("issuer/ca", SOON).await
}

fn issuer(ca: &Ca, key_id: &str) -> String {
    ca.issuer(&(external_account(key_id) + "    accountPolicy: { onDelete: Deactivate }\n"))
}

/// Whether a request registers an account with external account binding (RFC 8555 section 7.3.4).
fn registers(request: &RequestInfo) -> bool {
    let payload = payload(request).unwrap_or_default();
    request.path == NEW_ACCOUNT && String::from_utf8_lossy(&payload).contains("externalAccountBinding")
}
