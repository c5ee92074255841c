//! The names of signers.

use certwright_api::bounds::is_object_name;
use certwright_api::{GROUP, IssuerKind, IssuerRef};

/// An issuer, as the signer of certificates. Its name is `issuers.certwright.dev/<namespace>.<name>` or
/// `clusterissuers.certwright.dev/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Kind of the issuer.
    pub kind: IssuerKind,
    /// Its namespace; `None` for a ClusterIssuer.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Signer {
    /// The issuer with this signer name; `None` if there cannot be such an issuer.
    pub fn parse(signer_name: &str) -> Option<Self> {
        let (domain, path) = signer_name.split_once('/')?;
        // The name of a namespace has no dot.
        let (kind, namespace, name) = match domain.strip_suffix(GROUP)? {
            "issuers." => {
                let (namespace, name) = path.split_once('.')?;
                (IssuerKind::Issuer, Some(namespace), name)
            }
            "clusterissuers." => (IssuerKind::ClusterIssuer, None, path),
            _ => return None,
        };
        let is_valid = is_object_name(name) && namespace.is_none_or(is_object_name);
        is_valid.then(|| Self { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }

    /// Whether a signer name is in our domains, even if there cannot be such an issuer.
    pub fn is_ours(signer_name: &str) -> bool {
        let domain = signer_name.split('/').next().and_then(|domain| domain.strip_suffix(GROUP));
        matches!(domain, Some("issuers." | "clusterissuers."))
    }

    /// The reference of a Certificate to the issuer.
    pub(super) fn reference(&self) -> IssuerRef {
        IssuerRef { name: self.name.clone(), kind: self.kind, group: GROUP.to_owned() }
    }

    /// The issuer, for people.
    pub(super) fn in_words(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind.as_str(), self.name),
            None => format!("{} {}", self.kind.as_str(), self.name),
        }
    }
}
