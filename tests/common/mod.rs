//! What most tests start with: a CA, an operator and an Issuer in a separate namespace.
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub mod accounts;
pub mod annotations;
pub mod api;
pub mod cas;
pub mod certwright_dns;
pub mod chromium;
pub mod crash;
pub mod dns;
pub mod fault_cells;
pub mod faults;
pub mod gitops;
pub mod haproxy;
pub mod helm;
pub mod hostile;
pub mod http01;
pub mod markdown;
pub mod migrate;
pub mod overheard;
pub mod program;
pub mod schema;
pub mod secrets;
pub mod shop;
pub mod site;
pub mod stumble;
pub mod terminal;

use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Pebble, PebbleBuilder, Proxy, TestNamespace};
use certwright_pki::{Chain, PrivateKey};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

/// A test whose operator watches ClusterIssuers holds this lock: otherwise it would process those of other tests, too.
pub static CLUSTER_ISSUERS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Long enough for anything that should happen immediately.
pub const SOON: Duration = Duration::from_secs(30);

/// An Issuer called `ca` at `directory`; `more` goes into `spec.acme`, indented by four spaces.
pub fn issuer(directory: &str, ca_pem: &str, more: &str) -> String {
    format!(
        "apiVersion: certwright.dev/v1alpha1\nkind: Issuer\nmetadata: {{ name: ca }}\nspec:\n  acme:\n    \
         server: {directory}\n    caBundle: {}\n    solvers: [{{ http01: {{ ingress: {{ ingressClassName: router }} }} }}]\n{more}",
        base64(ca_pem)
    )
}

/// A Certificate for `names` from the Issuer `ca`, in the Secret `<name>-tls`; `more` goes into `spec`, indented by two.
pub fn certificate(name: &str, names: &[&str], more: &str) -> String {
    format!(
        "apiVersion: certwright.dev/v1alpha1\nkind: Certificate\nmetadata: {{ name: {name} }}\nspec:\n  \
         secretName: {name}-tls\n  issuerRef: {{ name: ca }}\n  privateKey: {{ algorithm: ECDSA }}\n  \
         dnsNames: {}\n{more}",
        json!(names)
    )
}

/// What [`issuer`] or [`certificate`] returned, with another issuer name instead of `ca`.
pub fn of_issuer(name: &str, yaml: &str) -> String {
    yaml.replace("{ name: ca }", &format!("{{ name: {name} }}"))
}

/// The external account binding for [`issuer`]; its MAC key is in the Secret `eab`, see [`mac_key`].
pub fn external_account(key_id: &str) -> String {
    format!("    externalAccountBinding: {{ keyID: {key_id}, keySecretRef: {{ name: eab }} }}\n")
}

/// A Secret with a MAC key.
pub fn mac_key(name: &str, key: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { "secret": key },
    })
    .to_string()
}

/// A CA and an operator with an Issuer `ca` for it that is ready.
pub async fn ready(ns: &TestNamespace) -> Result<(Pebble, Operator)> {
    let pebble = Pebble::builder().start(&ns.cluster).await?;
    let operator = Operator::builder(ns).start().await?;
    ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
    ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
    Ok((pebble, operator))
}

/// The same with a proxy between them.
pub async fn ready_through_proxy(
    ns: &TestNamespace,
    pebble: PebbleBuilder,
    more: &str,
) -> Result<(Pebble, Proxy, Operator)> {
    let pebble = pebble.start(&ns.cluster).await?;
    let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
    let operator = Operator::builder(ns).start().await?;
    ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, more)).await?;
    ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
    Ok((pebble, proxy, operator))
}

/// The number of requests to a proxy whose path begins with `path`.
pub fn count(proxy: &Proxy, path: &str) -> usize {
    proxy.requests().iter().filter(|request| request.path.starts_with(path)).count()
}

/// Requests that are held back at a proxy until [`Held::go_on`] is called.
pub struct Held {
    reached: watch::Receiver<usize>,
    _gate: mpsc::Sender<()>,
}

impl Held {
    /// Waits until a request is held back.
    pub async fn reached(&mut self) -> Result<()> {
        self.reached_by(1).await
    }

    /// Waits until this many requests are held back.
    pub async fn reached_by(&mut self, requests: usize) -> Result<()> {
        let waited = timeout(SOON, self.reached.wait_for(|reached| *reached >= requests)).await;
        waited.with_context(|| format!("not {requests} requests to be held up were made"))??;
        Ok(())
    }

    /// Releases these requests, and holds back no others. Those of [`hang`] are never answered.
    pub fn go_on(self, proxy: &Proxy) {
        proxy.pass();
    }
}

/// Holds back the answers to requests whose path begins with `path`: the CA has handled them, and the operator does not know the
/// answer yet.
pub fn hold(proxy: &Proxy, path: &'static str) -> Held {
    let (sender, reached) = watch::channel(0);
    let (gate, closed) = mpsc::channel::<()>();
    let (sender, closed) = (Arc::new(sender), Arc::new(Mutex::new(closed)));
    proxy.script(move |request| {
        if !request.path.starts_with(path) {
            return Action::Pass;
        }
        let (sender, closed) = (sender.clone(), closed.clone());
        Action::PassThen(Box::new(move || {
            sender.send_modify(|reached| *reached += 1);
            // It ends when the other side is dropped, even if the test fails.
            let _ = closed.lock().recv();
        }))
    });
    Held { reached, _gate: gate }
}

/// Neither answers nor forwards requests whose path begins with `path`.
pub fn hang(proxy: &Proxy, path: &'static str) -> Held {
    let (sender, reached) = watch::channel(0);
    let (gate, _) = mpsc::channel();
    proxy.script(move |request| {
        if !request.path.starts_with(path) {
            return Action::Pass;
        }
        sender.send_modify(|reached| *reached += 1);
        Action::Hang
    });
    Held { reached, _gate: gate }
}

