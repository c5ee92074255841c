//! cert-manager's objects, and `certwright migrate`.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use certwright_cluster::TestNamespace;
use serde_json::Value;
use tokio::process::Command;

use super::accounts::Ca;
use super::base64;

/// cert-manager's kinds, by their names in tests.
pub const CM_CERTIFICATE: &str = "certificates.cert-manager.io";
pub const CM_ISSUER: &str = "issuers.cert-manager.io";

/// An Issuer of cert-manager, whose account key is in the Secret `account`.
pub fn cm_issuer(ca: &Ca, more: &str) -> String {
    format!(
        "apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {{ name: ca }}\nspec:\n  acme:\n    server: {}\n    \
         caBundle: {}\n    privateKeySecretRef: {{ name: account }}\n    solvers: [{{ http01: {{ ingress: {{ \
         ingressClassName: router }} }}, waitInsteadOfSelfCheck: 0s }}]\n{more}",
        ca.directory(),
        base64(&ca.pebble.ca_pem)
    )
}

/// A Certificate of cert-manager for `names` from the Issuer `ca`; `more` goes into `spec`, indented by two.
pub fn cm_certificate(name: &str, names: &[&str], more: &str) -> String {
    super::certificate(name, names, more).replace("certwright.dev/v1alpha1", "cert-manager.io/v1")
}

/// Runs `certwright migrate` in the namespace, as an administrator.
pub async fn migrate(ns: &TestNamespace, arguments: &[&str]) -> Result<Output> {
    let output = Command::new(env!("CARGO_BIN_EXE_certwright"))
        .arg("migrate")
        .args(["--namespace", &ns.name, "--cert-manager-namespace", &ns.name])
        .args(arguments)
        .env("KUBECONFIG", &ns.cluster.description.kubeconfig)
        .output()
        .await;
    output.context("cannot run certwright")
}

/// Its output, if it ends with `code`.
pub async fn migrated(ns: &TestNamespace, arguments: &[&str], code: i32) -> Result<String> {
    let output = migrate(ns, arguments).await?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(code), "it ended with {}: {said}\n{errors}", output.status);
    Ok(said.into_owned())
}

/// The resource version of an object.
pub async fn version(ns: &TestNamespace, target: &str) -> Result<Value> {
    let object = ns.get(target).await?.with_context(|| format!("{target} is gone"))?;
    Ok(object["metadata"]["resourceVersion"].clone())
}
