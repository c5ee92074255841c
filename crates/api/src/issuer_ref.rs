//! References to issuers.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::bounds::{self, MAX_OBJECT_NAME};
use crate::schema;

/// cert-manager's API group.
const CERT_MANAGER: &str = "cert-manager.io";

/// A reference to an Issuer in the same namespace, or to a ClusterIssuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// Name of the issuer.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `Issuer` (the default) or `ClusterIssuer`.
    #[serde(default)]
    pub kind: IssuerKind,
    /// API group of the issuer. `certwright.dev` is the default. `cert-manager.io` and an empty text mean the same, so that
    /// manifests for cert-manager can be applied.
    #[serde(default = "IssuerRef::default_group", deserialize_with = "group")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self == 'certwright.dev' || self == 'cert-manager.io' || self == ''").message("issuerRef.group: must be certwright.dev, or cert-manager.io, which means the same; remove the field"))]
    pub group: String,
}

impl IssuerRef {
    fn default_group() -> String {
        crate::GROUP.to_owned()
    }
}

/// Parses a group. That of cert-manager means ours.
fn group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let group = bounds::text::<D, MAX_OBJECT_NAME>(deserializer)?;
    let is_ours = ["", CERT_MANAGER].contains(&group.as_str());
    Ok(if is_ours { IssuerRef::default_group() } else { group })
}

/// Kind of an issuer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[schemars(transform = schema::without_description)]
pub enum IssuerKind {
    /// An issuer in the Certificate's namespace.
    #[default]
    Issuer,
    /// An issuer for the whole cluster.
    ClusterIssuer,
}

impl IssuerKind {
    /// The kind as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            IssuerKind::Issuer => "Issuer",
            IssuerKind::ClusterIssuer => "ClusterIssuer",
        }
    }
}
