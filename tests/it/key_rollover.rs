//! The account key is rolled over at the CA: on demand, by age, with the spec. Whatever the CA answers, one key is kept, and it
//! is the one that the CA knows.

mod answers;
mod crash;
mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::crash::{Killer, Run, When, walk};
use crate::common::dns::{Ground, http_request};
use crate::common::faults::{change_json, event, requests_to, steady};
use crate::common::{CLUSTER_ISSUERS, SOON, certificate, condition, http01, issued, issuer, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_acme::{Account, Registration, Server, ServerConfig, Trust, jwk_thumbprint};
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{Operator, Pebble, PebbleBuilder, Proxy, Reply, ScriptedProvider, TestNamespace};
use certwright_pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Paths of Pebble's ACME interface.
const KEY_CHANGE: &str = "/rollover-account-key";
const NEW_ACCOUNT: &str = "/sign-me-up";
const NEW_ORDER: &str = "/order-plz";
const DIRECTORY: &str = "/dir";
/// An operator that retries after a second instead of hours.
const IMPATIENT: [(&str, &str); 2] = [("--backoff-first", "1s"), ("--backoff-longest", "1s")];

#[tokio::test]
async fn a_human_has_the_key_changed_by_annotation() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let operator = Operator::builder(ns).start().await?;
        ca.ready(ns, "").await?;
        let (before, old) = (acme(ns).await?, key(ns).await?);
        // The content of the Secret when the CA receives the request.
        let stored = Arc::new(Mutex::new(Vec::new()));
        let (seen, namespace) = (stored.clone(), ns.name.clone());
        ca.proxy.script(move |request| {
            if request.path == KEY_CHANGE {
                let next = read_at_once(&namespace, "tls.key.next");
                seen.lock().push(next);
            }
            Action::Pass
        });
        ask_for_rollover(ns, "1").await?;
        let after = rolled_over(ns, &before).await?;
        let new = key(ns).await?;
        let stored = stored.lock().clone();
        assert_eq!(stored.len(), 1);
        let stored = PrivateKey::from_pem(stored[0].as_bytes())?;
        assert_eq!(jwk_thumbprint(&stored), jwk_thumbprint(&new), "it is stored before the CA hears of it");

        assert_eq!(after["uri"], before["uri"]);
        assert_eq!(after["keyThumbprint"], jwk_thumbprint(&new));
        assert_eq!(after["observedRolloverRequest"], "1");
        assert_eq!(ca.account_of(&new).await?, after["uri"].as_str().map(path));
        assert_eq!(ca.account_of(&old).await?, None, "the old key is of no use any more");
        let secret = ns.api::<Secret>().get("ca-account-key").await?;
        assert_eq!(Vec::from_iter(secret.data.iter().flatten().map(|(key, _)| key.as_str())), ["tls.key"]);
        assert_eq!(secret.annotations()[certwright_api::ANNOTATION_KEY_THUMBPRINT], jwk_thumbprint(&new));
        let issuer = ns.get("issuer/ca").await?.context("no Issuer")?;
        let (status, reason, message) = condition(&issuer, "KeyRollover").context("no condition")?;
        assert_eq!((status.as_str(), reason.as_str()), ("True", "KeyRolledOver"));
        assert_eq!(
            message,
            format!("The account key was changed; the thumbprint of the new one is {}", jwk_thumbprint(&new))
        );
        assert_eq!(event(ns, "ca", "KeyRolledOver").await?, ("Normal".to_owned(), message));
        let metrics = operator.metrics().await?;
        ensure!(
            metrics.contains(r#"certwright_account_key_rollovers_total{result="succeeded"} 1"#),
            "{metrics}"
        );

        // The same value requests nothing more, not even after a restart.
        operator.restart().await?;
        issue(ns, "web").await?;
        assert_eq!(acme(ns).await?, after);
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 1);
        ask_for_rollover(ns, "2").await?;
        rolled_over(ns, &after).await?;
        issue(ns, "again").await
    })
    .await
}

#[tokio::test]
async fn an_issuer_that_is_applied_with_the_annotation_asks_for_nothing() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let yaml = ca
            .issuer("")
            .replace("name: ca }", "name: ca, annotations: { certwright.dev/rollover-account-key: a } }");
        ns.apply(&yaml).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        issue(ns, "web").await?;
        assert_eq!(acme(ns).await?["observedRolloverRequest"], "a");
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_is_too_old_is_changed() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let yaml = |interval: &str| ca.issuer(&format!("    accountKey: {{ rolloverInterval: {interval} }}\n"));
        ns.apply(&yaml("2160h")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let before = acme(ns).await?;
        let created: jiff::Timestamp = before["keyCreated"].as_str().context("no time")?.parse()?;
        let next: jiff::Timestamp = before["nextKeyRollover"].as_str().context("no time")?.parse()?;
        assert_eq!(next.duration_since(created), jiff::SignedDuration::from_hours(2160));
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 0);

        let long_ago = json!({ "metadata": { "annotations": { (certwright_api::ANNOTATION_KEY_CREATED): "2026-01-01T00:00:00Z" } } });
        ns.patch("secret/ca-account-key", long_ago).await?;
        ns.apply(&yaml("2161h")).await?;
        let after = rolled_over(ns, &before).await?;
        let created: jiff::Timestamp = after["keyCreated"].as_str().context("no time")?.parse()?;
        let next = |acme: &Value| acme["nextKeyRollover"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let planned = |issuer: &Value| {
            next(&issuer["status"]["acme"]) == created.checked_add(jiff::SignedDuration::from_hours(2161)).ok()
        };
        ns.wait("issuer/ca", SOON, planned).await?;
        issue(ns, "web").await
    })
    .await
}

