//! Revocation of a Certificate's certificates (RFC 8555 section 7.6): what the spec requests, and what the status records.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base64::Der;
use crate::duration::DeletionTimeout;
use crate::issuer_ref::IssuerKind;
use crate::revoked::RevokedPolicy;
use crate::schema;

/// Which certificates are revoked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.deletionTimeout) || self.?onDelete.orValue('Never') != 'Never'")
        .message("revocation.deletionTimeout: has no effect without onDelete; set onDelete or remove the field")
)]
pub struct RevocationSpec {
    /// Whether to revoke the certificate when the Certificate is deleted, and the reason: `Never` (the default), `unspecified`,
    /// `keyCompromise`, `affiliationChanged`, `superseded`, `cessationOfOperation` or `privilegeWithdrawn`.
    #[serde(default)]
    pub on_delete: RevocationPolicy,
    /// Whether to revoke a certificate after the next one has replaced it in the Secret, and the reason, with the same values
    /// as `onDelete`. With `keyCompromise`, each certificate has a new private key, regardless of `privateKey.rotationPolicy`.
    #[serde(default)]
    pub on_replace: RevocationPolicy,
    /// How long the deletion of the Certificate waits for a CA that cannot be reached, at most `1h`. Defaults to `1m`. After
    /// that, the certificate remains valid and an event reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "DeletionTimeout::schema")]
    pub deletion_timeout: Option<DeletionTimeout>,
    /// What to do if the CA has revoked the certificate without being asked by the operator: `Reissue` (the default) orders
    /// another certificate with a new private key, regardless of `privateKey.rotationPolicy`; `Report` only reports it. Both set
    /// the condition `Revoked`.
    #[serde(default)]
    pub on_revoked: RevokedPolicy,
}

/// Defines the reasons for which a subscriber may request a revocation, and the policies with these reasons.
macro_rules! revocation_reasons {
    ($($(#[$meta:meta])* $name:ident = $word:literal, $code:literal;)*) => {
        /// Reason for a revocation (RFC 5280 section 5.3.1), as far as it is permitted for TLS certificates.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[schemars(transform = schema::without_description)]
        pub enum RevocationReason {
            $($(#[$meta])* #[serde(rename = $word)] $name,)*
        }

        impl RevocationReason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in RFC 5280.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Its number in RFC 5280.
            pub fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }

        /// Whether a certificate is revoked, and why.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[schemars(transform = schema::without_description)]
        pub enum RevocationPolicy {
            /// It is not revoked.
            #[default]
            Never,
            $($(#[$meta])* #[serde(rename = $word)] $name,)*
        }

        impl RevocationPolicy {
            /// The reason; `None` for `Never`.
            pub fn reason(self) -> Option<RevocationReason> {
                match self {
                    Self::Never => None,
                    $(Self::$name => Some(RevocationReason::$name),)*
                }
            }
        }
    };
}

revocation_reasons! {
    /// No specific reason.
    Unspecified = "unspecified", 0;
    /// Somebody else has, or may have, the private key.
    KeyCompromise = "keyCompromise", 1;
    /// The subject's name or organization has changed.
    AffiliationChanged = "affiliationChanged", 3;
    /// Another certificate has replaced it.
    Superseded = "superseded", 4;
    /// The service it was for no longer exists.
    CessationOfOperation = "cessationOfOperation", 5;
    /// The subject is no longer entitled to it.
    PrivilegeWithdrawn = "privilegeWithdrawn", 9;
}

/// Pending revocations and the last one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RevocationStatus {
    /// Value of the annotation `certwright.dev/revoke` that was last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_request: Option<String>,
    /// Certificates that are being revoked or may have to be revoked. Each is recorded here while it is in the Secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<RevocableCertificate>,
    /// The last revocation that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRevocation>,
}

/// A certificate that may have to be revoked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevocableCertificate {
    /// Serial number of the certificate, in hexadecimal.
    pub serial_number: String,
    /// Time at which the certificate expires. It is not revoked after that.
    pub not_after: Time,
    /// The certificate itself (DER, in base64), which a revocation request must contain.
    #[schemars(schema_with = "Der::schema")]
    pub certificate: Der,
    /// Kind of the issuer that issued the certificate.
    pub issuer_kind: IssuerKind,
    /// Name of the issuer that issued the certificate.
    pub issuer_name: String,
    /// URL of the account that may revoke the certificate, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Progress of the revocation. Not set until the certificate has to be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<CertificateRevocation>,
    /// Proves that the operator wrote this entry. The operator does not act on an entry whose seal is missing or invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

impl RevocableCertificate {
    /// The revocation, if it has not ended.
    pub fn open(&self) -> Option<&CertificateRevocation> {
        self.revocation.as_ref().filter(|revocation| revocation.result.is_none())
    }

    /// Whether the revocation has ended, with any result.
    pub fn has_ended(&self) -> bool {
        self.revocation.is_some() && self.open().is_none()
    }
}

/// Progress of the revocation of a certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRevocation {
    /// Revocation reason that is sent to the CA.
    pub reason: RevocationReason,
    /// What caused the revocation: `Requested` (the annotation `certwright.dev/revoke`), `Replaced` (`onReplace`) or `Deleted`
    /// (`onDelete`).
    pub cause: RevocationCause,
    /// Time since which the certificate has to be revoked.
    pub since: Time,
    /// Number of failed attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<i32>,
    /// Time of the next attempt. Not set once the revocation has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// Result of the revocation: `Revoked` or `GivenUp`. Not set until the revocation has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RevocationResult>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Cause of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RevocationCause {
    /// The annotation `certwright.dev/revoke`.
    Requested,
    /// `onReplace`.
    Replaced,
    /// `onDelete`.
    Deleted,
}

/// Result of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RevocationResult {
    /// The CA has revoked the certificate.
    Revoked,
    /// The certificate was not revoked, and the operator does not retry.
    GivenUp,
}

/// A revocation that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRevocation {
    /// Serial number of the certificate, in hexadecimal.
    pub serial_number: String,
    /// Revocation reason that was sent to the CA.
    pub reason: RevocationReason,
    /// What caused the revocation: `Requested`, `Replaced` or `Deleted`.
    pub cause: RevocationCause,
    /// Result of the revocation: `Revoked` or `GivenUp`.
    pub result: RevocationResult,
    /// Time at which the revocation ended.
    pub time: Time,
}
