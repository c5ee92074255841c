//! Fields of cert-manager's API that an ACME CA does not support. They are in the schema so that they are rejected with a
//! message: the API server would silently drop unknown fields.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;

/// Fields of a cert-manager Certificate that are not supported. Each is rejected by its own rule.
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
    /// Not supported: the CA sets the subject of an OV or EV certificate to what it has on file for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("subject: the CA sets it to what it has on file for the account (OV, EV) or nothing (DV); remove the field"))]
    pub subject: Option<Value>,
    /// Not supported: the CA sets the subject of an OV or EV certificate to what it has on file for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message("literalSubject: the CA sets it to what it has on file for the account (OV, EV) or nothing (DV); remove the field"))]
    pub literal_subject: Option<String>,
    /// Not supported: name constraints are for CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("nameConstraints: an ACME CA does not issue CA certificates; remove the field"))]
    pub name_constraints: Option<Value>,
    /// Only `digital signature`, `key encipherment` and `server auth` are accepted, and they have no effect: the CA sets the
    /// usages, and several CAs reject a request that contains any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new("self.all(u, u in ['digital signature', 'key encipherment', 'server auth'])").message("usages: the CA sets them; only 'digital signature', 'key encipherment' and 'server auth' may be listed"))]
    pub usages: Option<Vec<String>>,
    /// Not supported: several CAs reject a request that contains usages. Only `false` is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self").message("encodeUsagesInRequest: not supported because several CAs reject requests with usages; remove the field"))]
    pub encode_usages_in_request: Option<bool>,
    /// Not supported: the private key determines the signature algorithm of the request, always with SHA-256 or better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message("signatureAlgorithm: the private key determines it, always with SHA-256 or better; remove the field"))]
    pub signature_algorithm: Option<String>,
}
