//! What most tests begin with: a CA, an operator and an Issuer in a namespace of their own.
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub mod faults;
pub mod overheard;

use std::time::Duration;

use anyhow::{Context, Result};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use serde_json::Value;

/// Long enough for anything that is expected to happen at once.
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
        serde_json::json!(names)
    )
}

/// The name of an issuer put in the place of `ca`, in what [`issuer`] or [`certificate`] returned.
pub fn of_issuer(name: &str, yaml: &str) -> String {
    yaml.replace("{ name: ca }", &format!("{{ name: {name} }}"))
}

/// What [`issuer`] takes for an external account; its MAC key is in the Secret `eab`, as [`mac_key`] makes it.
pub fn external_account(key_id: &str) -> String {
    format!("    externalAccountBinding: {{ keyID: {key_id}, keySecretRef: {{ name: eab }} }}\n")
}

/// A Secret with a MAC key.
pub fn mac_key(name: &str, key: &str) -> String {
    serde_json::json!({
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

/// Waits until a Certificate is ready, and returns it.
pub async fn issued(ns: &TestNamespace, name: &str) -> Result<Value> {
    ns.wait_condition(&format!("certificate/{name}"), "Ready", "True", SOON).await?;
    ns.get(&format!("certificate/{name}")).await?.context("the Certificate is gone")
}

/// A condition of an object: status, reason and message.
pub fn condition(object: &Value, type_: &str) -> Option<(String, String, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == type_)?;
    let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

/// Base64, as byte strings are written in YAML.
pub fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}
