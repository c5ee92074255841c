//! The operator is killed after each of its writes while an issuer proves a name ahead of any order, and started again.

use std::time::Duration;

use crate::common::crash::{Killer, Run, When, walk};
use crate::common::dns::issuer;
use crate::common::faults::steady;
use crate::common::{SOON, condition};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Bind, Operator, Proxy, ScriptedProvider, TestNamespace};
use serde_json::{Value, json};

/// The account, the finalizer, the authorization, its record and its challenge, each with what the status says of it.
const LEAST_WRITES: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_a_kept_name_and_no_record() -> Result<()> {
    walk(LEAST_WRITES, |point| life(point, When::Answered)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_leaves_a_kept_name_and_no_record() -> Result<()> {
    walk(LEAST_WRITES, |point| life(point, When::NotSent)).await
}

async fn life(point: usize, when: When) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("crash", async |ns| {
        let bind = Bind::builder().zone("crash.test").start(&ns.cluster).await?;
        let pebble = steady().new_authz(Duration::from_secs(24 * 3600)).dns_server(&bind.address());
        let pebble = pebble.start(&ns.cluster).await?;
        let provider = ScriptedProvider::http().await?.publish_to(&bind);
        let ca = Proxy::start(&ns.cluster, &pebble.address).await?;
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let killer = Killer::new(when, point, |request| request.path == "/new-authz");
        [&ca, &api].into_iter().for_each(|proxy| killer.stand_at(proxy));
        let judge = killer.clone();
        provider.script(move |request| judge.judge_provider(request));
        let operator = Operator::builder(ns)
            .api_server(&api.url)
            .argument("--backoff-first", "1s")
            .argument("--dns01-recursive-nameservers", &bind.address())
            .start()
            .await?;
        killer.arm(&operator)?;
        let solvers = json!([{ "dns01": { "httpRequest": { "url": provider.url } } }]);
        let mut issuer = issuer("ca", &format!("{}/dir", ca.url), &pebble.ca_pem, &solvers);
        issuer["spec"]["acme"]["authorizations"] = json!([{ "dnsName": "crash.test" }]);
        ns.apply(&issuer.to_string()).await?;
        let kept = |issuer: &Value| {
            let is = |type_: &str| condition(issuer, type_).is_some_and(|(status, ..)| status == "True");
            let left = [&issuer["status"]["dnsRecords"], &issuer["metadata"]["finalizers"]];
            is("Ready") && is("AuthorizationsKept") && left.iter().all(|left| left.is_null())
        };
        killer.until(ns.wait("issuer/ca", SOON, kept), &operator).await?;
        ns.wait("issuer/ca", SOON, kept).await?;
        let left = bind.query("_acme-challenge.crash.test", "TXT").await?;
        ensure!(left.is_empty(), "left in the DNS: {left:?}");
        // At most the answer to one request is lost.
        let heard = killer.heard().get("/new-authz").copied().unwrap_or_default();
        ensure!((1..=2).contains(&heard), "{heard} requests for one name");
        run = Some(killer.run().await?);
        Ok(())
    })
    .await?;
    run.context("it did not end")
}
