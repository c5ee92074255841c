//! The labels, owner and name that identify an object created for a Certificate's validation.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use certwright_api::{Certificate, LABEL_MANAGED_BY, MANAGED_BY};

/// The label of every object of an http-01 validation; its value is `true`.
pub const HTTP01_LABEL: &str = "certwright.dev/http01";
/// The label to find a Certificate's Ingresses and HTTPRoutes, for all solvers.
pub const CERTIFICATE_UID_LABEL: &str = "certwright.dev/certificate-uid";

/// The labels of every object.
pub(super) fn our_labels() -> BTreeMap<String, String> {
    BTreeMap::from([(LABEL_MANAGED_BY.into(), MANAGED_BY.into()), (HTTP01_LABEL.into(), "true".into())])
}

/// The labels of an object for one Certificate: those from its solver, and ours, which take precedence.
pub(super) fn certificate_labels(
    added: &BTreeMap<String, String>,
    certificate_uid: &str,
) -> BTreeMap<String, String> {
    let mut labels = added.clone();
    labels.extend(our_labels());
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
