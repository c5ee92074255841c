//! Fields of cert-manager's API that an ACME CA cannot honour. They are in the schema so that they are refused
//! with a sentence: unknown to it, the API server would drop them in silence.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;

/// Fields of a cert-manager Certificate that are refused, each by a rule of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnsupportedCertificateFields {
    /// Refused unless false: an ACME CA issues no CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "isCA")]
    #[x_kube(validation = Rule::new("!self").message("isCA: an ACME CA issues no CA certificates; remove the field"))]
    pub is_ca: Option<bool>,
    /// Refused: an ACME CA validates DNS names and IP addresses only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("size(self) == 0").message("uris: an ACME CA validates DNS names and IP addresses only; remove the field"))]
    pub uris: Option<Vec<String>>,
    /// Refused: an ACME CA validates DNS names and IP addresses only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("size(self) == 0").message("emailAddresses: an ACME CA validates DNS names and IP addresses only; remove the field"))]
    pub email_addresses: Option<Vec<String>>,
    /// Refused: an ACME CA validates DNS names and IP addresses only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::objects")]
    #[x_kube(validation = Rule::new("size(self) == 0").message("otherNames: an ACME CA validates DNS names and IP addresses only; remove the field"))]
    pub other_names: Option<Vec<Value>>,
    /// Refused: the subject of an OV or EV certificate is what the CA has on file for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("subject: the CA puts in what it has on file for the account (OV, EV) or nothing (DV); remove the field"))]
    pub subject: Option<Value>,
    /// Refused: the subject of an OV or EV certificate is what the CA has on file for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message("literalSubject: the CA puts in what it has on file for the account (OV, EV) or nothing (DV); remove the field"))]
    pub literal_subject: Option<String>,
    /// Refused: name constraints are for CA certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object")]
    #[x_kube(validation = Rule::new("false").message("nameConstraints: an ACME CA issues no CA certificates; remove the field"))]
    pub name_constraints: Option<Value>,
    /// Refused if it lists anything beyond `digital signature`, `key encipherment` and `server auth`: the CA sets
    /// the usages, and several refuse a request that names any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new("self.all(u, u in ['digital signature', 'key encipherment', 'server auth'])").message("usages: the CA sets them; only 'digital signature', 'key encipherment' and 'server auth' may be listed"))]
    pub usages: Option<Vec<String>>,
    /// Refused unless false: several CAs refuse a request that names usages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self").message("encodeUsagesInRequest: the request carries no usages, since several CAs refuse one that does; remove the field"))]
    pub encode_usages_in_request: Option<bool>,
    /// Refused: the private key decides how the request is signed, always with SHA-256 or better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message("signatureAlgorithm: the private key decides it, always with SHA-256 or better; remove the field"))]
    pub signature_algorithm: Option<String>,
}
