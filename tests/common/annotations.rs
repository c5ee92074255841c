//! What tests of annotations on Ingresses and Gateways share.

use anyhow::{Context, Result, ensure};
use certwright_api::Certificate;
use certwright_cluster::TestNamespace;
use certwright_cluster::control_plane::audit_log;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::SOON;

/// An Ingress with these annotations, and the hosts of each Secret.
pub fn ingress(name: &str, annotations: &Value, tls: &[(&str, &[&str])]) -> String {
    let tls: Vec<Value> =
        tls.iter().map(|(secret, hosts)| json!({ "hosts": hosts, "secretName": secret })).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": name, "labels": { "team": "web" }, "annotations": annotations },
        "spec": {
            "ingressClassName": "router", "tls": tls,
            "defaultBackend": { "service": { "name": "shop", "port": { "number": 80 } } },
        },
    })
    .to_string()
}

/// Waits until `wanted` is true of a Certificate, and returns it.
pub async fn certificate_that(
    ns: &TestNamespace,
    name: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    ns.wait(&format!("certificate/{name}"), SOON, wanted).await
}

/// Waits until a Certificate exists.
pub async fn made(ns: &TestNamespace, name: &str) -> Result<Value> {
    certificate_that(ns, name, |_| true).await
}

/// The Certificates of a namespace, by name.
pub async fn certificates(ns: &TestNamespace) -> Result<Vec<String>> {
    let found = ns.api::<Certificate>().list(&ListParams::default()).await?;
    Ok(found.iter().map(ResourceExt::name_any).collect())
}

/// The notes of all events about an object, each with its reason, sorted.
pub async fn told(ns: &TestNamespace, name: &str) -> Result<Vec<String>> {
    let events = ns.api::<Event>().list(&ListParams::default()).await?.items;
    let about = events.into_iter().filter(|event| {
        event.regarding.as_ref().is_some_and(|object| {
            object.name.as_deref() == Some(name) && object.kind.as_deref() != Some("Certificate")
        })
    });
    let mut notes: Vec<String> = about
        .map(|event| format!("{}: {}", event.reason.unwrap_or_default(), event.note.unwrap_or_default()))
        .collect();
    notes.sort();
    Ok(notes)
}

/// Waits until the operator has processed everything requested before: requests one more thing, and waits for its event.
pub async fn caught_up(ns: &TestNamespace, marker: &str) -> Result<()> {
    let annotations = json!({ "certwright.dev/issuer": "ca" });
    ns.apply(&ingress(marker, &annotations, &[(marker, &[&format!("{marker}.test")])])).await?;
    made(ns, marker).await?;
    super::faults::event(ns, marker, "CertificateCreated").await.map(drop)
}

/// The requests of operators in a namespace, as `verb resource` or `verb resource/subresource`, from the audit log.
pub fn requests(ns: &TestNamespace) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(audit_log(&ns.cluster.description.state)).context("no audit log")?;
    ensure!(!text.is_empty(), "the audit log is empty");
    // The last line may be incomplete.
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // A watch is logged when it begins and when it ends.
    let counts = |event: &Value| event["verb"] == "watch" || event["stage"] != "ResponseStarted";
    let here = events.filter(|event| event["objectRef"]["namespace"] == ns.name && counts(event));
    Ok(here
        .map(|event| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (verb, resource) = (text(&event["verb"]), text(&event["objectRef"]["resource"]));
            match event["objectRef"]["subresource"].as_str() {
                Some(subresource) => format!("{verb} {resource}/{subresource}"),
                None => format!("{verb} {resource}"),
            }
        })
        .collect())
}
