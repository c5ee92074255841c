//! A new key id binds a new account; the previous account stays on record until it is deactivated on request.

mod same_key_id;

use crate::common::accounts::{
    Ca, MAC_KEY, OTHER_MAC_KEY, deactivate, is_up_to_date, key_in, not_ready, registered, uri,
};
use crate::common::{SOON, certificate, condition, external_account, issued, mac_key};
use anyhow::{Context, Result};
use certwright_acme::jwk_thumbprint;
use certwright_cluster::{Operator, Pebble, PebbleBuilder, TestNamespace};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

#[tokio::test]
async fn the_account_before_stays_on_record_until_it_is_deactivated_on_purpose() -> Result<()> {
    TestNamespace::with("rebind", async |ns| {
        let ca = Ca::start(ns, two_keys()).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let old = registered(ns, "ca").await?["status"]["acme"].clone();
        let old_key = key_in(ns, "ca-account-key", "tls.key").await?;
        ns.apply(&mac_key("eab", OTHER_MAC_KEY)).await?;
        ns.apply(&ca.issuer(&external_account("kid-2"))).await?;
        let issuer = registered(ns, "ca").await?;
        let entry = format!("tls.key.{}", old["keyThumbprint"].as_str().context("no thumbprint")?);
        let previous = issuer["status"]["acme"]["previousAccounts"][0].clone();
        for (field, expected) in [
            ("uri", old["uri"].clone()),
            ("server", json!(ca.directory())),
            ("boundKeyID", json!("kid-1")),
            ("keyThumbprint", old["keyThumbprint"].clone()),
            ("secretKey", json!(entry)),
            ("deactivationTime", Value::Null),
        ] {
            assert_eq!(previous[field], expected, "{field}");
        }
        assert!(previous["replacementTime"].is_string(), "{previous}");
        assert!(ca.says_of(old_key.clone()).await??.is_some(), "the old account lives on");

        // The record survives the issuer and the operator.
        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        operator.restart().await?;
        ns.apply(&ca.issuer(&external_account("kid-2"))).await?;
        let issuer = registered(ns, "ca").await?;
        assert_eq!(issuer["status"]["acme"]["previousAccounts"], json!([previous]));

        let url = old["uri"].as_str().context("no URL")?;
        ns.patch("issuer/ca", deactivate(url)).await?;
        let done =
            |issuer: &Value| condition(issuer, "AccountDeactivated").is_some_and(|asked| asked.0 == "True");
        let issuer = ns.wait("issuer/ca", SOON, done).await?;
        let account = &issuer["status"]["acme"];
        assert!(account["previousAccounts"][0]["deactivationTime"].is_string(), "{account}");
        assert!(account["previousAccounts"][0]["secretKey"].is_null(), "{account}");
        assert!(account["deactivationTime"].is_null(), "the present account goes on: {account}");
        assert!(ca.has_deactivated(old_key).await?);
        let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
        assert_eq!(Vec::from_iter(data.keys()), ["tls.key"], "its key is of no more use");
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;
        operator.restart().await?;
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "preferredChain": "any" } } })).await?;
        registered(ns, "ca").await?;
        assert_eq!(ca.deactivations().len(), 1, "it is not asked for twice");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_id_that_was_a_mistake_can_be_taken_back_without_a_mac_key() -> Result<()> {
    TestNamespace::with("rebind", async |ns| {
        let ca = Ca::start(ns, two_keys()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let account = registered(ns, "ca").await?["status"]["acme"].clone();
        ns.apply(&ca.issuer(&external_account("kid-9"))).await?;
        not_ready(ns, "ca", "Unauthorized").await?;
        ns.delete_object("secret/eab").await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let issuer = registered(ns, "ca").await?;
        assert_eq!(issuer["status"]["acme"], account, "nothing is left of the mistake");
        let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
        assert_eq!(Vec::from_iter(data.keys()), ["tls.key"]);
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;

        // Two bound accounts are swapped.
        ns.apply(&mac_key("eab", OTHER_MAC_KEY)).await?;
        ns.apply(&ca.issuer(&external_account("kid-2"))).await?;
        let second = uri(&registered(ns, "ca").await?);
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let first = registered(ns, "ca").await?;
        assert_eq!(first["status"]["acme"]["uri"], account["uri"]);
        assert_eq!(first["status"]["acme"]["previousAccounts"][0]["uri"], second);
        ns.apply(&ca.issuer(&external_account("kid-2"))).await?;
        assert_eq!(uri(&registered(ns, "ca").await?), second);
        let key = key_in(ns, "ca-account-key", "tls.key").await?;
        let issuer = ns.get("issuer/ca").await?.context("no issuer")?;
        assert_eq!(issuer["status"]["acme"]["keyThumbprint"], jwk_thumbprint(&key));
        assert_eq!(ca.overheard.registrations().len(), 3, "kid-1, kid-9 in vain, kid-2");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_id_in_a_secret_binds_as_one_in_the_spec_does() -> Result<()> {
    TestNamespace::with("rebind", async |ns| {
        let ca = Ca::start(ns, two_keys()).await?;
        let operator = Operator::builder(ns).start().await?;
        let binding =
            "    externalAccountBinding: { keyIDSecretRef: { name: ids }, keySecretRef: { name: eab } }\n";
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply(&ca.issuer(binding)).await?;
        let message = not_ready(ns, "ca", "SecretNotFound").await?;
        assert_eq!(
            message,
            "Secret ids, which externalAccountBinding.keyIDSecretRef names, does not exist; create it"
        );
        ns.apply(&key_id("  \n")).await?;
        let message = not_ready(ns, "ca", "InvalidKeyID").await?;
        assert_eq!(
            message,
            "Secret ids, key keyID: the key id is empty; paste the key id as the CA shows it"
        );
        ns.apply(&key_id("kid-1\n")).await?;
        let issuer = registered(ns, "ca").await?;
        assert_eq!(issuer["status"]["acme"]["boundKeyID"], "kid-1");
        let first = uri(&issuer);

        // Without the Secret, the account still works.
        ns.delete_object("secret/ids").await?;
        operator.restart().await?;
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;
        assert_eq!(uri(&registered(ns, "ca").await?), first);

        ns.apply(&mac_key("eab", OTHER_MAC_KEY)).await?;
        ns.apply(&key_id("kid-2")).await?;
        operator.restart().await?;
        let bound = |issuer: &Value| issuer["status"]["acme"]["boundKeyID"] == "kid-2";
        let issuer = ns.wait("issuer/ca", SOON, bound).await?;
        assert_ne!(uri(&issuer), first);
        assert_eq!(issuer["status"]["acme"]["previousAccounts"][0]["uri"], first);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_used_up_mac_key_is_said_in_the_cas_words_and_another_is_tried_at_once() -> Result<()> {
    TestNamespace::with("rebind", async |ns| {
        let ca = Ca::start(ns, two_keys()).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", OTHER_MAC_KEY)).await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let message = not_ready(ns, "ca", "Unauthorized").await?;
        assert!(message.contains("(urn:ietf:params:acme:error:unauthorized)"), "{message}");
        assert!(
            message.contains(
                "Nothing is sent to the CA until the spec of this issuer or Secret eab changes, or you"
            ),
            "{message}"
        );
        operator.restart().await?;
        ns.patch("issuer/ca", json!({ "metadata": { "annotations": { "touched": "yes" } } })).await?;
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        let waits = |object: &Value| {
            condition(object, "Issuing").is_some_and(|(_, reason, _)| reason == "IssuerNotReady")
        };
        ns.wait("certificate/web", SOON, waits).await?;
        assert_eq!(ca.overheard.registrations().len(), 1, "a key that was refused is not tried twice");

        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        issued(ns, "web").await?;
        let issuer = registered(ns, "ca").await?;
        assert!(
            is_up_to_date(&issuer) && issuer["status"]["refusedExternalAccountVersion"].is_null(),
            "{issuer}"
        );
        assert_eq!(ca.overheard.registrations().len(), 2);
        Ok(())
    })
    .await
}

fn two_keys() -> PebbleBuilder {
    Pebble::builder().eab("kid-1", MAC_KEY).eab("kid-2", OTHER_MAC_KEY)
}

fn key_id(text: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "ids" }, "stringData": { "keyID": text },
    })
    .to_string()
}

/// A name that no other test uses.
fn host(ns: &TestNamespace, label: &str) -> String {
    format!("{label}.{}.example.com", ns.name)
}
