//! Who may use a ClusterIssuer, and for which names: checked before any request to the CA.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt};

use certwright_api::Allow;
use certwright_pki::Subject;

/// Why a ClusterIssuer does not allow a Certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The selector is invalid.
    #[error("its spec.allow.namespaceSelector is invalid: {0}; correct it")]
    Selector(String),
    /// Not in this namespace.
    #[error(
        "its spec.allow.namespaceSelector does not select namespace {0}; use another issuer, or have the namespace \
         labelled accordingly"
    )]
    Namespace(String),
    /// Not for these names.
    #[error(
        "its spec.allow.dnsNames does not include {0}; request other names, use another issuer, or have them added"
    )]
    Names(String),
}

/// Whether a ClusterIssuer may issue a Certificate for `subject`, in a namespace with these labels.
///
/// # Errors
/// [`NotAllowed`], as a part of a message that names the field.
pub fn check(
    allow: &Allow,
    namespace: &str,
    labels: &BTreeMap<String, String>,
    subject: &Subject,
) -> Result<(), NotAllowed> {
    if let Some(selector) = &allow.namespace_selector {
        let selector = Selector::try_from(selector.clone());
        let selector = selector.map_err(|error| NotAllowed::Selector(error.to_string()))?;
        if !selector.matches(labels) {
            return Err(NotAllowed::Namespace(namespace.to_owned()));
        }
    }
    if allow.dns_names.is_empty() {
        return Ok(());
    }
    let names = subject.dns_names.iter();
    let names = names.filter(|name| !allow.dns_names.iter().any(|pattern| covers(pattern, name))).cloned();
    let refused: Vec<String> = names.chain(subject.ip_addresses.iter().map(ToString::to_string)).collect();
    if refused.is_empty() { Ok(()) } else { Err(NotAllowed::Names(refused.join(", "))) }
}

/// Whether `name`, which is in lower case, is that of `pattern`, or below it.
fn covers(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix('*') {
        Some(parent) => name.len() > parent.len() && name.ends_with(parent),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests;
