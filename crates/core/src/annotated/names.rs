//! The names of annotations.

use kube::{Resource, ResourceExt};

pub(super) const TLS_ACME: &str = "kubernetes.io/tls-acme";
/// Prefix of our names, in some after `acme.`.
pub(super) const OURS: &str = "certwright.dev/";
/// Prefix of cert-manager's names.
pub(super) const THEIRS: &str = "cert-manager.io/";

/// Whether an annotation can have a meaning here.
pub fn is_read(key: &str) -> bool {
    let key = key.strip_prefix("acme.").unwrap_or(key);
    key.starts_with(OURS) || key.starts_with(THEIRS) || key == TLS_ACME
}

/// Whether an object has an annotation that we read.
pub fn is_annotated<K: Resource>(object: &K) -> bool {
    object.annotations().keys().any(|key| is_read(key))
}
