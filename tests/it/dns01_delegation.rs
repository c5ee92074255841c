//! Challenge names that are delegated with CNAME records: across several zones, shared ones, and invalid ones.

use std::fs;

use crate::common::dns::{Ground, key, rfc2136, values, wait_values, waiting, with, with_lagging_server};
use crate::common::faults::{path, requests_to};
use crate::common::{SOON, certificate, hold, is_issued, issued, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Knot, ScriptedProvider, TestNamespace};
use serde_json::{Value, json};

#[tokio::test]
async fn a_delegated_name_is_followed_over_several_zones_and_servers() -> Result<()> {
    TestNamespace::with("delegation", async |ns| {
        let knot = Knot::start(&ns.cluster, "acme.test", &key()).await?;
        let ground = Ground::builder()
            .zone_with("a.test", |zone| zone.record("_acme-challenge CNAME a.hop.b.test.").refuse_updates())
            .zone_with("b.test", |zone| zone.record("a.hop CNAME x.acme.test.").refuse_updates())
            .zone_at("acme.test", &knot)
            .start(ns)
            .await?;
        ground.solve_by(ns, follow(&knot.address())).await?;
        knot.add_txt("x.acme.test", "of somebody else").await?;
        ns.apply(&certificate("web", &["a.test", "*.a.test"], "")).await?;
        issued(ns, "web").await?;
        assert_eq!(values(&knot, "x.acme.test").await?, ["of somebody else"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_certificates_that_share_a_delegated_name_have_their_values_there_side_by_side() -> Result<()> {
    TestNamespace::with("delegation", async |ns| {
        let ground = Ground::builder()
            .zone_with("b.test", |zone| zone.record("_acme-challenge CNAME x.a.test."))
            .zone_with("c.test", |zone| zone.record("_acme-challenge CNAME x.a.test."));
        let (ground, lagging) = with_lagging_server(ns, ground).await?;
        ground.solve_by(ns, follow(&ground.bind.address())).await?;
        ns.apply(&certificate("b", &["b.test"], "")).await?;
        ns.apply(&certificate("c", &["c.test"], "")).await?;
        let both = wait_values(&ground.bind, "x.a.test", 2).await?;
        let mut recorded = Vec::new();
        for name in ["b", "c"] {
            let waits = waiting(ns, name, "WaitingForPropagation", "x.a.test").await?;
            let [record] = &waits["status"]["dnsRecords"].as_array().context("no ledger")?[..] else {
                anyhow::bail!("not one record of {name}: {}", waits["status"]["dnsRecords"])
            };
            assert_eq!((&record["fqdn"], &record["zone"]), (&json!("x.a.test."), &json!("a.test.")));
            recorded.push(record["value"].as_str().context("no value")?.to_owned());
        }
        let of_c = recorded[1].clone();
        recorded.sort();
        assert_eq!(both, recorded);

        ns.delete_object("certificate/b").await?;
        ns.wait_gone("certificate/b", SOON).await?;
        assert_eq!(values(&ground.bind, "x.a.test").await?, [of_c], "the other one's value stays");
        lagging.catch_up().await?;
        issued(ns, "c").await?;
        assert_eq!(values(&ground.bind, "x.a.test").await?, [""; 0]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn certificates_that_share_a_delegated_name_are_issued_at_the_same_time() -> Result<()> {
    TestNamespace::with("delegation", async |ns| {
        let names = ["b", "c", "d", "e"];
        let ground = names.iter().fold(Ground::builder().zone("a.test"), |ground, name| {
            ground.zone_with(&format!("{name}.test"), |zone| zone.record("_acme-challenge CNAME x.a.test."))
        });
        let mut ground = ground.start(ns).await?;
        let proxy = ground.through_proxy(ns).await?;
        ground.solve_by(ns, follow(&ground.bind.address())).await?;
        ground.bind.add_txt("x.a.test", "of somebody else").await?;
        // The CA is told to validate, and its answer is held back: no order can finish before all have got this far.
        let mut held = hold(&proxy, path::CHALLENGE);
        let name = |name: &str| format!("{name}.test");
        let all: Vec<String> = names.iter().map(|one| certificate(one, &[&name(one)], "")).collect();
        ns.apply(&all.join("\n---\n")).await?;
        held.reached_by(names.len()).await.context("each order has its challenge validated")?;
        let together = values(&ground.bind, "x.a.test").await?;
        let mut expected = vec!["of somebody else".to_owned()];
        for name in names {
            let under_way = ns.get(&format!("certificate/{name}")).await?.context("it is gone")?;
            ensure!(!is_issued(&under_way), "{name} is issued before the others: {}", under_way["status"]);
            let value = under_way["status"]["dnsRecords"][0]["value"].as_str().context("no record")?;
            expected.push(value.to_owned());
        }
        expected.sort();
        assert_eq!(together, expected, "the values of all of them are there at once");
        assert_eq!(requests_to(&proxy, path::FINALIZE).len(), 0, "none is finalized yet");

        held.go_on(&proxy);
        for name in names {
            let issued = issued(ns, name).await?;
            assert_eq!(
                issued["status"]["failedIssuanceAttempts"],
                Value::Null,
                "{name} is issued by its first order"
            );
        }
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), names.len(), "one order each");
        assert_eq!(values(&ground.bind, "x.a.test").await?, ["of somebody else"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_wrong_with_a_cname_is_told_apart() -> Result<()> {
    TestNamespace::with("delegation", async |ns| {
        let mut ground = Ground::builder()
            .zone_with("a.test", |zone| {
                zone.record("_acme-challenge.loop CNAME one.b.test.")
                    .record("_acme-challenge.dangling CNAME x.nowhere.invalid.")
                    .record("*.wild CNAME www.a.test.")
                    .record("_acme-challenge.here CNAME x.b.test.")
                    .record("www A 192.0.2.10")
            })
            .zone_with("b.test", |zone| zone.record("one CNAME two").record("two CNAME one"))
            .start(ns)
            .await?;
        let proxy = ground.through_proxy(ns).await?;
        ground.issuer(ns, "follow", json!([{ "dns01": follow(&ground.bind.address()) }])).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        let cases = [
            (
                "follow",
                "loop",
                "WaitingForSolver",
                "the CNAMEs at _acme-challenge.loop.a.test form a loop (_acme-challenge.loop.a.test to \
                 one.b.test to two.b.test to one.b.test)",
            ),
            (
                "follow",
                "dangling",
                "WaitingForSolver",
                "the CNAME at _acme-challenge.dangling.a.test points to x.nowhere.invalid, but there is no such domain",
            ),
            (
                "ca",
                "here",
                "WaitingForPropagation",
                "has a CNAME there that points to x.b.test; set cnameStrategy to Follow or remove it",
            ),
        ];
        for (issuer, name, ..) in cases {
            ns.apply(&of_issuer(issuer, &certificate(name, &[&format!("{name}.a.test")], ""))).await?;
        }
        for (_, name, reason, words) in cases {
            waiting(ns, name, reason, words).await?;
        }
        assert_eq!(requests_to(&proxy, path::CHALLENGE).len(), 0, "the CA was told of none");

        // Each is fixed as its message says.
        let edits = "update delete _acme-challenge.loop.a.test. CNAME\n\
                     update delete _acme-challenge.dangling.a.test. CNAME\n\
                     update add _acme-challenge.dangling.a.test. 5 CNAME x.b.test.";
        ground.bind.edit(edits).await?;
        ground.solve_by(ns, follow(&ground.bind.address())).await?;
        for (_, name, ..) in cases {
            issued(ns, name).await.with_context(|| format!("{name} is mended"))?;
        }
        // A wildcard CNAME that catches the name by accident is passed over.
        ns.apply(&of_issuer("follow", &certificate("wild", &["wild.a.test"], ""))).await?;
        issued(ns, "wild").await?;
        assert_eq!(ground.values("wild.a.test").await?, ["192.0.2.10"; 0]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_acme_dns_account_answers_through_a_cname() -> Result<()> {
    TestNamespace::with("acme-dns", async |ns| {
        // acme-dns has no setting for a CA bundle, so the operator trusts the tests' CA.
        let roots = ns.cluster.description.state.join(format!("{}-roots.pem", ns.name));
        fs::write(&roots, ns.cluster.ca()?.pem)?;
        let ground =
            Ground::builder().zone("auth.test").environment("SSL_CERT_FILE", &roots.display().to_string());
        let name = "d420c923-bbd7-4056-ab64-c3ca54c9b3cf.auth.test";
        let delegated = format!("_acme-challenge CNAME {name}.");
        let ground = ground.zone_with("a.test", |zone| zone.record(&delegated)).start(ns).await?;
        let server = ScriptedProvider::acme_dns(&ns.cluster, &ground.bind, "auth.test").await?;
        let account = server.account().context("no account")?;
        assert_eq!(account.full_domain, name);
        let secret = |domain: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "accounts" },
                "stringData": { "acmedns.json": account.storage(domain).to_string() },
            })
            .to_string()
        };
        ns.apply(&secret("b.test")).await?;
        let solver = json!({ "acmeDNS": { "host": server.url, "accountSecretRef": { "name": "accounts" } } });
        ground.solve_by(ns, solver).await?;
        ns.apply(&certificate("web", &["*.a.test", "a.test"], "")).await?;
        let words = "there is no acme-dns account for a.test in acmeDNS.accountSecretRef (b.test)";
        let waits = waiting(ns, "web", "WaitingForSolver", words).await?;
        ensure!(!waits.to_string().contains(&account.password), "the password is shown");

        ns.apply(&secret("a.test")).await?;
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["dnsRecords"], Value::Null);
        assert_eq!(
            values(&ground.bind, name).await?.len(),
            2,
            "it keeps the last two values and removes none"
        );
        Ok(())
    })
    .await
}

/// A solver that follows CNAME records and updates the name server at `address`.
fn follow(address: &str) -> Value {
    with(json!({ "rfc2136": rfc2136(address) }), json!({ "cnameStrategy": "Follow" }))
}
