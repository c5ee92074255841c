//! Certificates that the CA revoked without being asked by the operator: what the spec requests, and what the status records.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conditions::certificate_reason as reason;
use crate::schema;

/// What to do if the CA has revoked the certificate without being asked by the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RevokedPolicy {
    /// Report it, and replace the certificate and its private key.
    #[default]
    Reissue,
    /// Report it.
    Report,
}

/// Defines the reasons that a revocation list may give.
macro_rules! listed_reasons {
    ($($(#[$meta:meta])* $name:ident = $word:literal, $code:literal, $condition:ident;)*) => {
        /// Reason of an entry in a revocation list (RFC 5280 section 5.3.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[schemars(transform = schema::without_description)]
        pub enum ListedReason {
            $($(#[$meta])* #[serde(rename = $word)] $name,)*
        }

        impl ListedReason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The reason with this number. The RFC defines no others.
            pub fn of_code(code: u8) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::Unspecified,
                }
            }

            /// Its name in RFC 5280.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// The reason of the condition `Revoked`.
            pub fn of_condition(self) -> &'static str {
                match self {
                    $(Self::$name => reason::$condition,)*
                }
            }
        }
    };
}

listed_reasons! {
    /// No reason is given.
    Unspecified = "unspecified", 0, UNSPECIFIED;
    /// Somebody else has, or may have, the private key.
    KeyCompromise = "keyCompromise", 1, KEY_COMPROMISE;
    /// Somebody else has, or may have, the CA's private key.
    CaCompromise = "cACompromise", 2, CA_COMPROMISE;
    /// The subject's name or organization has changed.
    AffiliationChanged = "affiliationChanged", 3, AFFILIATION_CHANGED;
    /// Another certificate has replaced it.
    Superseded = "superseded", 4, SUPERSEDED;
    /// The service it was for no longer exists.
    CessationOfOperation = "cessationOfOperation", 5, CESSATION_OF_OPERATION;
    /// It is suspended, and may become valid again.
    CertificateHold = "certificateHold", 6, CERTIFICATE_HOLD;
    /// The subject is no longer entitled to it.
    PrivilegeWithdrawn = "privilegeWithdrawn", 9, PRIVILEGE_WITHDRAWN;
    /// The attribute authority is compromised.
    AaCompromise = "aACompromise", 10, AA_COMPROMISE;
}

/// A certificate that the CA revoked without being asked by the operator. The entry stays after the certificate is replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokedStatus {
    /// Serial number of the certificate, in hexadecimal.
    pub serial_number: String,
    /// Reason that the CA's revocation list gives: one of those in RFC 5280, such as `keyCompromise`.
    pub reason: ListedReason,
    /// Time at which the CA revoked the certificate, according to the list.
    pub revocation_time: Time,
    /// URL of the revocation list.
    #[serde(rename = "listURL")]
    pub list_url: String,
    /// Time at which the operator found the certificate in the list.
    pub found: Time,
    /// Number of consecutive certificates, up to this one, that were revoked within the first tenth of their lifetime. Each of
    /// them after the first is replaced later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_revocations: Option<i32>,
}
