//! dns-01: a TXT record put into the DNS, seen by all name servers, and removed again.

mod common;

use anyhow::{Context, Result, ensure};
use certwright_cluster::TestNamespace;
use common::dns::Ground;
use common::{certificate, issued, tls, wait_nothing_left};
use serde_json::Value;

#[tokio::test]
async fn a_wildcard_and_its_apex_are_proved_by_two_values_at_one_name() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        let ground = Ground::of_zones(ns, &["a.test"]).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        ground.bind.add_txt("_acme-challenge.a.test", "of somebody else").await?;
        ns.apply(&certificate("web", &["a.test", "*.a.test", "www.a.test"], "")).await?;
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["dnsRecords"], Value::Null, "nothing is left in the ledger");
        ensure!(web["metadata"]["finalizers"].is_null(), "nor a finalizer: {}", web["metadata"]);
        let leaf = tls(ns, "web-tls").await?.chain.leaf().clone();
        assert_eq!(leaf.dns_names.len(), 3);
        ensure!(leaf.dns_names.iter().any(|name| name == "*.a.test"), "{:?}", leaf.dns_names);
        assert_eq!(ground.values("a.test").await?, ["of somebody else"], "only ours are removed");
        assert_eq!(ground.values("www.a.test").await?, [""; 0]);
        let order = web["status"]["order"].as_object();
        ensure!(order.is_none(), "{order:?}");
        wait_nothing_left(ns).await.context("nothing is left")
    })
    .await
}
