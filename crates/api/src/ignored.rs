//! Fields of cert-manager's API that an ACME CA ignores, whichever program sends the request. They are accepted, so that manifests
//! for cert-manager can be applied, and have no effect; `certwright_core::ignored` says why.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bounds;

/// The maximum number of usages, and of values of each part of a subject.
const MAX_VALUES: usize = 64;

/// Fields of a cert-manager Certificate that have no effect, besides `revisionHistoryLimit`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoredCertificateFields {
    /// Has no effect: the CA sets the subject of an OV or EV certificate to what it has on file for the account. Accepted for
    /// compatibility with cert-manager manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<X509Subject>,
    /// Has no effect, like `subject`: also its common name is not requested. Accepted for compatibility with cert-manager
    /// manifests.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, 4096>"
    )]
    #[schemars(length(max = 4096))]
    pub literal_subject: Option<String>,
    /// Has no effect: the CA sets the usages, and several CAs reject a request that contains any. Accepted for compatibility with
    /// cert-manager manifests.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_VALUES>"
    )]
    #[schemars(length(max = MAX_VALUES), inner(length(max = 64)))]
    pub usages: Vec<String>,
    /// Has no effect: the request contains no usages, since several CAs reject one that does. Accepted for compatibility with
    /// cert-manager manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encode_usages_in_request: Option<bool>,
    /// Has no effect: the private key and `csrSignatureHash` of the issuer determine the signature algorithm. Accepted for
    /// compatibility with cert-manager manifests.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, 64>"
    )]
    #[schemars(length(max = 64))]
    pub signature_algorithm: Option<String>,
}

/// The subject of a certificate. No field of it has an effect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct X509Subject {
    /// Has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, MAX_VALUES>")]
    #[schemars(length(max = MAX_VALUES), inner(length(max = 256)))]
    pub organizations: Vec<String>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, MAX_VALUES>")]
    #[schemars(length(max = MAX_VALUES), inner(length(max = 256)))]
    pub countries: Vec<String>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, MAX_VALUES>")]
    #[schemars(length(max = MAX_VALUES), inner(length(max = 256)))]
    pub organizational_units: Vec<String>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, MAX_VALUES>")]
    #[schemars(length(max = MAX_VALUES), inner(length(max = 256)))]
    pub localities: Vec<String>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, MAX_VALUES>")]
    #[schemars(length(max = MAX_VALUES), inner(length(max = 256)))]
    pub provinces: Vec<String>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, MAX_VALUES>")]
    #[schemars(length(max = MAX_VALUES), inner(length(max = 256)))]
    pub street_addresses: Vec<String>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, MAX_VALUES>")]
    #[schemars(length(max = MAX_VALUES), inner(length(max = 256)))]
    pub postal_codes: Vec<String>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "bounds::optional_text::<_, 256>")]
    #[schemars(length(max = 256))]
    pub serial_number: Option<String>,
}

/// A value of any shape that has no effect. It is not kept in memory, and is written as an empty object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredObject;

impl<'de> Deserialize<'de> for IgnoredObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl Serialize for IgnoredObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(std::iter::empty::<(&str, ())>())
    }
}
