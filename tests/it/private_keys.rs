//! Private keys: rare types, and those that take long to generate.

use crate::common::accounts::{Ca, registered};
use crate::common::faults::issuing;
use crate::common::{SOON, certificate, condition, issued, issuer, ready, revision, tls};
use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use certwright_cluster::{Operator, Pebble, StepCa, TestNamespace};
use certwright_pki::KeyAlgorithm;
use certwright_runtime::clock::Stopwatch;
use jiff::Timestamp;
use serde_json::{Value, json};

#[tokio::test]
async fn an_ed25519_key_is_made_for_a_ca_that_takes_it() -> Result<()> {
    TestNamespace::with("keys", async |ns| {
        let ca = StepCa::start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&issuer(&ca.directory_url, &ca.root_pem, "")).await?;
        ns.apply(&certificate("web", &["web.example.com"], "").replace("ECDSA", "Ed25519")).await?;
        issued(ns, "web").await?;
        let found = tls(ns, "web-tls").await?;
        assert_eq!(found.key.algorithm(), KeyAlgorithm::Ed25519);
        assert!(found.key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_takes_no_ed25519_key_is_quoted() -> Result<()> {
    TestNamespace::with("keys", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["web.example.com"], "").replace("ECDSA", "Ed25519")).await?;
        let (_, message) = issuing(ns, "web", "BadCSR").await?;
        assert!(message.contains("CSR signature algorithm Ed25519 is not supported"), "{message}");
        Ok(())
    })
    .await
}

/// Each of the RSA keys keeps a processor busy for seconds.
#[tokio::test]
async fn large_rsa_keys_hold_nobody_up() -> Result<()> {
    TestNamespace::with("keys", async |ns| {
        let (_pebble, operator) = ready(ns).await?;
        let large = ["rsa0", "rsa1", "rsa2", "rsa3"];
        for name in large {
            let yaml = certificate(name, &[&format!("{name}.example.com")], "");
            ns.apply(&yaml.replace("algorithm: ECDSA", "algorithm: RSA, size: 8192")).await?;
        }
        let begun = Stopwatch::start();
        ns.apply(&certificate("web", &["web.example.com"], "")).await?;
        issued(ns, "web").await?;
        println!(
            "an ECDSA certificate took {:?} while four RSA keys of 8192 bits were made",
            begun.elapsed()
        );
        let mut ready = 0;
        for name in large {
            let object = ns.get(&format!("certificate/{name}")).await?.unwrap_or_default();
            ready += usize::from(condition(&object, "Ready").is_some_and(|(status, ..)| status == "True"));
        }
        assert!(ready < large.len(), "the RSA keys took no time, so that this shows nothing");
        operator.terminate().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_defaults_of_an_issuer_apply_to_the_next_issuance_and_never_cause_one() -> Result<()> {
    TestNamespace::with("keys", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let defaults = "    certificateDefaults: { privateKey: { algorithm: ECDSA, size: 384 }, renewBefore: 48h }\n    \
                        csrSignatureHash: SHA256\n    renewalInformationSource: None\n";
        ns.apply(&ca.issuer(defaults)).await?;
        let yaml = certificate("web", &["web.example.com"], "");
        let (before, after) = yaml.split_once("  privateKey:").context("no privateKey")?;
        let after = after.split_once('\n').map_or("", |(_, after)| after);
        ns.apply(&format!("{before}{after}")).await?;
        let web = revision(ns, "web", 1).await?;
        assert_eq!(tls(ns, "web-tls").await?.key.algorithm(), KeyAlgorithm::ECDSA_P384);
        let time = |field: &str| -> Result<Timestamp> {
            Ok(web["status"][field].as_str().context(field.to_owned())?.parse()?)
        };
        let before = time("notAfter")?.duration_since(time("renewalTime")?).as_hours();
        // A renewal is moved forward by up to a tenth of the lifetime.
        ensure!((48..=48 + 9 * 24).contains(&before), "{}", web["status"]);
        // ecdsa-with-SHA256, and not ecdsa-with-SHA384.
        let requests = ca.overheard.those(|said| said.payload["csr"].is_string());
        let request = BASE64_URL_SAFE_NO_PAD.decode(requests[0].payload["csr"].as_str().unwrap_or_default())?;
        let has = |hash: u8| request.windows(10).any(|part| part == [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, hash]);
        ensure!(has(2) && !has(3), "it is signed with another hash");

        ns.apply(&ca.issuer("    certificateDefaults: { privateKey: { algorithm: RSA, size: 3072 } }\n")).await?;
        registered(ns, "ca").await?;
        ns.patch("certificate/web", json!({ "spec": { "renewBefore": "25h" } })).await?;
        let seen = |web: &Value| web["status"]["observedGeneration"] == web["metadata"]["generation"];
        let web = ns.wait("certificate/web", SOON, seen).await?;
        assert_eq!((&web["status"]["revision"], condition(&web, "Issuing").map(|issuing| issuing.0)), (&json!(1), Some("False".to_owned())));
        assert_eq!(tls(ns, "web-tls").await?.key.algorithm(), KeyAlgorithm::ECDSA_P384);
        ns.patch("certificate/web", json!({ "metadata": { "annotations": { "certwright.dev/renew": "1" } } })).await?;
        revision(ns, "web", 2).await?;
        assert_eq!(tls(ns, "web-tls").await?.key.algorithm(), KeyAlgorithm::Rsa(3072));
        Ok(())
    })
    .await
}
