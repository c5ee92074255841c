//! One account for each issuer: its key is stored first, it is registered once, and it is found again.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

mod changes;
mod existing;
mod waits;

use crate::common;

use std::{collections::BTreeMap, process::Command, sync::Arc, time::Duration};

use crate::common::accounts::account;
use crate::common::faults::path::NEW_ORDER;
use crate::common::overheard::{ACCOUNT, NEW_ACCOUNT, Overheard, refusal};
use crate::common::{SOON, certificate, condition, external_account, issued, issuer, mac_key, of_issuer};
use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use certwright_acme::jwk_thumbprint;
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace, proxy::Action};
use certwright_pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// 48 bytes, as in Pebble's own examples.
const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
/// Generating a large RSA key takes a while on a busy machine.
const LATER: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_account_key_is_stored_before_the_ca_hears_of_it() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let stored = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (seen, namespace) = (stored.clone(), ns.name.clone());
        ca.overheard.script(&ca.proxy, move |said| {
            if said.path == NEW_ACCOUNT
                && let (Ok(secret), Ok(mut seen)) = (read_key_at_once(&namespace), seen.lock())
            {
                seen.push((secret, thumbprint(&said.header["jwk"])));
            }
            Action::Pass
        });
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let issuer = registered(ns, "ca").await?;

        let stored = stored.lock().map(|stored| stored.clone()).unwrap_or_default();
        assert_eq!(stored.len(), ca.overheard.those(|said| said.path == NEW_ACCOUNT).len(), "each time");
        assert!(!stored.is_empty());
        for (pem, thumbprint) in stored {
            assert_eq!(jwk_thumbprint(&PrivateKey::from_pem(pem.as_bytes())?), thumbprint);
            assert_eq!(issuer["status"]["acme"]["keyThumbprint"], thumbprint);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_account_is_on_record_in_the_status_and_on_its_keys_secret() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply(&ca.issuer(&(external_account("kid-1") + "    email: admin@example.com\n"))).await?;
        let issuer = registered(ns, "ca").await?;

        let account = &issuer["status"]["acme"];
        let url = account["uri"].as_str().context("no URL")?;
        assert!(url.starts_with(&format!("{}{ACCOUNT}", ca.proxy.url)), "{url}");
        assert_eq!(account["server"], ca.directory());
        assert_eq!(account["lastRegisteredEmail"], "admin@example.com");
        assert_eq!(account["keyAlgorithm"], "ECDSA P-256");
        assert_eq!(account["boundKeyID"], "kid-1");
        assert!(account["termsOfService"].as_str().is_some_and(|terms| !terms.is_empty()), "{account}");
        let ready = condition(&issuer, "Ready").context("no condition")?;
        assert_eq!(ready.1, "AccountRegistered");
        assert_eq!(issuer["status"]["conditions"][0]["observedGeneration"], issuer["metadata"]["generation"]);

        let secret = ns.api::<Secret>().get("ca-account-key").await?;
        let key = PrivateKey::from_pem(&secret.data.as_ref().context("no data")?["tls.key"].0)?;
        assert_eq!(account["keyThumbprint"], jwk_thumbprint(&key));
        assert_eq!(secret.annotations()[certwright_api::ANNOTATION_ACCOUNT_URL], url);
        assert_eq!(secret.annotations()[certwright_api::ANNOTATION_ACME_SERVER], ca.directory());
        assert_eq!(secret.annotations()[certwright_api::ANNOTATION_EAB_KEY_ID], "kid-1");
        assert_eq!(secret.labels()[certwright_api::LABEL_SECRET], certwright_api::SECRET_ACCOUNT_KEY);
        assert!(secret.metadata.owner_references.is_none(), "it outlives its issuer");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_the_user_brings_is_registered_and_left_as_it_is() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let brought = [
            ("pkcs1", include_str!("../fixtures/account-rsa-pkcs1.pem"), "RSA 2048"),
            ("pkcs8", include_str!("../fixtures/account-rsa-pkcs8.pem"), "RSA 3072"),
            ("pkcs8-ec", include_str!("../fixtures/account-p384-pkcs8.pem"), "ECDSA P-384"),
            ("sec1", include_str!("../fixtures/account-p256-sec1.pem"), "ECDSA P-256"),
        ];
        for (name, pem, algorithm) in brought {
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": format!("my-{name}") },
                "stringData": { "account.pem": pem },
            });
            ns.apply(&secret.to_string()).await?;
            let reference = format!("    privateKeySecretRef: {{ name: my-{name}, key: account.pem }}\n");
            ns.apply(&of_issuer(name, &ca.issuer(&reference))).await?;
            let issuer = registered(ns, name).await?;
            assert_eq!(issuer["status"]["acme"]["keyAlgorithm"], algorithm, "{name}");

            let secret = ns.api::<Secret>().get(&format!("my-{name}")).await?;
            assert_eq!(
                secret.annotations()[certwright_api::ANNOTATION_ACCOUNT_URL],
                issuer["status"]["acme"]["uri"]
            );
            assert!(secret.labels().is_empty(), "{name} is not taken for one of ours: {:?}", secret.labels());
            let data = secret.data.context("no data")?;
            assert_eq!(Vec::from_iter(data.keys()), ["account.pem"]);
            assert_eq!(data["account.pem"].0, pem.as_bytes(), "{name}");

            ns.apply(&of_issuer(name, &certificate(name, &[&host(ns, name)], ""))).await?;
            issued(ns, name).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_no_account_key_is_refused_by_name_and_not_replaced() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let secret = |pem: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" },
                "stringData": { "tls.key": pem },
            })
            .to_string()
        };
        ns.apply(&secret("no key")).await?;
        ns.apply(&ca.issuer("    privateKeySecretRef: { name: mine }\n")).await?;
        let message = not_ready(ns, "InvalidAccountKey").await?;
        assert!(message.starts_with("Secret mine, key tls.key: "), "{message}");
        assert!(ca.overheard.all().is_empty(), "the CA hears of none of it");

        ns.apply(&secret(include_str!("../fixtures/account-p256-sec1.pem"))).await?;
        registered(ns, "ca").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_key_that_the_user_brings_is_another_account() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        let secret = |pem: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" },
                "stringData": { "tls.key": pem },
            })
            .to_string()
        };
        ns.apply(&secret(include_str!("../fixtures/account-p256-sec1.pem"))).await?;
        ns.apply(&ca.issuer("    privateKeySecretRef: { name: mine }\n")).await?;
        let first = registered(ns, "ca").await?["status"]["acme"].clone();

        // Secrets of others are not watched: the change is noticed at the next reconcile of the issuer.
        ns.apply(&secret(include_str!("../fixtures/account-p384-pkcs8.pem"))).await?;
        operator.restart().await?;
        let another = |issuer: &Value| issuer["status"]["acme"]["uri"] != first["uri"] && is_ready(issuer);
        let second = ns.wait("issuer/ca", SOON, another).await?["status"]["acme"].clone();
        assert_eq!(second["keyAlgorithm"], "ECDSA P-384");
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;

        ns.apply(&secret(include_str!("../fixtures/account-p256-sec1.pem"))).await?;
        operator.restart().await?;
        let back = |issuer: &Value| issuer["status"]["acme"]["uri"] == first["uri"] && is_ready(issuer);
        ns.wait("issuer/ca", SOON, back).await?;
        assert_eq!(ca.overheard.registrations().len(), 2, "one a key");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_kind_of_account_key_registers_and_issues() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let kinds = [
            ("p256", "ECDSA", 256, "ECDSA P-256", "ES256"),
            ("p384", "ECDSA", 384, "ECDSA P-384", "ES384"),
            ("rsa2048", "RSA", 2048, "RSA 2048", "RS256"),
            ("rsa3072", "RSA", 3072, "RSA 3072", "RS256"),
            ("rsa4096", "RSA", 4096, "RSA 4096", "RS256"),
        ];
        for (name, algorithm, size, ..) in kinds {
            let key = format!("    accountKey: {{ algorithm: {algorithm}, size: {size} }}\n");
            ns.apply(&of_issuer(name, &ca.issuer(&key))).await?;
            ns.apply(&of_issuer(name, &certificate(name, &[&host(ns, name)], ""))).await?;
        }
        for (name, _, _, algorithm, signature) in kinds {
            let issuer = ns.wait_condition(&format!("issuer/{name}"), "Ready", "True", LATER).await?;
            ns.wait_condition(&format!("certificate/{name}"), "Ready", "True", LATER).await?;
            let account = &issuer["status"]["acme"];
            assert_eq!(account["keyAlgorithm"], algorithm);
            let signed = ca.overheard.those(|said| said.header["kid"] == account["uri"]);
            assert!(!signed.is_empty(), "{name}");
            assert!(signed.iter().all(|said| said.header["alg"] == signature), "{name}: {signed:?}");
            let made = ca.overheard.registrations();
            let made = made.iter().find(|said| account["keyThumbprint"] == thumbprint(&said.header["jwk"]));
            assert_eq!(made.context("no registration")?.header["alg"], signature);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_external_account_is_not_needed_any_more_once_it_is_bound() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let account = registered(ns, "ca").await?["status"]["acme"]["uri"].clone();

        ns.delete_object("secret/eab").await?;
        ns.apply(&certificate("one", &[&host(ns, "one")], "")).await?;
        issued(ns, "one").await?;
        operator.restart().await?;
        ns.apply(&certificate("two", &[&host(ns, "two")], "")).await?;
        issued(ns, "two").await?;

        assert_eq!(registered(ns, "ca").await?["status"]["acme"]["uri"], account);
        assert_eq!(ca.overheard.registrations().len(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_secrets_of_a_cluster_issuer_are_in_the_operators_namespace() -> Result<()> {
    let _alone = common::CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("account", async |ns| {
        let own = TestNamespace::create("operator").await?;
        let name = ns.name.clone();
        let outcome = async {
            let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
            let _operator = Operator::builder(ns)
                .argument("--namespace", &own.name)
                .argument("--cluster-issuers", "true")
                .start()
                .await?;
            let yaml = of_issuer(&name, &ca.issuer(&external_account("kid-1")));
            ns.apply(&yaml.replace("kind: Issuer", "kind: ClusterIssuer")).await?;
            let target = format!("clusterissuer/{name}");
            let said =
                |issuer: &Value| condition(issuer, "Ready").is_some_and(|ready| ready.1 == "SecretNotFound");
            let issuer = ns.wait(&target, SOON, said).await?;
            let (_, _, message) = condition(&issuer, "Ready").context("no condition")?;
            let named = format!("Secret eab in namespace {}, which externalAccountBinding", own.name);
            assert!(message.starts_with(&named), "{message}");
            own.apply(&mac_key("eab", MAC_KEY)).await?;
            let issuer = ns.wait_condition(&target, "Ready", "True", SOON).await?;
            let secret = own.api::<Secret>().get(&format!("{name}-account-key")).await?;
            assert_eq!(
                secret.annotations()[certwright_api::ANNOTATION_ACCOUNT_URL],
                issuer["status"]["acme"]["uri"]
            );

            let yaml = certificate("web", &[&host(ns, "web")], "");
            let reference = format!("issuerRef: {{ kind: ClusterIssuer, name: {name} }}");
            ns.apply(&yaml.replace("issuerRef: { name: ca }", &reference)).await?;
            issued(ns, "web").await?;
            let secrets = ns.api::<Secret>().list(&Default::default()).await?;
            let secrets: Vec<_> = secrets.iter().map(|secret| secret.name_any()).collect();
            assert_eq!(secrets, ["web-tls"], "the Certificate's namespace holds its own Secret only");

            let message = || condition(&issuer, "Ready").map(|ready| ready.2);
            assert!(message().is_some_and(|message| message.contains("is registered")), "{issuer}");
            anyhow::Ok(())
        }
        .await;
        let _ = ns.delete_object(&format!("clusterissuer/{name}")).await;
        own.delete().await?;
        outcome
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
    async fn start(ns: &TestNamespace, pebble: certwright_cluster::PebbleBuilder) -> Result<Self> {
        let pebble = pebble.start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let overheard = Overheard::at(&proxy);
        Ok(Self { pebble, proxy, overheard })
    }

    fn directory(&self) -> String {
        format!("{}/dir", self.proxy.url)
    }

    fn issuer(&self, more: &str) -> String {
        issuer(&self.directory(), &self.pebble.ca_pem, more)
    }

    async fn read_directory(&self) -> Result<String> {
        let ca = reqwest::Certificate::from_pem(self.pebble.ca_pem.as_bytes())?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).user_agent("test").build()?;
        Ok(http.get(self.directory()).send().await?.error_for_status()?.text().await?)
    }
}

async fn registered(ns: &TestNamespace, name: &str) -> Result<Value> {
    ns.wait(&format!("issuer/{name}"), SOON, |issuer| is_up_to_date(issuer) && is_ready(issuer)).await
}

/// Waits until the Issuer `ca` is not ready for `reason`, and returns the message.
async fn not_ready(ns: &TestNamespace, reason: &str) -> Result<String> {
    let said =
        |issuer: &Value| condition(issuer, "Ready").filter(|ready| ready.0 == "False" && ready.1 == reason);
    let issuer = ns.wait("issuer/ca", SOON, |issuer| is_up_to_date(issuer) && said(issuer).is_some()).await?;
    Ok(said(&issuer).context("no condition")?.2)
}

fn is_ready(issuer: &Value) -> bool {
    condition(issuer, "Ready").is_some_and(|ready| ready.0 == "True")
}

fn is_up_to_date(issuer: &Value) -> bool {
    issuer["status"]["conditions"][0]["observedGeneration"] == issuer["metadata"]["generation"]
}

/// A name that no other test uses.
fn host(ns: &TestNamespace, label: &str) -> String {
    format!("{label}.{}.example.com", ns.name)
}

/// Reads the account key with `kubectl`, which needs no runtime: a proxy's script cannot wait.
fn read_key_at_once(namespace: &str) -> Result<String> {
    let output = Command::new("kubectl")
        .args(["get", "secret", "ca-account-key", "--namespace", namespace])
        .args(["--output", "go-template={{index .data \"tls.key\" | base64decode}}"])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// RFC 7638.
fn thumbprint(jwk: &Value) -> String {
    let members = jwk.as_object().into_iter().flatten();
    let sorted: BTreeMap<_, _> = members.collect();
    let text = serde_json::to_string(&sorted).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}
