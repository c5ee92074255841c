//! CAA records are checked before an order is placed, if the CA's directory says which names it has in them.

use crate::common::dns::{Ground, GroundBuilder};
use crate::common::faults::{change_json, event, issuing, path, requests_to};
use crate::common::program::certwright;
use crate::common::{SOON, certificate, issued};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Proxy, TestNamespace};
use http::Method;
use serde_json::json;

#[tokio::test]
async fn a_name_that_the_ca_must_refuse_is_not_ordered_until_the_record_is_corrected() -> Result<()> {
    TestNamespace::with("caa", async |ns| {
        let zone = impatient()
            .zone_with("a.test", |zone| zone.record("@ CAA 0 issue \"other.test\"").record("www A 192.0.2.1"));
        let (ground, proxy) = start(ns, zone).await?;
        ns.apply(&certificate("web", &["www.a.test"], "")).await?;
        let (object, message) = issuing(ns, "web", "CAA").await?;
        assert_eq!(
            message,
            "No order was placed. The CAA records of a.test do not allow ca.test to issue for www.a.test: none of them is \
             for this CA (0 issue \"other.test\"); add the record a.test. IN CAA 0 issue \"ca.test\", and check the result \
             with: dig a.test CAA"
        );
        ensure!(object["status"]["nextAttemptTime"].is_string(), "{object}");
        assert_eq!(event(ns, "web", "CAA").await?, ("Warning".to_owned(), message));
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 0, "the CA was not asked");
        let resolver = ground.resolver.address();
        let check = ["check", "--operator-namespace", &ns.name, "--nameservers", &resolver];
        certwright(ns, &check).await?.ended(3)?.says(&[
            "fail  www.a.test: the CAA records of a.test do not allow ca.test to issue for www.a.test: ",
            "To allow it, add the record a.test. IN CAA 0 issue \"ca.test\", ",
        ])?;

        // It is enough to add what the message says.
        ground.bind.edit("update add a.test. 5 CAA 0 issue \"ca.test\"").await?;
        issued(ns, "web").await?;
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 1);
        certwright(ns, &check).await?.says(&["ok    www.a.test: the CAA records of a.test allow ca.test to issue"])?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_record_may_be_for_another_account_or_another_way_of_validation() -> Result<()> {
    TestNamespace::with("caa", async |ns| {
        let (ground, proxy) = start(ns, impatient().zone("a.test")).await?;
        let issuer = ns.get("issuer/ca").await?.context("no issuer")?;
        let account = issuer["status"]["acme"]["uri"].as_str().context("no account")?;
        let set =
            |value: &str| format!("update delete a.test. CAA\nupdate add a.test. 5 CAA 0 issue \"{value}\"");
        ground.bind.edit(&set(&format!("ca.test; accounturi={account}0"))).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let (_, message) = issuing(ns, "web", "CAA").await?;
        let record = format!("add the record a.test. IN CAA 0 issue \"ca.test; accounturi={account}\", ");
        ensure!(message.contains("those for this CA are for another account (0 issue "), "{message}");
        ensure!(message.contains(&record), "{message}");
        ground.bind.edit(&set(&format!("ca.test; accounturi={account}; validationmethods=http-01"))).await?;
        let says = |words: &'static str| {
            move |object: &serde_json::Value| object["status"]["conditions"].to_string().contains(words)
        };
        ns.wait("certificate/web", SOON, says("do not allow validation with dns-01")).await?;
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 0);
        ground.bind.edit(&set(&format!("ca.test; accounturi={account}; validationmethods=dns-01"))).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wildcard_is_allowed_by_issuewild_and_an_issuer_can_do_without() -> Result<()> {
    TestNamespace::with("caa", async |ns| {
        let zone = impatient().zone_with("a.test", |zone| {
            zone.record("@ CAA 0 issue \"ca.test\"")
                .record("@ CAA 0 issuewild \";\"")
                .record("@ CAA 0 iodef \"mailto:a@a.test\"")
        });
        let (_ground, proxy) = start(ns, zone).await?;
        ns.apply(&certificate("plain", &["a.test", "www.a.test"], "")).await?;
        issued(ns, "plain").await?;
        let ordered = requests_to(&proxy, path::NEW_ORDER).len();
        ns.apply(&certificate("wild", &["a.test", "*.a.test"], "")).await?;
        let (_, message) = issuing(ns, "wild", "CAA").await?;
        ensure!(message.contains("to issue for *.a.test: none of them"), "{message}");
        ensure!(message.contains("a.test. IN CAA 0 issuewild \"ca.test\""), "{message}");
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), ordered);
        ns.patch("issuer/ca", json!({"spec": {"acme": {"caaCheck": "None"}}})).await?;
        issued(ns, "wild").await?;
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), ordered + 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_lookup_that_fails_does_not_hold_up_an_order() -> Result<()> {
    TestNamespace::with("caa", async |ns| {
        let (ground, proxy) = start(ns, impatient().zone("bogus.test").signed("bogus.test")).await?;
        ns.apply(&certificate("web", &["bogus.test"], "")).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSolver").await?;
        ensure!(message.contains("SERVFAIL"), "{message}");
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 1);
        let resolver = ground.resolver.address();
        let check = ["check", "--operator-namespace", &ns.name, "--nameservers", &resolver];
        certwright(ns, &check).await?.ended(3)?.says(&[
            "fail  bogus.test: looking up the CAA records of bogus.test failed: ",
            "Without validation of DNSSEC, there is an answer",
            "The DNSSEC signatures of the zone, or its DS records, are wrong.",
        ])?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_identities_in_the_directory_nothing_is_looked_up() -> Result<()> {
    TestNamespace::with("caa", async |ns| {
        let zone = impatient().zone_with("a.test", |zone| zone.record("@ CAA 0 issue \"other.test\""));
        let (ground, _proxy) = start_as(ns, zone, &[]).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        issued(ns, "web").await?;
        let queries = ground.resolver.queries()?;
        let asked: Vec<_> = queries.iter().filter(|query| query.kind == "CAA").collect();
        ensure!(!queries.is_empty() && asked.is_empty(), "{asked:?}");
        let resolver = ground.resolver.address();
        let check = ["check", "--operator-namespace", &ns.name, "--nameservers", &resolver];
        certwright(ns, &check).await?.says(&[
            "ok    a.test: a.test has CAA records, but the CA does not say in its directory which names it has in them",
        ])?;
        Ok(())
    })
    .await
}

fn impatient() -> GroundBuilder {
    Ground::builder().argument("--backoff-first", "1s").argument("--backoff-longest", "1s")
}

/// A CA whose directory says that its name is `ca.test`, and an Issuer for it that solves dns-01.
async fn start(ns: &TestNamespace, ground: GroundBuilder) -> Result<(Ground, Proxy)> {
    start_as(ns, ground, &["ca.test"]).await
}

/// The same, with these names of the CA.
async fn start_as(
    ns: &TestNamespace,
    ground: GroundBuilder,
    identities: &'static [&str],
) -> Result<(Ground, Proxy)> {
    let mut ground = ground.start(ns).await?;
    let proxy = ground.through_proxy(ns).await?;
    proxy.script(move |request| match request.method {
        Method::GET if request.path.starts_with(path::DIRECTORY) => {
            change_json(move |directory| directory["meta"]["caaIdentities"] = json!(identities))
        }
        _ => Action::Pass,
    });
    ground.solve_by(ns, ground.rfc2136()).await?;
    Ok((ground, proxy))
}