#[tokio::test]
async fn another_kind_of_key_in_the_spec_changes_the_key_and_back() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let yaml = |key: &str| {
            ca.issuer(&format!(
                "    privateKeySecretRef: {{ name: mine, key: account.pem }}\n    accountKey: {{ {key} }}\n"
            ))
        };
        ns.apply(&yaml("algorithm: ECDSA")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let uri = acme(ns).await?["uri"].clone();
        for (spec, kind) in [
            ("algorithm: RSA, size: 2048", "RSA 2048"),
            ("algorithm: ECDSA, size: 384", "ECDSA P-384"),
            ("algorithm: ECDSA", "ECDSA P-256"),
        ] {
            let before = acme(ns).await?;
            ns.apply(&yaml(spec)).await?;
            let after = rolled_over(ns, &before).await?;
            assert_eq!((&after["keyAlgorithm"], &after["uri"]), (&json!(kind), &uri));
            issue(ns, &kind.to_lowercase().replace(' ', "-")).await?;
            let data = ns.api::<Secret>().get("mine").await?.data.context("no data")?;
            assert_eq!(Vec::from_iter(data.keys()), ["account.pem"]);
            assert_eq!(PrivateKey::from_pem(&data["account.pem"].0)?.algorithm().to_string(), kind);
        }
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_of_the_users_is_changed_when_asked_for_and_not_for_its_kind() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let pem = include_str!("../fixtures/account-rsa-pkcs1.pem");
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" }, "stringData": { "tls.key": pem },
        });
        ns.apply(&secret.to_string()).await?;
        ca.ready(ns, "    privateKeySecretRef: { name: mine }\n    accountKey: { algorithm: ECDSA }\n").await?;
        issue(ns, "web").await?;
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 0);
        let before = acme(ns).await?;
        assert_eq!(before["keyAlgorithm"], "RSA 2048");
        ask_for_rollover(ns, "now").await?;
        let after = rolled_over(ns, &before).await?;
        assert_eq!(after["keyAlgorithm"], "ECDSA P-256");
        let secret = ns.api::<Secret>().get("mine").await?;
        ensure!(secret.labels().is_empty(), "it stays the user's: {:?}", secret.labels());
        issue(ns, "again").await
    })
    .await
}

#[tokio::test]
async fn an_order_under_way_goes_on_with_the_new_key() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let provider = ScriptedProvider::http().await?.publish_to(&ground.bind);
        // The annotation is not seen until the key has been replaced.
        provider.script(|_| Reply::Lie);
        ground.solve_by(ns, http_request(&provider.url, json!({}))).await?;
        ns.apply(&certificate("web", &["*.a.test"], "")).await?;
        let recorded = |object: &Value| object["status"]["dnsRecords"][0]["keyAuthorization"].is_string();
        let waits = |object: &Value| {
            recorded(object)
                && condition(object, "Issuing")
                    .is_some_and(|(_, reason, _)| reason == "WaitingForPropagation")
        };
        let web = ns.wait("certificate/web", SOON, waits).await?;
        ensure!(web["status"]["order"].is_object(), "{}", web["status"]);
        let before = acme(ns).await?;
        ask_for_rollover(ns, "1").await?;
        provider.fulfill();
        // The rollover waits for presented challenges, but not for long.
        let after = wait_rolled_over(ns, &before, SOON * 3).await?;
        issued(ns, "web").await?;
        // A removal that takes too long is retried.
        ns.wait("certificate/web", SOON, |web: &Value| web["status"]["dnsRecords"].is_null()).await?;
        let thumbprint = after["keyThumbprint"].as_str().context("no thumbprint")?;
        let presented: Vec<String> = provider
            .requests()
            .iter()
            .filter(|request| !request.is_cleanup)
            .map(|request| request.body["value"].to_string())
            .collect();
        ensure!(presented.first() != presented.last(), "another value for {thumbprint}: {presented:?}");
        assert_eq!(ground.values("a.test").await?, [""; 0]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_under_way_over_http_goes_on_with_the_new_key() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).argument("--http01-self-check-timeout", "10m").start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        let name = http01::host(ns, "web");
        let held = http01::hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let order = http01::presented(ns, "web").await?["status"]["order"]["url"].clone();
        ask_for_rollover(ns, "1").await?;
        wait_rolled_over(ns, &before, SOON * 3).await?;
        held.let_go().await?;
        issued(ns, "web").await?;
        assert_eq!(requests_to(&ca.proxy, NEW_ORDER).len(), 1, "{order}");
        Ok(())
    })
    .await
}

