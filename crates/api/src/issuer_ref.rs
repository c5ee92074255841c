//! References to issuers.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

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
    /// API group of the issuer. Only `certwright.dev`, the default, is supported.
    #[serde(default = "IssuerRef::default_group")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self == 'certwright.dev'").message("issuerRef.group: must be certwright.dev; remove the field"))]
    pub group: String,
}

impl IssuerRef {
    fn default_group() -> String {
        crate::GROUP.to_owned()
    }
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
