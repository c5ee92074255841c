//! dns-account-01: each account has its own name for the TXT record.

use crate::common::dns::{Ground, values, waiting};
use crate::common::faults::{path, requests_to};
use crate::common::{certificate, hold, issued, of_issuer, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_acme::account_label;
use certwright_cluster::TestNamespace;
use certwright_cluster::proxy::Action;
use serde_json::{Value, json};

#[tokio::test]
async fn two_accounts_prove_one_name_at_the_same_time() -> Result<()> {
    TestNamespace::with("account01", async |ns| {
        let mut ground = Ground::of_zones(ns, &["a.test"]).await?;
        let proxy = ground.through_proxy(ns).await?;
        let mut names = Vec::new();
        for name in ["one", "two"] {
            ground.issuer(ns, name, json!([{ "dns01": labelled(&ground) }])).await?;
            let issuer = ns.get(&format!("issuer/{name}")).await?.context("no issuer")?;
            let account = issuer["status"]["acme"]["uri"].as_str().context("no account")?;
            names.push(format!("{}._acme-challenge.a.test", account_label(account)));
        }
        let mut held = hold(&proxy, path::CHALLENGE);
        for name in ["one", "two"] {
            ns.apply(&of_issuer(name, &certificate(name, &["a.test", "*.a.test"], ""))).await?;
        }
        // Each Certificate tells the CA about both of its names at once.
        held.reached_by(4).await?;
        for name in &names {
            assert_eq!(values(&ground.bind, name).await?.len(), 2, "the apex and the wildcard, at {name}");
        }
        assert_eq!(ground.values("a.test").await?, [""; 0], "nothing is at the name that all accounts share");
        held.go_on(&proxy);
        for name in ["one", "two"] {
            let object = issued(ns, name).await?;
            assert_eq!(object["status"]["dnsRecords"], Value::Null);
        }
        for name in &names {
            assert_eq!(values(&ground.bind, name).await?, [""; 0], "{name}");
        }
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_ca_that_does_not_offer_it_is_told_of() -> Result<()> {
    TestNamespace::with("account01", async |ns| {
        let mut ground = Ground::of_zones(ns, &["a.test"]).await?;
        let proxy = ground.through_proxy(ns).await?;
        proxy.script(|request| match request.path.starts_with(path::AUTHORIZATION) {
            true => crate::common::faults::change_json(|authorization| {
                if let Some(challenges) = authorization["challenges"].as_array_mut() {
                    challenges.retain(|challenge| challenge["type"] != "dns-account-01");
                }
            }),
            false => Action::Pass,
        });
        ground.solve_by(ns, labelled(&ground)).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let (_, message) = crate::common::faults::issuing(ns, "web", "NoSolver").await?;
        ensure!(message.contains("but the issuer's solvers for this name use dns-account-01"), "{message}");
        assert_eq!(requests_to(&proxy, path::CHALLENGE).len(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_record_that_is_late_is_shown_with_the_name_of_the_account() -> Result<()> {
    TestNamespace::with("account01", async |ns| {
        let (ground, lagging) = crate::common::dns::with_lagging_server(ns, Ground::builder()).await?;
        ground.solve_by(ns, labelled(&ground)).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let issuer = ns.get("issuer/ca").await?.context("no issuer")?;
        let label = account_label(issuer["status"]["acme"]["uri"].as_str().context("no account")?);
        waiting(ns, "web", "WaitingForPropagation", &format!("{label}._acme-challenge.a.test")).await?;
        lagging.catch_up().await?;
        issued(ns, "web").await.map(drop)
    })
    .await
}

/// A solver whose records have the label of the account.
fn labelled(ground: &Ground) -> Value {
    crate::common::dns::with(ground.rfc2136(), json!({ "label": "Account" }))
}
