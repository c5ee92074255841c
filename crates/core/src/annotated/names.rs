//! The names of annotations.

use kube::{Resource, ResourceExt};

pub(super) const TLS_ACME: &str = "kubernetes.io/tls-acme";
/// Prefix of our names, in some after `acme.`.
pub(super) const OURS: &str = "certwright.dev/";
/// Prefix of cert-manager's names.
pub(super) const THEIRS: &str = "cert-manager.io/";

/// Whether an annotation can have a meaning here, whatever the settings are.
pub fn is_read(key: &str) -> bool {
    let key = key.strip_prefix("acme.").unwrap_or(key);
    key.starts_with(OURS) || key.starts_with(THEIRS) || key == TLS_ACME
}

/// Whether an object may have an annotation that we read. Any that is true may be one of
/// [`AnnotationSettings::automatic`](super::AnnotationSettings::automatic).
pub(super) fn is_annotated<K: Resource>(object: &K) -> bool {
    object.annotations().iter().any(|(key, value)| is_read(key) || is_true(value))
}

/// As in Go's `strconv.ParseBool`.
pub(super) fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}
