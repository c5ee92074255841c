//! `selfCheck` and `waitInsteadOfSelfCheck` of a solver: without a check, with another deadline, with other name servers.

use crate::common::dns::{Ground, waiting, with, with_lagging_server};
use crate::common::faults::{issuing, steady};
use crate::common::{SOON, certificate, issued, issuer};
use anyhow::{Result, ensure};
use certwright_cluster::{Bind, Operator, Pebble, TestNamespace};
use certwright_runtime::clock::Stopwatch;
use serde_json::json;

#[tokio::test]
async fn a_ca_is_told_at_once_or_after_the_deadline_of_the_solver() -> Result<()> {
    TestNamespace::with("selfcheck", async |ns| {
        // The CA validates whatever it is told of, and the operator can see none of it.
        let pebble = steady().always_valid().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        for (name, check) in [
            ("unchecked", json!({ "selfCheck": { "disabled": true } })),
            ("short", json!({ "selfCheck": { "timeout": "2s" } })),
            // cert-manager's name for the same.
            ("waiting", json!({ "waitInsteadOfSelfCheck": "1s" })),
        ] {
            apply_issuer(ns, &pebble, check).await?;
            let watch = Stopwatch::start();
            ns.apply(&certificate(name, &["nowhere.invalid"], "")).await?;
            issued(ns, name).await?;
            let took = watch.elapsed();
            ensure!(took.as_secs() < 20, "{name}: the default deadline is a minute, but it took {took:?}");
        }
        // It waits as long as it is told to, and then does not look.
        apply_issuer(ns, &pebble, json!({ "waitInsteadOfSelfCheck": "10s" })).await?;
        ns.apply(&certificate("later", &["later.invalid"], "")).await?;
        let (_, message) = issuing(ns, "later", "WaitingForSelfCheck").await?;
        ensure!(message.starts_with("The CA is told to validate at "), "{message}");
        ensure!(message.ends_with(", without a self-check, as its solver says"), "{message}");
        issued(ns, "later").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_name_is_looked_up_at_the_name_servers_of_the_solver() -> Result<()> {
    TestNamespace::with("selfcheck", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let bind = Bind::builder().zone("a.test").start(&ns.cluster).await?;
        apply_issuer(ns, &pebble, json!({ "selfCheck": { "nameservers": [bind.address()] } })).await?;
        ns.apply(&certificate("web", &["www.a.test"], "")).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSelfCheck").await?;
        ensure!(message.contains("DNS has no name www.a.test (NXDOMAIN)"), "{message}");
        let nobody = json!({ "selfCheck": { "nameservers": ["ns.a.test"] } });
        apply_issuer(ns, &pebble, nobody).await?;
        ns.apply(&certificate("misspelled", &["web.a.test"], "")).await?;
        let (_, message) = issuing(ns, "misspelled", "WaitingForSelfCheck").await?;
        ensure!(
            message.contains("selfCheck.nameservers: \"ns.a.test\" is neither ip nor ip:port"),
            "{message}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_record_that_is_late_is_told_of_after_the_deadline_of_the_solver() -> Result<()> {
    TestNamespace::with("selfcheck", async |ns| {
        let (ground, _lagging) = with_lagging_server(ns, Ground::builder()).await?;
        let solver =
            |timeout: &str| json!([{ "dns01": ground.rfc2136(), "selfCheck": { "timeout": timeout } }]);
        ground.solvers(ns, solver("1h")).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        waiting(ns, "web", "WaitingForPropagation", "1 of 2 name servers of a.test have the TXT record")
            .await?;
        ground.solvers(ns, solver("1s")).await?;
        // The CA asks the server that has the record.
        issued(ns, "web").await.map(drop)
    })
    .await
}

/// Applies the Issuer `ca`, which solves http-01 with these settings of the self-check.
async fn apply_issuer(ns: &TestNamespace, pebble: &Pebble, check: serde_json::Value) -> Result<()> {
    ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
    let solver = with(json!({ "http01": { "ingress": { "ingressClassName": "router" } } }), check);
    ns.patch("issuer/ca", json!({ "spec": { "acme": { "solvers": [solver] } } })).await?;
    ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
    Ok(())
}
