//! Ingresses and Gateways, reduced to the parts that Certificates are created from. The rest is not kept in memory.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{CustomResource, Resource};
use serde::{Deserialize, Serialize};

use super::names::is_read;

/// A `networking.k8s.io/v1` Ingress.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "networking.k8s.io",
    version = "v1",
    kind = "Ingress",
    plural = "ingresses",
    namespaced,
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    doc = "A `networking.k8s.io/v1` Ingress, reduced to the parts that Certificates are created from."
)]
pub struct IngressSpec {
    /// Hosts, and the Secret with their certificate.
    #[serde(default)]
    pub tls: Vec<IngressTls>,
}

/// Hosts of an Ingress, and the Secret with their certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// The hosts.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The Secret.
    #[serde(default)]
    pub secret_name: Option<String>,
}

/// A `gateway.networking.k8s.io/v1` Gateway.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "Gateway",
    plural = "gateways",
    namespaced,
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    doc = "A `gateway.networking.k8s.io/v1` Gateway, reduced to the parts that Certificates are created from."
)]
pub struct GatewaySpec {
    /// Where it listens.
    #[serde(default)]
    pub listeners: Vec<Listener>,
}

/// A listener of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its hostname.
    #[serde(default)]
    pub hostname: Option<String>,
    /// `HTTP`, `HTTPS`, `TLS` and others.
    #[serde(default)]
    pub protocol: String,
    /// Its TLS settings.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
}

/// TLS settings of a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// `Terminate`, the API's default, or `Passthrough`.
    #[serde(default)]
    pub mode: Option<String>,
    /// The Secrets with its certificates.
    #[serde(default)]
    pub certificate_refs: Vec<SecretReference>,
}

/// A reference to a Secret, or to another kind that the Gateway supports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecretReference {
    /// The API group, by default the core group.
    #[serde(default)]
    pub group: Option<String>,
    /// The kind, by default `Secret`.
    #[serde(default)]
    pub kind: Option<String>,
    /// The namespace, by default the Gateway's.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The name.
    #[serde(default)]
    pub name: String,
}

/// An Ingress or a Gateway.
#[derive(Clone, Debug, Default)]
pub struct AnnotatedObject {
    /// Which of the two.
    pub kind: AnnotatedKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// Whether it is being deleted: then the objects that it owns are deleted, too.
    pub is_going: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, as far as they are read.
    pub annotations: BTreeMap<String, String>,
    /// The parts of its spec that are about TLS.
    pub(super) blocks: Vec<Block>,
}

/// The kinds of annotated object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnnotatedKind {
    /// `networking.k8s.io/v1`.
    #[default]
    Ingress,
    /// `gateway.networking.k8s.io/v1`.
    Gateway,
}

impl AnnotatedKind {
    /// The kind as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Gateway => "Gateway",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::Ingress => "networking.k8s.io/v1",
            Self::Gateway => "gateway.networking.k8s.io/v1",
        }
    }
}

/// A part of a spec that is about TLS.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Where it is, such as `spec.tls[0]`.
    pub path: String,
    /// The listener's name, if it is one.
    pub listener: Option<String>,
    /// The hosts.
    pub hosts: Vec<String>,
    /// The Secrets.
    pub secrets: Vec<SecretReference>,
}

impl AnnotatedObject {
    /// The owner reference for Certificates that are created from it.
    pub(super) fn owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.kind.api_version().to_owned(),
            kind: self.kind.as_str().to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            // Blocking its deletion would require permission for its finalizers in some clusters.
            block_owner_deletion: Some(false),
        }
    }

    /// Whether it names this Secret.
    pub fn names_secret(&self, name: &str) -> bool {
        self.blocks.iter().any(|block| block.secrets.iter().any(|secret| secret.name == name))
    }

    fn of(kind: AnnotatedKind, metadata: &ObjectMeta, blocks: Vec<Block>) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            kind,
            namespace: text(&metadata.namespace),
            name: text(&metadata.name),
            uid: text(&metadata.uid),
            is_going: metadata.deletion_timestamp.is_some(),
            labels: metadata.labels.clone().unwrap_or_default(),
            annotations: metadata.annotations.clone().unwrap_or_default(),
            blocks,
        }
    }
}

impl From<&Ingress> for AnnotatedObject {
    fn from(ingress: &Ingress) -> Self {
        let blocks = ingress.spec.tls.iter().enumerate().map(|(at, tls)| Block {
            path: format!("spec.tls[{at}]"),
            listener: None,
            hosts: tls.hosts.clone(),
            secrets: (tls.secret_name.iter().filter(|name| !name.is_empty()))
                .map(|name| SecretReference { name: name.clone(), ..SecretReference::default() })
                .collect(),
        });
        Self::of(AnnotatedKind::Ingress, &ingress.metadata, blocks.collect())
    }
}

impl From<&Gateway> for AnnotatedObject {
    fn from(gateway: &Gateway) -> Self {
        let listeners = gateway.spec.listeners.iter().enumerate();
        let blocks = listeners.filter(|(_, listener)| terminates_tls(listener)).map(|(at, listener)| Block {
            path: format!("spec.listeners[{at}]"),
            listener: Some(listener.name.clone()),
            hosts: listener.hostname.iter().filter(|host| !host.is_empty()).cloned().collect(),
            secrets: listener.tls.as_ref().map(|tls| tls.certificate_refs.clone()).unwrap_or_default(),
        });
        Self::of(AnnotatedKind::Gateway, &gateway.metadata, blocks.collect())
    }
}

/// Whether a listener needs a certificate.
fn terminates_tls(listener: &Listener) -> bool {
    let mode = listener.tls.as_ref().and_then(|tls| tls.mode.as_deref());
    matches!(listener.protocol.as_str(), "HTTPS" | "TLS") && mode != Some("Passthrough")
}

/// Removes the parts of an Ingress that are not read.
pub fn reduce_ingress(ingress: &mut Ingress) {
    if !reduce(ingress) {
        ingress.spec = IngressSpec::default();
    }
}

/// Removes the parts of a Gateway that are not read.
pub fn reduce_gateway(gateway: &mut Gateway) {
    if !reduce(gateway) {
        gateway.spec = GatewaySpec::default();
    }
}

/// Reduces the metadata; false if it has no annotation that is read. Such an object is still cached: Certificates that were
/// created from it must be deleted.
fn reduce<K: Resource>(object: &mut K) -> bool {
    let metadata = object.meta_mut();
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    annotations.retain(|key, _| is_read(key));
    let is_annotated = !annotations.is_empty();
    *metadata = ObjectMeta {
        name: metadata.name.take(),
        namespace: metadata.namespace.take(),
        uid: metadata.uid.take(),
        resource_version: metadata.resource_version.take(),
        deletion_timestamp: metadata.deletion_timestamp.take(),
        labels: metadata.labels.take().filter(|_| is_annotated),
        annotations: Some(annotations).filter(|_| is_annotated),
        ..ObjectMeta::default()
    };
    is_annotated
}
