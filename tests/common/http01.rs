//! What tests of http-01 share: unique names, and validations that are held back.

use anyhow::Result;
use certwright_cluster::{Dns, TestNamespace};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::ListParams;
use serde_json::Value;

use super::faults::issuing;
use super::{HTTP01, wait_nothing_presented};

/// An address where nothing listens on port 80.
const NOBODY: &str = "127.80.0.1";

/// A name that no other test uses.
pub fn host(ns: &TestNamespace, name: &str) -> String {
    format!("{name}.{}.test", ns.name)
}

/// A name that resolves to an address where nothing listens, so that its answer is not visible.
pub struct HeldName {
    dns: Dns,
    name: String,
}

/// Holds back the validation of a name.
pub async fn hold(ns: &TestNamespace, name: &str) -> Result<HeldName> {
    let dns = ns.cluster.dns()?;
    dns.set_a(name, &[NOBODY]).await?;
    Ok(HeldName { dns, name: name.to_owned() })
}

impl HeldName {
    /// Lets the validation continue.
    pub async fn let_go(self) -> Result<()> {
        self.dns.clear_a(&self.name).await
    }
}

/// Waits until the self-check of a Certificate has failed: then everything is presented.
pub async fn presented(ns: &TestNamespace, name: &str) -> Result<Value> {
    Ok(issuing(ns, name, "WaitingForSelfCheck").await?.0)
}

/// An Ingress and a Gateway of somebody else, which solvers can use.
pub const ENTRANCES: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec: { ingressClassName: router, defaultBackend: { service: { name: shop, port: { number: 80 } } } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: public }
spec:
  gatewayClassName: router
  listeners:
    - { name: http, port: 80, protocol: HTTP }
    - { name: tls, port: 443, protocol: TLS, tls: { mode: Passthrough } }
";

/// The objects that lead to answers.
pub fn ours() -> ListParams {
    ListParams::default().labels(HTTP01)
}

/// The Ingresses that lead to answers.
pub async fn ingresses(ns: &TestNamespace) -> Result<Vec<Ingress>> {
    Ok(ns.api::<Ingress>().list(&ours()).await?.items)
}

/// Checks that nothing that leads to an answer is left. Kubernetes deletes the EndpointSlices with their Service.
pub async fn nothing_is_left(ns: &TestNamespace) -> Result<()> {
    assert_eq!(ingresses(ns).await?.len(), 0, "Ingresses");
    assert_eq!(ns.api::<Service>().list(&ours()).await?.items.len(), 0, "Services");
    wait_nothing_presented(ns).await
}
