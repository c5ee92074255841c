//! Who may use a ClusterIssuer, and for which names.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_NAMES};
use crate::schema;

/// Which Certificates may use a ClusterIssuer. A Certificate must match all fields that are set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allow {
    /// Labels of the Certificate's namespace. Every namespace has the label `kubernetes.io/metadata.name`. If the selector is
    /// not set or empty, all namespaces match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Names that may be requested. `www.example.com` allows only this name. `*.example.com` allows every name below
    /// `example.com` at any depth, including wildcards, but not `example.com` itself. If this is set, IP addresses may not be
    /// requested.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_NAMES>"
    )]
    #[schemars(schema_with = "schema::dns_names")]
    pub dns_names: Vec<String>,
}
