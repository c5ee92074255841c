//! A node whose clock is a day ahead: the operator uses the CA's clock.

use std::time::Duration;

use crate::common::overheard::NEW_ORDER;
use crate::common::{SOON, certificate, count, issued, issuer, revision, stays_as_it_is, tls};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{FakeClock, Operator, Pebble, Proxy, TestNamespace};
use serde_json::json;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_a_day_ahead_makes_no_storm_of_orders() -> Result<()> {
    TestNamespace::with("clock", async |ns| {
        // By the operator's clock, they expire as soon as they are issued.
        let pebble = Pebble::builder().certificate_validity(DAY / 4).start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let clock = FakeClock::fast(&ns.cluster, 1)?;
        clock.leap(DAY)?;
        let operator = Operator::builder(ns).clock(&clock).start().await?;
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("web", &["clock.example.com"], "")).await?;
        issued(ns, "web").await?;
        tls(ns, "web-tls").await?;
        assert_eq!(count(&proxy, NEW_ORDER), 1);
        ensure!(
            operator.logs().iter().any(|line| line.contains("the clocks of this node and the CA differ")),
            "no word of it"
        );

        // After a restart, the operator does not know the CA's clock, and asks for it before it places an order.
        operator.restart().await?;
        ns.wait_condition("certificate/web", "Ready", "True", SOON).await?;
        stays_as_it_is(ns, "web", Duration::from_secs(3)).await?;
        let object = ns.get("certificate/web").await?.context("it is gone")?;
        assert_eq!(object["status"]["revision"], 1, "{}", object["status"]);
        assert_eq!(count(&proxy, NEW_ORDER), 1);

        // If a certificate is due for another reason, it is ordered.
        ns.patch("certificate/web", json!({ "spec": { "dnsNames": ["other.example.com"] } })).await?;
        revision(ns, "web", 2).await?;
        assert_eq!(count(&proxy, NEW_ORDER), 2);
        Ok(())
    })
    .await
}