/// The content of a TLS Secret.
pub struct Tls {
    pub secret: Secret,
    pub chain: Chain,
    pub key: PrivateKey,
    pub key_pem: String,
}

/// Reads the Secret of a Certificate, and checks that the key belongs to the certificate.
pub async fn tls(ns: &TestNamespace, secret: &str) -> Result<Tls> {
    let secret = ns.api::<Secret>().get(secret).await?;
    let data = secret.data.as_ref().context("the Secret has no data")?;
    let chain = Chain::parse_pem(&data.get("tls.crt").context("no tls.crt")?.0)?;
    let key_pem = String::from_utf8(data.get("tls.key").context("no tls.key")?.0.clone())?;
    let key = PrivateKey::from_pem(key_pem.as_bytes())?;
    chain.leaf().check_key(&key)?;
    Ok(Tls { secret, chain, key, key_pem })
}

/// Waits until this many certificates were issued for a Certificate and it is ready, and returns it.
pub async fn revision(ns: &TestNamespace, name: &str, revision: i64) -> Result<Value> {
    ns.wait(&format!("certificate/{name}"), SOON, |object| {
        object["status"]["revision"] == revision
            && condition(object, "Ready").is_some_and(|(status, ..)| status == "True")
            && condition(object, "Issuing").is_some_and(|(status, ..)| status == "False")
    })
    .await
}

/// Watches the objects of a kind with these labels until `wanted` is true of them, and returns them.
pub async fn wait_all<K>(
    ns: &TestNamespace,
    labels: &str,
    wanted: impl Fn(&[Arc<K>]) -> bool,
) -> Result<Vec<Arc<K>>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let config = watcher::Config::default().labels(labels);
    let mut events = pin!(watcher(ns.api::<K>(), config).default_backoff().reflect(writer));
    let watching = async {
        let mut complete = false;
        while let Some(event) = events.next().await {
            complete |= matches!(event, Ok(watcher::Event::InitDone));
            if complete && wanted(&store.state()) {
                return Ok(store.state());
            }
        }
        bail!("the watch ended")
    };
    let waited = timeout(SOON, watching).await;
    waited.with_context(|| {
        let names: Vec<_> = store.state().iter().map(|object| object.name_any()).collect();
        format!("the {} are not as wanted: {names:?}\n{}", K::plural(&()), ns.operator_log_tail(15))
    })?
}

/// Label of all objects that lead a CA to the answers of http-01 challenges.
pub const HTTP01: &str = "certwright.dev/http01=true";

/// Waits until nothing leads a CA to answers any more.
pub async fn wait_nothing_presented(ns: &TestNamespace) -> Result<()> {
    wait_all::<Ingress>(ns, HTTP01, <[_]>::is_empty).await?;
    wait_all::<Service>(ns, HTTP01, <[_]>::is_empty).await?;
    wait_all::<EndpointSlice>(ns, HTTP01, <[_]>::is_empty).await?;
    Ok(())
}

/// Waits until nothing of the issuances is left: neither objects that lead to answers, nor private keys.
pub async fn wait_nothing_left(ns: &TestNamespace) -> Result<()> {
    wait_nothing_presented(ns).await?;
    wait_all::<Secret>(ns, "certwright.dev/secret=next-private-key", <[_]>::is_empty).await?;
    Ok(())
}

/// Waits until the operator reports that a Certificate is ready with its current spec, and returns it. Use [`revision`] to wait
/// for another certificate with the same spec.
pub async fn issued(ns: &TestNamespace, name: &str) -> Result<Value> {
    let target = format!("certificate/{name}");
    ns.wait(&target, SOON, is_issued).await?;
    ns.get(&target).await?.context("the Certificate is gone")
}

/// Whether a Certificate is ready with its current spec.
pub fn is_issued(object: &Value) -> bool {
    let generation = &object["metadata"]["generation"];
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "Ready"
            && condition["status"] == "True"
            && generation.is_i64()
            && condition["observedGeneration"] == *generation
    })
}

/// Checks that a Certificate is not written for this long.
pub async fn stays_as_it_is(ns: &TestNamespace, name: &str, quiet: Duration) -> Result<()> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = pin!(watcher(ns.api::<certwright_api::Certificate>(), config).applied_objects());
    let first = changes.try_next().await?.context("it is gone")?;
    match timeout(quiet, changes.try_next()).await {
        Err(_) => Ok(()),
        Ok(change) => {
            let change = change?.context("the watch ended")?;
            bail!("it was written: from {:#?}\nto {:#?}", first.status, change.status)
        }
    }
}

/// A condition of an object: status, reason and message.
pub fn condition(object: &Value, type_: &str) -> Option<(String, String, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == type_)?;
    let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

/// Base64, the format of byte strings in YAML.
pub fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn a_certificate_that_is_ready_with_an_earlier_spec_is_not_issued_yet() {
    let certificate = |generation: i64, status: &str, observed: i64| {
        let ready = json!({ "type": "Ready", "status": status, "observedGeneration": observed });
        is_issued(&json!({
            "metadata": { "generation": generation }, "status": { "conditions": [{ "type": "Issuing", "status": "False" }, ready] },
        }))
    };
    assert!(certificate(1, "True", 1) && certificate(2, "True", 2));
    assert!(!certificate(2, "True", 1), "of the spec before");
    assert!(!certificate(1, "False", 1), "not ready");
    assert!(!is_issued(&json!({ "metadata": { "generation": 1 } })), "nothing is known yet");
    assert!(!is_issued(&json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } })));
}
