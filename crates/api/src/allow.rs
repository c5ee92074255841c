//! Who may use a ClusterIssuer, and for which names.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_NAMES};
use crate::schema;

/// What a Certificate has to fulfil to get anything from a ClusterIssuer. All parts that are given must be fulfilled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allow {
    /// Labels of the namespace that the Certificate is in. Every namespace has `kubernetes.io/metadata.name`. Without a
    /// selector, or with an empty one, all namespaces may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Names that may be asked for: `www.example.com` is this name alone, `*.example.com` each one below `example.com` at any
    /// depth, wildcards among them, but not `example.com` itself. Where there is any, IP addresses may not be asked for.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_NAMES>"
    )]
    #[schemars(schema_with = "schema::dns_names")]
    pub dns_names: Vec<String>,
}
