//! Fields of cert-manager's API that an ACME CA does not support, and that it would be dangerous to ignore. They are in the schema
//! so that they are rejected with a message: the API server would silently drop unknown fields.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;

/// Fields of a cert-manager Certificate that are rejected. Each is rejected by its own rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnsupportedCertificateFields {
    /// Not supported: an ACME CA does not issue CA certificates. Only `false` is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "isCA")]
    #[x_kube(validation = Rule::new("!self").message("isCA: an ACME CA does not issue CA certificates; remove the field"))]
    pub is_ca: Option<bool>,
    /// Not supported: an ACME CA validates only DNS names and IP addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("size(self) == 0").message("uris: an ACME CA validates only DNS names and IP addresses; remove the field"))]
    pub uris: Option<Vec<String>>,
    /// Not supported: an ACME CA validates only DNS names and IP addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("size(self) == 0").message("emailAddresses: an ACME CA validates only DNS names and IP addresses; remove the field"))]
    pub email_addresses: Option<Vec<String>>,
    /// Not supported: an ACME CA validates only DNS names and IP addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::objects")]
    #[x_kube(validation = Rule::new("size(self) == 0").message("otherNames: an ACME CA validates only DNS names and IP addresses; remove the field"))]
    pub other_names: Option<Vec<Value>>,
    /// Not supported: name constraints are for CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("nameConstraints: an ACME CA does not issue CA certificates; remove the field"))]
    pub name_constraints: Option<Value>,
}
