//! Ingresses, Gateways and ListenerSets, reduced to the parts that Certificates are created from. The rest is not kept in memory.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{CustomResource, Resource};
use serde::{Deserialize, Serialize};

use super::Remark;
use super::names::is_read;
use certwright_api::bounds::is_object_name;

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

/// A `gateway.networking.k8s.io/v1` ListenerSet.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "ListenerSet",
    plural = "listenersets",
    namespaced,
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    doc = "A `gateway.networking.k8s.io/v1` ListenerSet, reduced to the parts that Certificates are created from."
)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetSpec {
    /// The Gateway that it adds listeners to.
    #[serde(default)]
    pub parent_ref: Attachment,
    /// Where the Gateway listens in addition.
    #[serde(default)]
    pub listeners: Vec<Listener>,
}

/// The Gateway that a ListenerSet is attached to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The namespace, by default that of the ListenerSet.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The name.
    #[serde(default)]
    pub name: String,
}

/// A listener of a Gateway or a ListenerSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its hostname.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Its port.
    #[serde(default)]
    pub port: Option<i32>,
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

/// An Ingress, a Gateway or a ListenerSet.
#[derive(Clone, Debug, Default)]
pub struct AnnotatedObject {
    /// Which of the three.
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
    /// Whether it has a listener for HTTP.
    pub(super) listens_for_http: bool,
    /// What its owner should know about its HTTPRoutes.
    pub(super) remarks: Vec<Remark>,
    /// The Gateway of a ListenerSet.
    pub(super) gateway: Option<Attachment>,
}

/// The kinds of annotated object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnnotatedKind {
    /// `networking.k8s.io/v1`.
    #[default]
    Ingress,
    /// `gateway.networking.k8s.io/v1`.
    Gateway,
    /// `gateway.networking.k8s.io/v1`.
    ListenerSet,
}

impl AnnotatedKind {
    /// The kind as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Gateway => "Gateway",
            Self::ListenerSet => "ListenerSet",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::Ingress => "networking.k8s.io/v1",
            Self::Gateway | Self::ListenerSet => "gateway.networking.k8s.io/v1",
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
    /// The listener's port, if it is one.
    pub port: Option<i32>,
    /// Whether the hosts are those of HTTPRoutes.
    pub of_routes: bool,
}

/// A parent for temporary HTTPRoutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent<'a> {
    pub kind: &'static str,
    /// If it is another one.
    pub namespace: Option<&'a str>,
    pub name: &'a str,
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

    /// The parent for temporary HTTPRoutes that answer http-01, if there is one with a listener for HTTP. `fallback` says whether that
    /// is the Gateway of a ListenerSet; by default it is, unless the ListenerSet itself listens for HTTP.
    pub(super) fn parent(&self, fallback: Option<bool>) -> Option<Parent<'_>> {
        let own = Parent { kind: self.kind.as_str(), namespace: None, name: &self.name };
        match self.kind {
            AnnotatedKind::Ingress => None,
            AnnotatedKind::Gateway => self.listens_for_http.then_some(own),
            AnnotatedKind::ListenerSet if !fallback.unwrap_or(!self.listens_for_http) => Some(own),
            AnnotatedKind::ListenerSet => {
                let gateway = self.gateway.as_ref().filter(|gateway| is_object_name(&gateway.name))?;
                let elsewhere = gateway.namespace.as_deref().filter(|namespace| *namespace != self.namespace);
                Some(Parent { kind: "Gateway", namespace: elsewhere, name: &gateway.name })
            }
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
            ..Self::default()
        }
    }

    fn of_listeners(kind: AnnotatedKind, metadata: &ObjectMeta, listeners: &[Listener]) -> Self {
        let needing = listeners.iter().enumerate().filter(|(_, listener)| terminates_tls(listener));
        let blocks = needing.map(|(at, listener)| Block {
            path: format!("spec.listeners[{at}]"),
            listener: Some(listener.name.clone()),
            hosts: listener.hostname.iter().filter(|host| !host.is_empty()).cloned().collect(),
            secrets: listener.tls.as_ref().map(|tls| tls.certificate_refs.clone()).unwrap_or_default(),
            port: listener.port,
            of_routes: false,
        });
        let listens_for_http = listeners.iter().any(|listener| listener.protocol == "HTTP");
        Self { listens_for_http, ..Self::of(kind, metadata, blocks.collect()) }
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
            port: None,
            of_routes: false,
        });
        Self::of(AnnotatedKind::Ingress, &ingress.metadata, blocks.collect())
    }
}

impl From<&Gateway> for AnnotatedObject {
    fn from(gateway: &Gateway) -> Self {
        Self::of_listeners(AnnotatedKind::Gateway, &gateway.metadata, &gateway.spec.listeners)
    }
}

impl From<&ListenerSet> for AnnotatedObject {
    fn from(set: &ListenerSet) -> Self {
        let object = Self::of_listeners(AnnotatedKind::ListenerSet, &set.metadata, &set.spec.listeners);
        Self { gateway: Some(set.spec.parent_ref.clone()), ..object }
    }
}

/// Whether a listener needs a certificate.
fn terminates_tls(listener: &Listener) -> bool {
    let mode = listener.tls.as_ref().and_then(|tls| tls.mode.as_deref());
    matches!(listener.protocol.as_str(), "HTTPS" | "TLS") && mode != Some("Passthrough")
}

/// An Ingress, a Gateway or a ListenerSet. What is not read of one is not kept in memory.
pub(super) trait Reducible: Resource {
    /// Forgets the spec.
    fn clear(&mut self);
}

impl Reducible for Ingress {
    fn clear(&mut self) {
        self.spec = IngressSpec::default();
    }
}

impl Reducible for Gateway {
    fn clear(&mut self) {
        self.spec = GatewaySpec::default();
    }
}

impl Reducible for ListenerSet {
    fn clear(&mut self) {
        self.spec = ListenerSetSpec::default();
    }
}

/// Removes the parts that are not read. `also` are names of annotations that are read, besides ours and cert-manager's.
///
/// An object without annotations is still cached: Certificates that were created from it are reported.
pub(super) fn reduce<K: Reducible>(object: &mut K, also: &[String]) {
    let metadata = object.meta_mut();
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    annotations.retain(|key, _| is_read(key) || also.contains(key));
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
    if !is_annotated {
        object.clear();
    }
}
