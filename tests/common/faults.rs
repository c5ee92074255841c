//! Faults of a CA, scripted at a proxy in front of it, and their observable effects.

use anyhow::{Context, Result};
use certwright_cluster::proxy::{Action, Record, RequestInfo};
use certwright_cluster::{Pebble, PebbleBuilder, Proxy, TestNamespace};
use futures::TryStreamExt;
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;

use super::{SOON, condition, issuer, of_issuer};

/// Paths of Pebble's ACME interface.
pub mod path {
    pub const DIRECTORY: &str = "/dir";
    pub const NEW_NONCE: &str = "/nonce-plz";
    pub const NEW_ACCOUNT: &str = "/sign-me-up";
    pub const NEW_ORDER: &str = "/order-plz";
    pub const ORDER: &str = "/my-order/";
    pub const AUTHORIZATION: &str = "/authZ/";
    pub const CHALLENGE: &str = "/chalZ/";
    pub const FINALIZE: &str = "/finalize-order/";
    pub const CERTIFICATE: &str = "/certZ/";
    pub const RENEWAL_INFO: &str = "/draft-ietf-acme-ari-03/renewalInfo/";
}

/// A CA that accepts all nonces, so that each request is sent once.
pub fn steady() -> PebbleBuilder {
    Pebble::builder()
}

/// A proxy in front of the CA, and an Issuer `name` for it that is ready.
pub async fn ready_behind_proxy(ns: &TestNamespace, pebble: &Pebble, name: &str) -> Result<Proxy> {
    let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
    let issuer = issuer(&format!("{}{}", proxy.url, path::DIRECTORY), &pebble.ca_pem, "");
    ns.apply(&of_issuer(name, &issuer)).await?;
    ns.wait_condition(&format!("issuer/{name}"), "Ready", "True", SOON).await?;
    Ok(proxy)
}

/// Waits until the condition `Issuing` of a Certificate has this reason; returns the Certificate and the message.
pub async fn issuing(ns: &TestNamespace, name: &str, reason: &str) -> Result<(Value, String)> {
    let has = |object: &Value| condition(object, "Issuing").is_some_and(|(_, found, _)| found == reason);
    let object = ns.wait(&format!("certificate/{name}"), SOON, has).await?;
    let message = condition(&object, "Issuing").map(|(_, _, message)| message).unwrap_or_default();
    Ok((object, message))
}

/// Waits for an event about the object `name` with this reason, and returns its type and note.
pub async fn event(ns: &TestNamespace, name: &str, reason: &str) -> Result<(String, String)> {
    let events = watcher(ns.api::<Event>(), watcher::Config::default()).applied_objects();
    let wanted = |event: &Event| {
        let about = event.regarding.as_ref().and_then(|object| object.name.as_deref());
        about == Some(name) && event.reason.as_deref() == Some(reason)
    };
    let mut found = std::pin::pin!(events.try_filter(|event| std::future::ready(wanted(event))));
    let event = tokio::time::timeout(SOON, found.try_next()).await;
    let event =
        event.with_context(|| format!("no event {reason} about {name}"))??.context("no more events")?;
    Ok((event.type_.unwrap_or_default(), event.note.unwrap_or_default()))
}

/// The requests to this path, oldest first.
pub fn requests_to(proxy: &Proxy, path: &str) -> Vec<Record> {
    proxy.requests().into_iter().filter(|record| record.path.starts_with(path)).collect()
}

/// How many requests to this path were answered with `status`; 499 if the answer was dropped.
pub fn answered(proxy: &Proxy, path: &str, status: u16) -> usize {
    let with_status = |record: &&Record| record.status.is_some_and(|found| found == status);
    requests_to(proxy, path).iter().filter(with_status).count()
}

/// The payload of a signed request (RFC 7515 section 7.2.2); null for a POST-as-GET.
pub fn payload(request: &RequestInfo) -> Value {
    use base64::Engine;
    let jws: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let payload = jws["payload"].as_str().unwrap_or_default();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}

/// An answer whose JSON is changed by the proxy; anything else is unchanged.
pub fn change_json(change: impl FnOnce(&mut Value) + Send + 'static) -> Action {
    Action::ReplaceBody(Box::new(move |body| match serde_json::from_slice(&body) {
        Ok(mut json) => {
            change(&mut json);
            json.to_string().into()
        }
        Err(_) => body,
    }))
}

/// A problem document (RFC 8555 section 6.7).
pub fn refusal(status: u16, problem: &Value) -> Action {
    let headers = vec![("content-type", "application/problem+json".to_owned())];
    Action::Respond { status, headers, body: problem.to_string() }
}

/// A time in the status of an object.
pub fn time(object: &Value, field: &str) -> Result<Timestamp> {
    let text = object["status"][field].as_str().with_context(|| format!("no {field} in {object}"))?;
    Ok(text.parse()?)
}
