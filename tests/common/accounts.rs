//! A CA with a proxy that records requests, and what tests of accounts ask of it and of Issuers.

use anyhow::{Context, Result};
use certwright_acme::{
    Account, AcmeError, ExternalAccountKey, Registered, Registration, Server, ServerConfig, Trust,
};
use certwright_cluster::{Pebble, PebbleBuilder, Proxy, TestNamespace, proxy::Action};
use certwright_pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use serde_json::{Value, json};

use super::overheard::{ACCOUNT, NEW_ACCOUNT, Overheard, Said};
use super::{SOON, condition, issuer};

/// 48 bytes, as in Pebble's own examples.
pub const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
/// Another.
pub const OTHER_MAC_KEY: &str = "b10lLJs8l1GPIzsLP0s6pMt8O0XVGnfTaCeROxQM0BIt2XrJMDHJZBM5NuQmQJQH";

/// A Pebble that accepts all nonces, since a rejected one sends a request twice, and a recording proxy.
pub struct Ca {
    pub pebble: Pebble,
    pub proxy: Proxy,
    pub overheard: Overheard,
}

impl Ca {
    pub async fn start(ns: &TestNamespace, pebble: PebbleBuilder) -> Result<Self> {
        let pebble = pebble.start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let overheard = Overheard::at(&proxy);
        Ok(Self { pebble, proxy, overheard })
    }

    pub fn directory(&self) -> String {
        format!("{}/dir", self.proxy.url)
    }

    /// An Issuer called `ca`; `more` goes into `spec.acme`, indented by four spaces.
    pub fn issuer(&self, more: &str) -> String {
        issuer(&self.directory(), &self.pebble.ca_pem, more)
    }

    /// Answers as `script` says; requests that it has no answer for are forwarded.
    pub fn script(&self, script: impl Fn(&Said) -> Option<Action> + Send + Sync + 'static) {
        self.overheard.script(&self.proxy, move |said| script(said).unwrap_or(Action::Pass));
    }

    /// The requests to deactivate an account.
    pub fn deactivations(&self) -> Vec<Said> {
        self.overheard.those(deactivates)
    }

    /// The requests to newAccount.
    pub fn asked_for_account(&self) -> Vec<Said> {
        self.overheard.those(|said| said.path == NEW_ACCOUNT)
    }

    /// Another client of the CA, which bypasses the proxy.
    fn client(&self) -> Result<Server> {
        client_of(&self.pebble)
    }

    /// Registers a key like another client.
    pub async fn register_elsewhere(
        &self,
        key: PrivateKey,
        external_account: Option<ExternalAccountKey>,
    ) -> Result<Registered> {
        let contact = vec!["elsewhere@example.com".to_owned()];
        Ok(Account::register(&self.client()?, key, &Registration { contact, external_account }).await?)
    }

    /// The CA's answer about a key, requested by another client: the account's URL, or the CA's error.
    pub async fn says_of(&self, key: PrivateKey) -> Result<Result<Option<String>, AcmeError>> {
        let found = Account::look_up(&self.client()?, key).await;
        Ok(found.map(|found| found.map(|found| found.account.url().to_owned())))
    }

    /// Whether the CA says that the account of this key is deactivated.
    pub async fn has_deactivated(&self, key: PrivateKey) -> Result<bool> {
        let said = self.says_of(key).await?;
        Ok(said.is_err_and(|error| error.to_string().contains("deactivated")))
    }
}

/// A client of a CA.
pub fn client_of(pebble: &Pebble) -> Result<Server> {
    let config = ServerConfig {
        trust: Trust::Bundle(pebble.ca_pem.clone().into_bytes()),
        ..ServerConfig::new(pebble.directory_url.clone(), certwright_runtime::clock::now)
    };
    Ok(Server::new(config)?)
}

/// Whether a request asks for the deactivation of the account.
pub fn deactivates(said: &Said) -> bool {
    said.path.starts_with(ACCOUNT) && said.payload["status"] == "deactivated"
}

/// Waits until an Issuer is ready with its current spec.
pub async fn registered(ns: &TestNamespace, name: &str) -> Result<Value> {
    let ready = |issuer: &Value| condition(issuer, "Ready").is_some_and(|ready| ready.0 == "True");
    ns.wait(&format!("issuer/{name}"), SOON, |issuer| is_up_to_date(issuer) && ready(issuer)).await
}

/// Waits until an Issuer is not ready for `reason`, and returns the message.
pub async fn not_ready(ns: &TestNamespace, name: &str, reason: &str) -> Result<String> {
    let said =
        |issuer: &Value| condition(issuer, "Ready").filter(|ready| ready.0 == "False" && ready.1 == reason);
    let wanted = |issuer: &Value| is_up_to_date(issuer) && said(issuer).is_some();
    let issuer = ns.wait(&format!("issuer/{name}"), SOON, wanted).await?;
    Ok(said(&issuer).context("no condition")?.2)
}

pub fn is_up_to_date(issuer: &Value) -> bool {
    let conditions = issuer["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
    ready.any(|ready| ready["observedGeneration"] == issuer["metadata"]["generation"])
}

/// The URL of an Issuer's account.
pub fn uri(issuer: &Value) -> String {
    issuer["status"]["acme"]["uri"].as_str().unwrap_or_default().to_owned()
}

/// The account in the status of an Issuer, without the times of its checks.
pub fn account(issuer: &Value) -> Value {
    let mut account = issuer["status"]["acme"].clone();
    if let Some(fields) = account.as_object_mut() {
        fields.retain(|name, _| !["lastCheckTime", "nextCheckTime"].contains(&name.as_str()));
    }
    account
}

/// The private key in a Secret.
pub async fn key_in(ns: &TestNamespace, secret: &str, entry: &str) -> Result<PrivateKey> {
    let secret = ns.api::<Secret>().get(secret).await?;
    let data = secret.data.context("the Secret has no data")?;
    Ok(PrivateKey::from_pem_or_jwk(&data.get(entry).context(entry.to_owned())?.0)?)
}

/// A Secret with an account key in `tls.key`.
pub fn key_secret(name: &str, key: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { "tls.key": key },
    })
    .to_string()
}

/// The notes of the events with this reason.
pub async fn events(ns: &TestNamespace, reason: &str) -> Result<Vec<String>> {
    let events = ns.api::<Event>().list(&Default::default()).await?;
    let those = events.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
    Ok(those.filter_map(|event| event.note).collect())
}

/// The patch that requests the deactivation of an account.
pub fn deactivate(url: &str) -> Value {
    json!({ "metadata": { "annotations": { "certwright.dev/deactivate-account": url } } })
}
