//! The parts of a Secret.

use k8s_openapi::api::core::v1::Secret;

use certwright_api::LABEL_SECRET;

/// Type of a Secret that holds a certificate and its key.
pub const TYPE_TLS: &str = "kubernetes.io/tls";

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
