//! An existing account is found by its key, which comes from another client or from a backup.

use crate::common::accounts::{Ca, MAC_KEY, events, key_in, key_secret, not_ready, registered, uri};
use crate::common::overheard::{ACCOUNT, problem};
use crate::common::{SOON, certificate, external_account, issued, mac_key, of_issuer};
use anyhow::{Context, Result};
use certwright_acme::{ExternalAccountKey, MacAlgorithm, jwk_thumbprint, parse_mac_key};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use certwright_pki::{KeyAlgorithm, KeyEncoding, PrivateKey};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

#[tokio::test]
async fn an_account_of_another_client_is_taken_over_with_its_key_and_without_its_mac_key() -> Result<()> {
    TestNamespace::with("adoption", async |ns| {
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
        let _operator = Operator::builder(ns).start().await?;
        // certbot writes JWK; cert-manager and acme.sh PKCS#1, or SEC1; others PKCS#8.
        let brought = [
            ("certbot", include_str!("../fixtures/account-rsa-jwk.json"), "RSA 2048"),
            ("pkcs8", include_str!("../fixtures/account-rsa-pkcs8.pem"), "RSA 3072"),
            ("pkcs8-ec", include_str!("../fixtures/account-p384-pkcs8.pem"), "ECDSA P-384"),
            ("sec1", include_str!("../fixtures/account-p256-sec1.pem"), "ECDSA P-256"),
        ];
        for (name, text, algorithm) in brought {
            let key = PrivateKey::from_pem_or_jwk(text.as_bytes())?;
            ca.register_elsewhere(key.clone(), Some(binding()?)).await?;
            ns.apply(&key_secret(name, text)).await?;
            let spec = format!("{}    privateKeySecretRef: {{ name: {name} }}\n", external_account("kid-1"));
            ns.apply(&of_issuer(name, &ca.issuer(&spec))).await?;
            let issuer = registered(ns, name).await?;
            let account = &issuer["status"]["acme"];
            assert_eq!(account["keyAlgorithm"], algorithm, "{name}");
            assert_eq!(account["keyThumbprint"], jwk_thumbprint(&key), "{name}");
            assert!(account["lastRegisteredEmail"].is_null(), "the spec has no address: {account}");
            let secret = ns.api::<Secret>().get(name).await?;
            assert_eq!(
                secret.data.context("no data")?["tls.key"].0,
                text.as_bytes(),
                "{name} is left as it is"
            );
            ns.apply(&of_issuer(name, &certificate(name, &[&host(ns, name)], ""))).await?;
            issued(ns, name).await?;
        }
        assert!(ca.overheard.registrations().is_empty(), "there is not even a Secret with a MAC key");
        assert!(
            ca.asked_for_account().iter().all(|said| said.payload == json!({ "onlyReturnExisting": true }))
        );
        assert_eq!(events(ns, "AccountRegistered").await?.len(), brought.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_was_made_by_another_client_and_is_not_registered_yet_is_registered() -> Result<()> {
    TestNamespace::with("adoption", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&key_secret("mine", include_str!("../fixtures/account-rsa-jwk.json"))).await?;
        ns.apply(&ca.issuer("    privateKeySecretRef: { name: mine }\n")).await?;
        registered(ns, "ca").await?;
        assert_eq!(ca.overheard.registrations().len(), 1);
        for (name, text) in [("json", "{\"kty\":\"oct\",\"k\":\"AQAB\"}"), ("half", "{\"kty\":\"RSA\"")] {
            ns.apply(&key_secret(name, text)).await?;
            let reference = format!("    privateKeySecretRef: {{ name: {name} }}\n");
            ns.apply(&of_issuer(name, &ca.issuer(&reference))).await?;
            let message = not_ready(ns, name, "InvalidAccountKey").await?;
            let expected = format!(
                "Secret {name}, key tls.key: the JSON text is not a private key in JWK format (RFC 7517): it must be EC, or RSA \
                 with its primes; put a private key there, as PEM or JWK, or delete the Secret to generate a new one"
            );
            assert_eq!(message, expected);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_no_key_may_be_made_the_secret_is_waited_for() -> Result<()> {
    TestNamespace::with("adoption", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        let yaml = ca.issuer("    disableAccountKeyGeneration: true\n    privateKeySecretRef: { name: mine }\n");
        ns.apply(&yaml).await?;
        let message = not_ready(ns, "ca", "SecretNotFound").await?;
        assert_eq!(
            message,
            "Secret mine with the account key does not exist, and disableAccountKeyGeneration prevents generating one; create it"
        );
        operator.restart().await?;
        ns.apply(&of_issuer("other", &yaml)).await?;
        not_ready(ns, "other", "SecretNotFound").await?;
        assert!(ns.get("secret/mine").await?.is_none() && ca.overheard.all().is_empty());
        ns.apply(&key_secret("mine", include_str!("../fixtures/account-p256-sec1.pem"))).await?;
        registered(ns, "ca").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_whose_url_is_lost_everywhere_is_found_by_its_key() -> Result<()> {
    TestNamespace::with("adoption", async |ns| {
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let account = uri(&registered(ns, "ca").await?);
        let data = ns.api::<Secret>().get("ca-account-key").await?.data;
        for target in ["issuer/ca", "secret/ca-account-key", "secret/eab"] {
            ns.delete_object(target).await?;
            ns.wait_gone(target, SOON).await?;
        }
        let backup = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "ca-account-key" }, "data": data,
        });
        ns.apply(&backup.to_string()).await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        assert_eq!(uri(&registered(ns, "ca").await?), account);
        assert_eq!(ca.overheard.registrations().len(), 1);
        let told = events(ns, "AccountRegistered").await?;
        let expected = format!(
            "The CA knows the key in Secret ca-account-key: its account {account} is used, and none is registered"
        );
        assert_eq!(told, [expected]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_that_the_ca_does_not_know_is_looked_for_by_its_key_and_never_made_anew() -> Result<()> {
    TestNamespace::with("adoption", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?;
        let pem = key.to_pem(KeyEncoding::Pkcs8)?;
        let known = ca.register_elsewhere(key.clone(), None).await?;
        let stale = format!("{}{ACCOUNT}stale", ca.proxy.url);
        let backup = |thumbprint: &str, pem: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "stringData": { "tls.key": pem },
                "metadata": { "name": "ca-account-key", "annotations": {
                    "certwright.dev/account-url": stale,
                    "certwright.dev/acme-server": ca.directory(),
                    "certwright.dev/key-thumbprint": thumbprint,
                }},
            })
            .to_string()
        };
        ca.script({
            let stale = stale.clone();
            move |said| {
                let unknown = problem(400, "urn:ietf:params:acme:error:accountDoesNotExist", "no such account");
                (said.header["kid"] == stale).then_some(unknown)
            }
        });
        ns.apply(&backup(&jwk_thumbprint(&key), &pem)).await?;
        ns.apply(&ca.issuer("")).await?;
        let found = uri(&registered(ns, "ca").await?);
        assert_eq!(found.rsplit('/').next(), known.account.url().rsplit('/').next(), "the key has another URL by now");
        assert!(ca.overheard.registrations().is_empty());

        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        let other = PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?;
        ns.delete_object("secret/ca-account-key").await?;
        ns.apply(&backup(&jwk_thumbprint(&other), &other.to_pem(KeyEncoding::Pkcs8)?)).await?;
        ns.apply(&ca.issuer("")).await?;
        let message = not_ready(ns, "ca", "AccountDoesNotExist").await?;
        let said = "Reading the account failed: no such account (urn:ietf:params:acme:error:accountDoesNotExist). The CA at ";
        assert!(message.starts_with(said) && message.contains(&stale), "{message}");
        assert!(message.contains("Secret ca-account-key"), "{message}");
        operator.restart().await?;
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "email": "a@example.com" } } })).await?;
        not_ready(ns, "ca", "AccountDoesNotExist").await?;
        assert!(ca.overheard.registrations().is_empty());
        assert_eq!(jwk_thumbprint(&key_in(ns, "ca-account-key", "tls.key").await?), jwk_thumbprint(&other));
        Ok(())
    })
    .await
}

fn binding() -> Result<ExternalAccountKey> {
    let mac_key = parse_mac_key(MAC_KEY.as_bytes())?;
    Ok(ExternalAccountKey { key_id: "kid-1".to_owned(), mac_key, algorithm: MacAlgorithm::Hs256 })
}

/// A name that no other test uses.
fn host(ns: &TestNamespace, label: &str) -> String {
    format!("{label}.{}.example.com", ns.name)
}
