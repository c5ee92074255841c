//! More Certificates than concurrent orders of an account.

use crate::common;

use crate::common::faults::{issuing, path, ready_behind_proxy, steady};
use crate::common::{SOON, certificate, issued};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, TestNamespace};
use serde_json::Value;

#[tokio::test]
async fn never_more_orders_are_under_way_than_the_account_may_have() -> Result<()> {
    TestNamespace::with("queue", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--orders-per-account", "2").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let all: Vec<String> =
            names.iter().map(|name| certificate(name, &[&format!("{name}.test")], "")).collect();
        ns.apply(&all.join("\n---\n")).await?;
        for name in names {
            issued(ns, name).await?;
        }
        let (mut under_way, mut most) = (0_usize, 0);
        for record in proxy.requests() {
            if record.path == path::NEW_ORDER {
                under_way += 1;
            } else if record.path.starts_with(path::FINALIZE) {
                under_way = under_way.checked_sub(1).context("more were finalized than ordered")?;
            }
            most = most.max(under_way);
        }
        assert_eq!(most, 2, "all places were used, and no more");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_without_a_place_says_so_and_gets_the_place_of_one_that_is_deleted() -> Result<()> {
    TestNamespace::with("queue", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--orders-per-account", "2").start().await?;
        let _proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let host = |name: &str| format!("{name}.{}.test", ns.name);
        let dns = ns.cluster.dns()?;
        for name in ["deleted", "stuck"] {
            dns.set_a(&host(name), &[NOBODY]).await?;
            ns.apply(&certificate(name, &[&host(name)], "")).await?;
            let holds_place = |object: &Value| !object["status"]["challenges"].is_null();
            ns.wait(&format!("certificate/{name}"), SOON, holds_place).await?;
        }
        for name in ["third", "fourth"] {
            ns.apply(&certificate(name, &[&host(name)], "")).await?;
            let (queued, message) = issuing(ns, name, "Queued").await?;
            ensure!(
                message.contains("the account of Issuer ca is limited to 2 concurrent orders"),
                "{name}: {message}"
            );
            let (ready, reason, _) = common::condition(&queued, "Ready").context("no condition Ready")?;
            assert_eq!((ready.as_str(), reason.as_str()), ("False", "Queued"));
            assert_eq!(queued["status"]["order"], Value::Null, "nothing is ordered without a place");
        }
        ns.delete_object("certificate/deleted").await?;
        issued(ns, "third").await?;
        issued(ns, "fourth").await?;
        let stuck = ns.get("certificate/stuck").await?.context("it is gone")?;
        ensure!(!stuck["status"]["order"].is_null(), "it was its own place that was freed, not this one's");
        dns.clear_a(&host("stuck")).await?;
        issued(ns, "stuck").await?;
        Ok(())
    })
    .await
}

/// An address where nothing listens on port 80.
const NOBODY: &str = "127.80.2.1";