/// A Pebble with a proxy in front of it.
struct Ca {
    pebble: Pebble,
    proxy: Proxy,
}

impl Ca {
    async fn start(ns: &TestNamespace, pebble: PebbleBuilder) -> Result<Self> {
        let pebble = pebble.start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        Ok(Self { pebble, proxy })
    }

    fn directory(&self) -> String {
        format!("{}{DIRECTORY}", self.proxy.url)
    }

    fn issuer(&self, more: &str) -> String {
        issuer(&self.directory(), &self.pebble.ca_pem, more)
    }

    /// Applies the Issuer `ca`, and waits until it is ready.
    async fn ready(&self, ns: &TestNamespace, more: &str) -> Result<()> {
        ns.apply(&self.issuer(more)).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        Ok(())
    }

    async fn impatient(&self, ns: &TestNamespace) -> Result<Operator> {
        IMPATIENT
            .iter()
            .fold(Operator::builder(ns), |builder, (name, value)| builder.argument(name, value))
            .start()
            .await
    }

    /// The path of the account that the CA has for a key. The request bypasses the proxy.
    async fn account_of(&self, key: &PrivateKey) -> Result<Option<String>> {
        let server = server(&self.pebble.directory_url, &self.pebble.ca_pem)?;
        let found = Account::look_up(&server, key.clone()).await?;
        Ok(found.map(|found| path(found.account.url())))
    }
}

/// The path of a URL.
fn path(url: &str) -> String {
    url.splitn(4, '/').last().unwrap_or_default().to_owned()
}

fn server(directory: &str, ca_pem: &str) -> Result<Server> {
    let trust = Trust::Bundle(ca_pem.as_bytes().to_vec());
    Ok(Server::new(ServerConfig { trust, ..ServerConfig::new(directory, certwright_runtime::clock::now) })?)
}

/// The number of registered accounts.
fn registrations(proxy: &Proxy) -> usize {
    requests_to(proxy, NEW_ACCOUNT)
        .iter()
        .filter(|record| record.status.is_some_and(|status| status == 201))
        .count()
}

async fn ask_for_rollover(ns: &TestNamespace, value: &str) -> Result<()> {
    let request = json!({ "metadata": { "annotations": { (certwright_api::ANNOTATION_ROLLOVER): value } } });
    ns.patch("issuer/ca", request).await?;
    Ok(())
}

/// `status.acme` of the Issuer `ca`.
async fn acme(ns: &TestNamespace) -> Result<Value> {
    Ok(ns.get("issuer/ca").await?.context("no Issuer")?["status"]["acme"].clone())
}

/// Waits until the Issuer `ca` has a key other than `before`, and returns its `status.acme`.
async fn rolled_over(ns: &TestNamespace, before: &Value) -> Result<Value> {
    wait_rolled_over(ns, before, SOON).await
}

async fn wait_rolled_over(ns: &TestNamespace, before: &Value, bound: std::time::Duration) -> Result<Value> {
    let changed = |issuer: &Value| {
        issuer["status"]["acme"]["keyThumbprint"] != before["keyThumbprint"]
            && condition(issuer, "Ready").is_some_and(|(status, ..)| status == "True")
    };
    Ok(ns.wait("issuer/ca", bound, changed).await?["status"]["acme"].clone())
}

/// Waits until the Issuer `ca` reports for this reason that its key was not rolled over, and returns the message.
async fn not_rolled_over(ns: &TestNamespace, reason: &str) -> Result<String> {
    let said = |issuer: &Value| {
        condition(issuer, "KeyRollover").filter(|(status, found, _)| status == "False" && found == reason)
    };
    let issuer = ns.wait("issuer/ca", SOON, |issuer| said(issuer).is_some()).await?;
    Ok(said(&issuer).context("no condition")?.2)
}

/// The account key in the Secret `ca-account-key`.
async fn key(ns: &TestNamespace) -> Result<PrivateKey> {
    let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
    Ok(PrivateKey::from_pem(&data["tls.key"].0)?)
}

/// Issues a certificate.
async fn issue(ns: &TestNamespace, name: &str) -> Result<()> {
    ns.apply(&certificate(name, &[&host(ns, name)], "")).await?;
    issued(ns, name).await?;
    Ok(())
}

/// A name that no other test uses.
fn host(ns: &TestNamespace, label: &str) -> String {
    format!("{label}.{}.example.com", ns.name)
}

/// Reads a key in the account key Secret with `kubectl`, which needs no runtime: a proxy's script cannot wait.
fn read_at_once(namespace: &str, key: &str) -> String {
    let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
    let output = std::process::Command::new("kubectl")
        .args(["get", "secret", "ca-account-key", "--namespace", namespace, "--output", &template])
        .output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
