//! The labels, owner and name that identify an object created for a Certificate's validation.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use certwright_api::{Certificate, LABEL_MANAGED_BY, MANAGED_BY, ParentReference, ServiceType};

/// The label of every object of a validation by http-01 or tls-alpn-01; its value is `true`.
pub const HTTP01_LABEL: &str = "certwright.dev/http01";
/// The label to find a Certificate's Ingresses, HTTPRoutes and TLSRoutes, for all solvers.
pub const CERTIFICATE_UID_LABEL: &str = "certwright.dev/certificate-uid";

/// The label with the shard that an object belongs to. Without shards, there is none.
const SHARD_LABEL: &str = "certwright.dev/http01-shard";
const HTTP01_SERVICE: &str = "certwright-http01";
const TLS_ALPN01_SERVICE: &str = "certwright-tls-alpn01";

/// A Service that leads to the operator. Each combination has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// Behind Ingresses and HTTPRoutes.
    Http01(ServiceType),
    /// Behind TLSRoutes.
    TlsAlpn01(ServiceType),
}

impl Backend {
    /// The port of the Service.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Http01(_) => 80,
            Self::TlsAlpn01(_) => 443,
        }
    }

    /// The name of the port.
    pub(super) fn port_name(self) -> &'static str {
        match self {
            Self::Http01(_) => "http",
            Self::TlsAlpn01(_) => "tls",
        }
    }

    /// The type of the Service.
    pub(super) fn service_type(self) -> ServiceType {
        match self {
            Self::Http01(service_type) | Self::TlsAlpn01(service_type) => service_type,
        }
    }

    fn service_name(self) -> String {
        let name = match self {
            Self::Http01(_) => HTTP01_SERVICE,
            Self::TlsAlpn01(_) => TLS_ALPN01_SERVICE,
        };
        match self.service_type() {
            ServiceType::ClusterIp => name.to_owned(),
            ServiceType::NodePort => format!("{name}-nodeport"),
        }
    }
}

/// The shard that objects belong to, if several installations share the cluster. Each has its own Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http01Shard(Option<String>);

impl Http01Shard {
    /// The shard with this id; `None` without shards.
    pub fn new(id: Option<String>) -> Self {
        Self(id)
    }

    /// The name of the shard's Service, the same in every namespace.
    pub fn service_name(&self, backend: Backend) -> String {
        let name = backend.service_name();
        self.0.as_ref().map_or_else(|| name.clone(), |id| format!("{name}-{id}"))
    }

    /// What the shard's Service with this name is for.
    pub fn backend(&self, service: &str) -> Option<Backend> {
        let types = [ServiceType::ClusterIp, ServiceType::NodePort];
        let all = types.into_iter().flat_map(|of| [Backend::Http01(of), Backend::TlsAlpn01(of)]);
        all.into_iter().find(|backend| self.service_name(*backend) == service)
    }

    /// The label selector of the shard's objects.
    pub fn selector(&self) -> String {
        match &self.0 {
            Some(id) => format!("{HTTP01_LABEL}=true,{SHARD_LABEL}={id}"),
            None => format!("{HTTP01_LABEL}=true,!{SHARD_LABEL}"),
        }
    }

    /// The labels of every object.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let labels = [(LABEL_MANAGED_BY, MANAGED_BY), (HTTP01_LABEL, "true")];
        let shard = self.0.as_deref().map(|id| (SHARD_LABEL, id));
        labels.into_iter().chain(shard).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

/// Whether this is the name of a Service of some shard, for http-01.
pub(super) fn is_service_of_ours(name: &str) -> bool {
    name.strip_prefix(HTTP01_SERVICE).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The labels of an object for one Certificate: those from its solver, and ours, which take precedence.
pub(crate) fn certificate_labels(
    added: &BTreeMap<String, String>,
    certificate_uid: &str,
    shard: &Http01Shard,
) -> BTreeMap<String, String> {
    let mut labels = added.clone();
    // A template must not assign the object to another shard.
    labels.remove(SHARD_LABEL);
    labels.extend(shard.labels());
    labels.insert(CERTIFICATE_UID_LABEL.into(), certificate_uid.into());
    labels
}

/// The owner of an object for one Certificate, with which it is garbage-collected.
pub(crate) fn certificate_owner(name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: Certificate::api_version(&()).into_owned(),
        kind: Certificate::kind(&()).into_owned(),
        name: name.into(),
        uid: uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}

/// Computes a name from everything that distinguishes an object: a Certificate, and a solver's settings.
pub(crate) struct NameDigest(Context);

impl NameDigest {
    pub(crate) fn of_certificate(uid: &str, name: &str) -> Self {
        let mut digest = Self(Context::new(&SHA256));
        digest.add(uid);
        digest.add(name);
        digest
    }

    pub(crate) fn add(&mut self, part: &str) {
        // The length prefix keeps adjacent parts separate.
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part.as_bytes());
    }

    pub(super) fn add_option(&mut self, part: Option<&str>) {
        self.add(if part.is_some() { "some" } else { "none" });
        self.add(part.unwrap_or_default());
    }

    pub(crate) fn add_map(&mut self, map: &BTreeMap<String, String>) {
        self.add(&map.len().to_string());
        for (key, value) in map {
            self.add(key);
            self.add(value);
        }
    }

    pub(crate) fn add_parents(&mut self, parents: &[ParentReference]) {
        self.add(&parents.len().to_string());
        for parent in parents {
            for option in [&parent.group, &parent.kind, &parent.namespace, &parent.section_name] {
                self.add_option(option.as_deref());
            }
            self.add(&parent.name);
            self.add_option(parent.port.map(|port| port.to_string()).as_deref());
        }
    }

    pub(crate) fn name(self, prefix: &str) -> String {
        let digest = self.0.finish();
        let short = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("{prefix}-{short}")
    }
}
