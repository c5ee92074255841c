//! The labels, owner and name that identify an object created for a Certificate's validation.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use certwright_api::{Certificate, LABEL_MANAGED_BY, MANAGED_BY, ServiceType};

/// The label of every object of an http-01 validation; its value is `true`.
pub const HTTP01_LABEL: &str = "certwright.dev/http01";
/// The label to find a Certificate's Ingresses and HTTPRoutes, for all solvers.
pub const CERTIFICATE_UID_LABEL: &str = "certwright.dev/certificate-uid";

/// The label with the shard that an object belongs to. Without shards, there is none.
const SHARD_LABEL: &str = "certwright.dev/http01-shard";
const CLUSTER_IP_SERVICE: &str = "certwright-http01";
const NODE_PORT_SERVICE: &str = "certwright-http01-nodeport";

/// The shard that objects belong to, if several installations share the cluster. Each has its own Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http01Shard(Option<String>);

impl Http01Shard {
    /// The shard with this id; `None` without shards.
    pub fn new(id: Option<String>) -> Self {
        Self(id)
    }

    /// The name of the shard's Service of this type, the same in every namespace.
    pub fn service_name(&self, service_type: ServiceType) -> String {
        let name = match service_type {
            ServiceType::ClusterIp => CLUSTER_IP_SERVICE,
            ServiceType::NodePort => NODE_PORT_SERVICE,
        };
        self.0.as_ref().map_or_else(|| name.to_owned(), |id| format!("{name}-{id}"))
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

/// Whether this is the name of a Service of some shard.
pub(super) fn is_service_of_ours(name: &str) -> bool {
    name.strip_prefix(CLUSTER_IP_SERVICE).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The labels of an object for one Certificate: those from its solver, and ours, which take precedence.
pub(super) fn certificate_labels(
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
pub(super) fn certificate_owner(name: &str, uid: &str) -> OwnerReference {
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
pub(super) struct NameDigest(Context);

impl NameDigest {
    pub(super) fn of_certificate(uid: &str, name: &str) -> Self {
        let mut digest = Self(Context::new(&SHA256));
        digest.add(uid);
        digest.add(name);
        digest
    }

    pub(super) fn add(&mut self, part: &str) {
        // The length prefix keeps adjacent parts separate.
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part.as_bytes());
    }

    pub(super) fn add_option(&mut self, part: Option<&str>) {
        self.add(if part.is_some() { "some" } else { "none" });
        self.add(part.unwrap_or_default());
    }

    pub(super) fn add_map(&mut self, map: &BTreeMap<String, String>) {
        self.add(&map.len().to_string());
        for (key, value) in map {
            self.add(key);
            self.add(value);
        }
    }

    pub(super) fn name(self) -> String {
        let digest = self.0.finish();
        let short = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("certwright-http01-{short}")
    }
}
