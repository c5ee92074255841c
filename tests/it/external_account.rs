//! External account binding, and accounts that the CA rejects.

mod mac_key;
mod unusable;

use std::collections::BTreeSet;

use crate::common::overheard::{NEW_ACCOUNT, NEW_ORDER, Overheard, problem, refusal};
use crate::common::{SOON, certificate, condition, external_account, issued, issuer, mac_key, of_issuer};
use anyhow::{Context, Result};
use aws_lc_rs::hmac;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use certwright_acme::jwk_thumbprint;
use certwright_cluster::{Operator, Pebble, PebbleBuilder, Proxy, TestNamespace, proxy::Action};
use certwright_pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

#[tokio::test]
async fn a_binding_that_the_directory_requires_is_asked_for_and_used_once_it_is_there() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::bound(ns).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let message = refused(ns, "ca", "ExternalAccountRequired").await?;
        assert_eq!(
            message,
            format!(
                "The CA at {} requires an external account binding; set spec.acme.externalAccountBinding with the key id \
                 and the MAC key that the CA gave you",
                ca.directory()
            )
        );
        assert!(ca.overheard.registrations().is_empty(), "it is not even tried");

        // One after the other, as a user would; each change is noticed without waiting for the next attempt.
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        refused(ns, "ca", "SecretNotFound").await?;
        ns.apply(&mac_key("eab", &text(&key_bytes()))).await?;
        let issuer = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        assert_eq!(issuer["status"]["acme"]["boundKeyID"], "kid-1");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_binding_that_the_ca_requires_without_saying_so_is_asked_for_in_its_own_words() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::bound(ns).await?;
        ca.overheard.script(&ca.proxy, |said| match said.path == "/dir" {
            true => Action::ReplaceBody(Box::new(|body| {
                let mut directory: Value = serde_json::from_slice(&body).unwrap_or_default();
                directory["meta"]["externalAccountRequired"] = json!(false);
                directory.to_string().into()
            })),
            false => Action::Pass,
        });
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let message = refused(ns, "ca", "ExternalAccountRequired").await?;
        let words = "ACME server policy requires newAccount requests must include a value for the \
                     'externalAccountBinding' field (urn:ietf:params:acme:error:externalAccountRequired)";
        assert!(message.contains(words), "{message}");
        assert_eq!(ca.overheard.registrations().len(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_key_id_binds_a_new_account_with_a_new_key_and_keeps_the_old_key() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let pebble = Pebble::builder().eab("kid-1", &text(&key_bytes())).eab("kid-2", &text(&[7; 48]));
        let ca = Ca::start(ns, pebble).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", &text(&key_bytes()))).await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let old = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?["status"]["acme"].clone();
        let old_key =
            ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?["tls.key"].clone();

        // A new MAC key alone, which is for future accounts, changes nothing.
        ns.apply(&mac_key("eab", &text(&[7; 48]))).await?;
        operator.restart().await?;
        ns.apply(&certificate("one", &[&host(ns, "one")], "")).await?;
        issued(ns, "one").await?;
        assert_eq!(ca.overheard.registrations().len(), 1);

        ns.apply(&ca.issuer(&external_account("kid-2"))).await?;
        let bound =
            |issuer: &Value| issuer["status"]["acme"]["boundKeyID"] == "kid-2" && is_up_to_date(issuer);
        let new = ns.wait("issuer/ca", SOON, bound).await?["status"]["acme"].clone();
        assert_ne!(new["uri"], old["uri"]);
        assert_ne!(new["keyThumbprint"], old["keyThumbprint"]);
        let registrations = ca.overheard.registrations();
        let keys: BTreeSet<_> = registrations.iter().map(|said| said.header["jwk"].to_string()).collect();
        assert_eq!((registrations.len(), keys.len()), (2, 2));

        let secret = ns.api::<Secret>().get("ca-account-key").await?;
        assert_eq!(secret.annotations()[certwright_api::ANNOTATION_EAB_KEY_ID], "kid-2");
        assert_eq!(secret.annotations()[certwright_api::ANNOTATION_ACCOUNT_URL], new["uri"]);
        let data = secret.data.context("no data")?;
        assert_eq!(new["keyThumbprint"], jwk_thumbprint(&PrivateKey::from_pem(&data["tls.key"].0)?));
        let kept = format!("tls.key.{}", old["keyThumbprint"].as_str().context("no thumbprint")?);
        assert_eq!(data.get(&kept).context("the old key is gone")?, &old_key);

        ns.apply(&certificate("two", &[&host(ns, "two")], "")).await?;
        issued(ns, "two").await?;
        let orders = ca.overheard.those(|said| said.path == NEW_ORDER);
        let accounts: Vec<_> = orders.iter().map(|said| said.header["kid"].clone()).collect();
        assert_eq!(accounts, [old["uri"].clone(), new["uri"].clone()]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_of_the_users_is_not_said_to_be_bound_to_another_key_id() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let pebble = Pebble::builder().eab("kid-1", &text(&key_bytes())).eab("kid-2", &text(&key_bytes()));
        let ca = Ca::start(ns, pebble).await?;
        let _operator = Operator::builder(ns).start().await?;
        let secret = |pem: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" },
                "stringData": { "tls.key": pem },
            })
            .to_string()
        };
        ns.apply(&mac_key("eab", &text(&key_bytes()))).await?;
        ns.apply(&secret(include_str!("../fixtures/account-p256-sec1.pem"))).await?;
        let yaml = |key_id: &str| {
            ca.issuer(&(external_account(key_id) + "    privateKeySecretRef: { name: mine }\n"))
        };
        ns.apply(&yaml("kid-1")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;

        ns.apply(&yaml("kid-2")).await?;
        let message = refused(ns, "ca", "InvalidAccountKey").await?;
        assert!(message.starts_with("Secret mine, key tls.key: "), "{message}");
        assert!(message.contains("kid-1"), "{message}");
        assert_eq!(ca.overheard.registrations().len(), 1, "a key has one account, and that is bound already");

        ns.apply(&secret(include_str!("../fixtures/account-p384-pkcs8.pem"))).await?;
        let issuer = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        assert_eq!(issuer["status"]["acme"]["boundKeyID"], "kid-2");
        assert_eq!(issuer["status"]["acme"]["keyAlgorithm"], "ECDSA P-384");
        Ok(())
    })
    .await
}

