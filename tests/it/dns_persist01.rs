//! dns-persist-01: a TXT record that a person sets once. Certwright prints it and looks for it, and never changes DNS.

use crate::common::dns::{Ground, values, waiting};
use crate::common::faults::{change_json, event, path, requests_to};
use crate::common::program::certwright;
use crate::common::{certificate, issued, revision};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Proxy, TestNamespace};
use certwright_runtime::clock;
use serde_json::{Value, json};

/// Pebble's name in records.
const CA: &str = "pebble.letsencrypt.org";
const FQDN: &str = "_validation-persist.a.test";

#[tokio::test]
async fn the_record_that_is_printed_is_enough_for_every_issuance() -> Result<()> {
    TestNamespace::with("persist01", async |ns| {
        let ground = Ground::of_zones(ns, &["a.test"]).await?;
        ground.solvers(ns, json!([{ "dnsPersist01": {} }])).await?;
        let account = account(ns).await?;
        let line = format!("{FQDN}. IN TXT \"{CA}; accounturi={account}; policy=wildcard\"\n");
        let names =
            ["dns-record", "issuer", "ca", "--dns-name", "a.test,*.a.test", "--egress-allow", "127.0.0.0/8"];
        let printed = certwright(ns, &names).await?.ended(0)?;
        assert_eq!(printed.output, line);

        // What is printed is what nsupdate and zone files take.
        ground.bind.edit(&format!("update add {}", printed.output.trim().replace(" IN ", " 5 IN "))).await?;
        let before = values(&ground.bind, FQDN).await?;
        ns.apply(&certificate("web", &["a.test", "*.a.test"], "")).await?;
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["dnsRecords"], Value::Null);
        assert_eq!(web["status"]["persistUntil"], Value::Null);
        ensure!(web["metadata"]["finalizers"].is_null(), "nothing is to be removed: {}", web["metadata"]);
        certwright(ns, &["renew", "web", "--wait"]).await?.ended(0)?;
        revision(ns, "web", 2).await?;
        assert_eq!(values(&ground.bind, FQDN).await?, before, "nobody changes DNS");
        assert_eq!(ground.values("a.test").await?, [""; 0]);
        let of_certificate = ["dns-record", "certificate", "web", "--egress-allow", "127.0.0.0/8"];
        assert_eq!(certwright(ns, &of_certificate).await?.ended(0)?.output, line);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_wrong_record_has_its_sentence_before_the_ca_is_told() -> Result<()> {
    TestNamespace::with("persist01", async |ns| {
        let (ground, proxy) = start(ns, json!({})).await?;
        let account = account(ns).await?;
        let good = format!("{CA}; accounturi={account}");
        let set = format!("set {FQDN}. IN TXT \"{good}\"");
        let missing = format!("there is no TXT record at {FQDN}: {set}");
        let cases = [
            (None, missing.as_str()),
            (Some("v=spf1 -all".to_owned()), "the TXT record is for another CA at "),
            (Some(format!("{CA}; accounturi={account}0")), "the TXT record is for another account ("),
            (Some(format!("{CA}; accounturi")), "the TXT record is malformed ("),
            (
                Some(format!("{good}; persistUntil=1700000000")),
                "the TXT record ended at 2023-11-14T22:13:20Z, which is its persistUntil",
            ),
        ];
        for (index, (value, words)) in cases.into_iter().enumerate() {
            if let Some(value) = value {
                ground.bind.edit(&replace(&value)).await?;
            }
            let name = format!("web-{index}");
            ns.apply(&certificate(&name, &["a.test"], "")).await?;
            let web = waiting(ns, &name, "WaitingForRecord", words).await?;
            assert_eq!(web["status"]["challenges"][0]["way"], "PersistentRecord");
            ns.delete_object(&format!("certificate/{name}")).await?;
        }
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        waiting(ns, "web", "WaitingForRecord", "the TXT record ended at ").await?;
        ground.bind.edit(&replace(&good)).await?;
        issued(ns, "web").await?;
        let told = requests_to(&proxy, path::CHALLENGE).len();
        assert_eq!(told, 1, "the CA was told of the right record only");
        ns.apply(&certificate("wildcard", &["*.a.test"], "")).await?;
        let words = "the TXT record does not allow wildcards, because it has no policy=wildcard (";
        waiting(ns, "wildcard", "WaitingForRecord", words).await?;
        // Records of several CAs stand side by side.
        ground.bind.add_txt(FQDN, "other.test; accounturi=https://other.test/1").await?;
        ground.bind.add_txt(FQDN, &format!("{good}; policy=wildcard")).await?;
        issued(ns, "wildcard").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_record_that_ends_before_the_certificate_is_warned_of() -> Result<()> {
    TestNamespace::with("persist01", async |ns| {
        let (ground, _proxy) =
            start(ns, json!({ "persistUntil": "2099-01-01T00:00:00Z", "policy": "Wildcard" })).await?;
        let account = account(ns).await?;
        let names = ["dns-record", "issuer", "ca", "--dns-name", "a.test", "--egress-allow", "127.0.0.0/8"];
        certwright(ns, &names).await?.ended(0)?.says(&["; policy=wildcard; persistUntil=4070908800\"\n"])?;
        // In an hour.
        let soon = clock::now().as_second() + 3600;
        ground.bind.add_txt(FQDN, &format!("{CA}; accounturi={account}; persistUntil={soon}")).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let web = issued(ns, "web").await?;
        ensure!(web["status"]["persistUntil"].is_string(), "{}", web["status"]);
        let (kind, note) = event(ns, "web", "RecordEnds").await?;
        assert_eq!(kind, "Warning");
        ensure!(note.starts_with("A TXT record that proves control of the names ends at "), "{note}");
        certwright(ns, &["status", "certificate", "web"]).await?.says(&["Record ends"])?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_of_the_second_draft_gets_a_hash_of_the_account() -> Result<()> {
    TestNamespace::with("persist01", async |ns| {
        let mut ground = Ground::of_zones(ns, &["a.test"]).await?;
        let proxy = ground.through_proxy(ns).await?;
        // No CA here implements it. This one does not know the hash, and reads the record that names the account itself.
        proxy.script(|request| match &request.path {
            path if path.starts_with(path::DIRECTORY) => change_json(|directory| {
                directory["meta"]["accountHashPrefix"] = json!("https://ca.test/account-hash/");
                directory["meta"]["issuerDomainNames"] = json!([CA]);
            }),
            path if path.starts_with(path::AUTHORIZATION) => change_json(|authorization| {
                let challenges = authorization["challenges"].as_array_mut().into_iter().flatten();
                for challenge in challenges.filter(|challenge| challenge["type"] == "dns-persist-01") {
                    challenge["issuerDomainNames"] = challenge["issuer-domain-names"].take();
                }
            }),
            _ => Action::Pass,
        });
        ground.solvers(ns, json!([{ "dnsPersist01": {} }])).await?;
        let names = ["dns-record", "issuer", "ca", "--dns-name", "a.test", "--egress-allow", "127.0.0.0/8"];
        let line = certwright(ns, &names).await?.ended(0)?.output;
        let hashed = format!("{FQDN}. IN TXT \"{CA}; accounturi=https://ca.test/account-hash/sha-256/");
        ensure!(line.starts_with(&hashed), "{line}");
        ground.bind.add_txt(FQDN, &format!("{CA}; accounturi={}", account(ns).await?)).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        waiting(ns, "web", "WaitingForRecord", "the TXT record is for another account (").await?;
        waiting(ns, "web", "WaitingForRecord", &format!("set {}", line.trim())).await?;
        assert_eq!(requests_to(&proxy, path::CHALLENGE).len(), 0);
        ground.bind.edit(&format!("update add {}", line.trim().replace(" IN ", " 5 IN "))).await?;
        issued(ns, "web").await?;
        assert_eq!(requests_to(&proxy, path::CHALLENGE).len(), 1, "the CA was told of it");
        Ok(())
    })
    .await
}

/// A zone, and an Issuer behind a proxy with this solver.
async fn start(ns: &TestNamespace, solver: Value) -> Result<(Ground, Proxy)> {
    let mut ground = Ground::of_zones(ns, &["a.test"]).await?;
    let proxy = ground.through_proxy(ns).await?;
    ground.solvers(ns, json!([{ "dnsPersist01": solver }])).await?;
    Ok((ground, proxy))
}

/// The URL of the account of the Issuer `ca`.
async fn account(ns: &TestNamespace) -> Result<String> {
    let issuer = ns.get("issuer/ca").await?.context("no issuer")?;
    Ok(issuer["status"]["acme"]["uri"].as_str().context("no account")?.to_owned())
}

/// Commands that replace the record.
fn replace(value: &str) -> String {
    format!("update delete {FQDN}. TXT\nupdate add {FQDN}. 5 TXT \"{value}\"")
}
