//! The parts of a Secret.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

use certwright_api::{LABEL_MANAGED_BY, LABEL_SECRET, MANAGED_BY};

/// Type of a Secret that holds a certificate and its key.
pub const TYPE_TLS: &str = "kubernetes.io/tls";
/// Type of a Secret that holds a certificate without its key.
pub const TYPE_OPAQUE: &str = "Opaque";

/// The bytes under `key`.
pub fn data<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|bytes| bytes.0.as_slice())
}

/// An annotation of a Secret.
pub fn annotation<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    secret.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The value of [`LABEL_SECRET`], if Certwright created the Secret.
pub fn purpose(secret: &Secret) -> Option<&str> {
    secret.metadata.labels.as_ref()?.get(LABEL_SECRET).map(String::as_str)
}

/// The labels of a Secret that is created for `purpose`, a `SECRET_*` constant of [`certwright_api`], with `more`.
pub fn labels(purpose: &str, mut more: BTreeMap<String, String>) -> BTreeMap<String, String> {
    more.insert(LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
    more.insert(LABEL_SECRET.to_owned(), purpose.to_owned());
    more
}