/// A Pebble that accepts all nonces, since a rejected one sends a request twice, and a recording proxy.
struct Ca {
    pebble: Pebble,
    proxy: Proxy,
    overheard: Overheard,
}

impl Ca {
    async fn start(ns: &TestNamespace, pebble: PebbleBuilder) -> Result<Self> {
        let pebble = pebble.start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let overheard = Overheard::at(&proxy);
        Ok(Self { pebble, proxy, overheard })
    }

    /// A Pebble that requires the external account `kid-1`.
    async fn bound(ns: &TestNamespace) -> Result<Self> {
        Self::start(ns, Pebble::builder().eab("kid-1", &text(&key_bytes()))).await
    }

    fn directory(&self) -> String {
        format!("{}/dir", self.proxy.url)
    }

    fn issuer(&self, more: &str) -> String {
        issuer(&self.directory(), &self.pebble.ca_pem, more)
    }

    /// Rejects orders like CAs with their own codes: the type is one of RFC 8555, the code is in the detail.
    fn refuse_orders(&self, code: &'static str) {
        self.overheard.script(&self.proxy, move |said| match said.path == NEW_ORDER {
            true => problem(403, "urn:ietf:params:acme:error:unauthorized", &format!("{code}: {DETAIL}")),
            false => Action::Pass,
        });
    }
}

const DETAIL: &str = "see \"your\" portal, <account> no. 4711";

/// What the message must quote verbatim.
fn words(code: &str) -> String {
    format!("{code}: {DETAIL} (urn:ietf:params:acme:error:unauthorized)")
}

/// Waits until an Issuer is not ready for `reason`, and returns the message.
async fn refused(ns: &TestNamespace, name: &str, reason: &str) -> Result<String> {
    let said =
        |issuer: &Value| condition(issuer, "Ready").filter(|ready| ready.0 == "False" && ready.1 == reason);
    let wanted = |issuer: &Value| is_up_to_date(issuer) && said(issuer).is_some();
    let issuer = ns.wait(&format!("issuer/{name}"), SOON, wanted).await?;
    Ok(said(&issuer).context("no condition")?.2)
}

/// Waits until a Certificate reports that its issuer is not ready, with these words.
async fn waits_for_issuer(ns: &TestNamespace, name: &str, words: &str) -> Result<()> {
    let waits = |object: &Value| {
        condition(object, "Issuing").is_some_and(|(_, reason, message)| {
            reason == "IssuerNotReady"
                && message.starts_with("Issuer ca is not ready: ")
                && message.contains(words)
        })
    };
    ns.wait(&format!("certificate/{name}"), SOON, waits).await.map(drop)
}

fn is_up_to_date(issuer: &Value) -> bool {
    issuer["status"]["conditions"][0]["observedGeneration"] == issuer["metadata"]["generation"]
}

/// A name that no other test uses.
fn host(ns: &TestNamespace, label: &str) -> String {
    format!("{label}.{}.example.com", ns.name)
}

/// A MAC key that is long enough for HS512, needs padding, and has all characters that differ between the encodings.
fn key_bytes() -> [u8; 65] {
    let mut key = [0xfb; 65];
    key[1] = 0xff;
    key[2] = 0xbf;
    key
}

/// In the encoding that CAs show.
fn text(key: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key)
}

fn decode(text: &str) -> Result<Vec<u8>> {
    Ok(BASE64_URL_SAFE_NO_PAD.decode(text)?)
}
