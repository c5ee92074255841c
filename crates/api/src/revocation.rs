//! Revocation of a Certificate's certificates (RFC 8555 section 7.6): what the spec asks for and what the status knows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base64::Der;
use crate::certificate::IssuerKind;
use crate::duration::DeletionTimeout;
use crate::schema;

/// Which certificates are revoked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.deletionTimeout) || self.?onDelete.orValue('Never') != 'Never'")
        .message("revocation.deletionTimeout: a deletion waits for a revocation only with onDelete; set that, or remove the field")
)]
pub struct RevocationSpec {
    /// Whether the certificate is revoked when the Certificate is deleted, and for what reason: `Never`, the default, or
    /// `unspecified`, `keyCompromise`, `affiliationChanged`, `superseded`, `cessationOfOperation` or `privilegeWithdrawn`.
    #[serde(default)]
    pub on_delete: RevocationPolicy,
    /// The same for a certificate that was replaced by the next one, once that is in the Secret. With `keyCompromise`
    /// each certificate has a private key of its own, whatever `privateKey.rotationPolicy` says.
    #[serde(default)]
    pub on_replace: RevocationPolicy,
    /// For how long the deletion of the Certificate waits for a CA that cannot be reached, such as `1m`, the default; at most `1h`.
    /// After that the certificate is left valid, and an event says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "DeletionTimeout::schema")]
    pub deletion_timeout: Option<DeletionTimeout>,
}

/// Makes the reasons for which a subscriber may have a certificate revoked, and the policies that name one of them.
macro_rules! revocation_reasons {
    ($($(#[$meta:meta])* $name:ident = $word:literal, $code:literal;)*) => {
        /// Why a certificate is revoked (RFC 5280 section 5.3.1), as far as TLS certificates may be revoked for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[schemars(transform = schema::without_description)]
        pub enum RevocationReason {
            $($(#[$meta])* #[serde(rename = $word)] $name,)*
        }

        impl RevocationReason {
            /// All of them.
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
            /// It is not.
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
    /// No reason is given.
    Unspecified = "unspecified", 0;
    /// Somebody else has, or may have, the private key.
    KeyCompromise = "keyCompromise", 1;
    /// The subject's name or organization has changed.
    AffiliationChanged = "affiliationChanged", 3;
    /// Another certificate has taken its place.
    Superseded = "superseded", 4;
    /// What it was for is no more.
    CessationOfOperation = "cessationOfOperation", 5;
    /// The subject may not have it any more.
    PrivilegeWithdrawn = "privilegeWithdrawn", 9;
}

/// What is known of revocations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RevocationStatus {
    /// The value of the annotation `certwright.dev/revoke` that was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_request: Option<String>,
    /// Certificates that may have to be revoked, or are being revoked. Each is written down while it is in the Secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<RevocableCertificate>,
    /// The revocation that ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRevocation>,
}

/// A certificate that may have to be revoked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevocableCertificate {
    /// Its serial number, in hexadecimal.
    pub serial_number: String,
    /// When it expires; after that it is not revoked any more.
    pub not_after: Time,
    /// The certificate itself (DER, in base64), which is what the CA has to be sent.
    #[schemars(schema_with = "Der::schema")]
    pub certificate: Der,
    /// Kind of the issuer that it came from.
    pub issuer_kind: IssuerKind,
    /// Name of the issuer that it came from.
    pub issuer_name: String,
    /// URL of the account that may revoke it, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How its revocation goes; not set while it is not to be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<CertificateRevocation>,
    /// By this the operator knows that it has written the entry. It does not act upon one that has no seal, or a wrong one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

impl RevocableCertificate {
    /// How its revocation goes, while that has not ended.
    pub fn open(&self) -> Option<&CertificateRevocation> {
        self.revocation.as_ref().filter(|revocation| revocation.result.is_none())
    }

    /// Whether its revocation has ended, with whatever result.
    pub fn has_ended(&self) -> bool {
        self.revocation.is_some() && self.open().is_none()
    }
}

/// How the revocation of a certificate goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRevocation {
    /// The reason that the CA is told.
    pub reason: RevocationReason,
    /// What has led to it.
    pub cause: RevocationCause,
    /// Since when it is to be revoked.
    pub since: Time,
    /// How often the CA was asked in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<i32>,
    /// When the CA is asked next; not set once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// How it ended; not set before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RevocationResult>,
    /// What stood in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What has led to a revocation.
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

/// How a revocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum RevocationResult {
    /// The CA has revoked the certificate.
    Revoked,
    /// The certificate was not revoked, and that is not tried any more.
    GivenUp,
}

/// A revocation that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRevocation {
    /// Serial number of the certificate, in hexadecimal.
    pub serial_number: String,
    /// The reason that the CA was told.
    pub reason: RevocationReason,
    /// What had led to it.
    pub cause: RevocationCause,
    /// How it ended.
    pub result: RevocationResult,
    /// When it ended.
    pub time: Time,
}
