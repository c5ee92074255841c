//! Private keys: rare types, and those that take long to generate.

use crate::common::faults::issuing;
use crate::common::{certificate, condition, issued, issuer, ready, tls};
use anyhow::Result;
use certwright::runtime::clock::Stopwatch;
use certwright_cluster::{Operator, StepCa, TestNamespace};
use certwright_pki::KeyAlgorithm;

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
