//! The TLS Secret: repaired when it is damaged, never taken from anybody, never taken by anybody.

use crate::common;

use crate::common::{SOON, base64, certificate, condition, issued, ready, revision, tls};
use anyhow::{Context, Result};
use certwright_cluster::TestNamespace;
use certwright_pki::{Curve, KeyAlgorithm, KeyEncoding, PrivateKey};
use serde_json::{Value, json};

#[tokio::test]
async fn a_changed_template_or_key_encoding_is_applied_without_another_certificate() -> Result<()> {
    TestNamespace::with("template", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["template.example.com"], "")).await?;
        let serial = issued(ns, "web").await?["status"]["serialNumber"].clone();
        let template = json!({ "labels": { "team": "a" }, "annotations": { "example.com/note": "b" } });
        let change = json!({ "spec": { "secretTemplate": template, "privateKey": { "encoding": "PKCS8" } } });
        ns.patch("certificate/web", change).await?;
        let secret =
            ns.wait("secret/web-tls", SOON, |secret| secret["metadata"]["labels"]["team"] == "a").await?;
        assert_eq!(secret["metadata"]["annotations"]["example.com/note"], "b");
        let key = tls(ns, "web-tls").await?.key_pem;
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "the key is written as PKCS#8");
        ns.patch("certificate/web", json!({ "spec": { "secretTemplate": null } })).await?;
        ns.wait("secret/web-tls", SOON, |secret| secret["metadata"]["labels"]["team"].is_null()).await?;
        assert_eq!(issued(ns, "web").await?["status"]["serialNumber"], serial, "it is the same certificate");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_secret_is_issued_again() -> Result<()> {
    TestNamespace::with("secret", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        let before = tls(ns, "web-tls").await?;
        ns.delete_object("secret/web-tls").await?;
        let after = revision(ns, "web", 2).await?;
        let found = tls(ns, "web-tls").await?;
        assert_ne!(found.chain.leaf().serial_number, before.chain.leaf().serial_number);
        assert_eq!(after["status"]["serialNumber"], found.chain.leaf().serial_number);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_with_another_key_is_issued_again() -> Result<()> {
    TestNamespace::with("secret", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        let other = PrivateKey::generate(KeyAlgorithm::Ecdsa(Curve::P256))?.to_pem(KeyEncoding::Pkcs8)?;
        ns.patch("secret/web-tls", json!({"data": {"tls.key": base64(&other)}})).await?;
        revision(ns, "web", 2).await?;
        assert_ne!(tls(ns, "web-tls").await?.key_pem, *other);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_with_an_unreadable_or_missing_certificate_is_issued_again() -> Result<()> {
    TestNamespace::with("secret", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        ns.patch("secret/web-tls", json!({"data": {"tls.crt": base64("garbage")}})).await?;
        revision(ns, "web", 2).await?;
        tls(ns, "web-tls").await?;
        // The API server accepts no kubernetes.io/tls Secret without the key, but the key may be empty.
        ns.patch("secret/web-tls", json!({"data": {"tls.crt": ""}})).await?;
        revision(ns, "web", 3).await?;
        tls(ns, "web-tls").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_foreign_secret_is_left_alone_until_its_owner_deletes_it() -> Result<()> {
    TestNamespace::with("secret", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let foreign =
            "{apiVersion: v1, kind: Secret, metadata: {name: web-tls}, stringData: {password: swordfish}}";
        ns.apply(foreign).await?;
        let before = ns.get("secret/web-tls").await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let refused = ns.wait("certificate/web", SOON, |object| reason(object) == "SecretNotOurs").await?;
        let (status, _, message) = condition(&refused, "Ready").context("no condition")?;
        assert_eq!(status, "False");
        assert!(message.contains("web-tls") && message.contains("delete it"), "{message}");
        assert_eq!(ns.get("secret/web-tls").await?, before, "not a byte is changed");

        ns.delete_object("secret/web-tls").await?;
        revision(ns, "web", 1).await?;
        tls(ns, "web-tls").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_that_somebody_else_makes_in_mid_issuance_is_left_alone() -> Result<()> {
    TestNamespace::with("secret", async |ns| {
        let (_pebble, proxy, _operator) =
            common::ready_through_proxy(ns, certwright_cluster::Pebble::builder(), "").await?;
        let mut held = common::hold(&proxy, "/finalize-order/");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        held.reached().await?;
        let foreign =
            "{apiVersion: v1, kind: Secret, metadata: {name: web-tls}, stringData: {password: swordfish}}";
        ns.apply(foreign).await?;
        let before = ns.get("secret/web-tls").await?;
        held.go_on(&proxy);
        ns.wait("certificate/web", SOON, |object| reason(object) == "SecretNotOurs").await?;
        assert_eq!(ns.get("secret/web-tls").await?, before, "not a byte is changed");
        common::wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn of_two_certificates_with_one_secret_the_older_has_it_until_it_is_deleted() -> Result<()> {
    TestNamespace::with("secret", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let sharing = |name: &str| {
            certificate(name, &[&format!("{name}.example.com")], "")
                .replace(&format!("{name}-tls"), "shared-tls")
        };
        ns.apply(&sharing("elder")).await?;
        ns.apply(&sharing("younger")).await?;
        issued(ns, "elder").await?;
        let refused =
            ns.wait("certificate/younger", SOON, |object| reason(object) == "SecretClaimed").await?;
        let (status, _, message) = condition(&refused, "Ready").context("no condition")?;
        assert_eq!(status, "False");
        assert!(message.contains("elder") && message.contains("shared-tls"), "{message}");
        assert_eq!(
            Vec::from_iter(&tls(ns, "shared-tls").await?.chain.leaf().dns_names),
            ["elder.example.com"]
        );

        ns.delete_object("certificate/elder").await?;
        issued(ns, "younger").await?;
        let found = tls(ns, "shared-tls").await?;
        assert_eq!(Vec::from_iter(&found.chain.leaf().dns_names), ["younger.example.com"]);
        let annotations = found.secret.metadata.annotations.unwrap_or_default();
        assert_eq!(annotations["certwright.dev/certificate-name"], "younger");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_name_added_and_a_name_removed_are_issued() -> Result<()> {
    TestNamespace::with("secret", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let steps: [&[&str]; 3] =
            [&["a.example.com"], &["a.example.com", "b.example.com"], &["b.example.com"]];
        for (index, names) in (1..).zip(steps) {
            ns.apply(&certificate("web", names, "")).await?;
            revision(ns, "web", index).await?;
            assert_eq!(Vec::from_iter(&tls(ns, "web-tls").await?.chain.leaf().dns_names), names);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn names_written_in_another_way_are_the_same_names() -> Result<()> {
    TestNamespace::with("secret", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com", "b.example.com"], "")).await?;
        let before = revision(ns, "web", 1).await?;
        ns.apply(&certificate("web", &["B.example.com", "A.Example.com"], "")).await?;
        let after = ns
            .wait("certificate/web", SOON, |object| {
                object["status"]["conditions"].as_array().is_some_and(|all| {
                    all.iter().all(|one| one["observedGeneration"] == object["metadata"]["generation"])
                })
            })
            .await?;
        assert_eq!(after["status"]["serialNumber"], before["status"]["serialNumber"]);
        assert_eq!(after["status"]["revision"], 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_others_add_to_the_secret_stays() -> Result<()> {
    TestNamespace::with("secret", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        let added = json!({
            "metadata": {"labels": {"team": "web"}, "annotations": {"example.com/note": "kept"}},
            "data": {"extra": base64("theirs")},
        });
        ns.patch("secret/web-tls", added).await?;
        let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
        ns.patch("certificate/web", renew).await?;
        revision(ns, "web", 2).await?;
        let secret = ns.get("secret/web-tls").await?.context("the Secret is gone")?;
        assert_eq!(secret["metadata"]["labels"]["team"], "web");
        assert_eq!(secret["metadata"]["annotations"]["example.com/note"], "kept");
        assert_eq!(secret["data"]["extra"], base64("theirs"));
        Ok(())
    })
    .await
}

fn reason(certificate: &Value) -> String {
    condition(certificate, "Ready").map(|(_, reason, _)| reason).unwrap_or_default()
}
