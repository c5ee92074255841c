//! What the operator has observed of a Certificate, and what it records there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dns01::Dns01Solver;
use crate::fallback::{AttemptStatus, IssuedByStatus};
use crate::renewal::CertificateAcmeStatus;
use crate::revocation::RevocationStatus;
use crate::revoked::RevokedStatus;
use crate::schema;

/// Observed state of the certificate and of the current issuance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateStatus {
    /// The `metadata.generation` that the conditions refer to; -1 until the operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the Secret contains a valid certificate that matches the spec. `Issuing`: an issuance is in progress. While the
    /// Certificate is not ready, `Reconciling` means that the operator is working on it, and `Stalled` that it waits for you.
    /// `IgnoredFields` lists fields of the spec that have no effect, if there are any. `Served`: servers show the certificate in the
    /// Secret.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Time from which the certificate in the Secret is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Time at which the certificate in the Secret expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// Time at which the certificate will be renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_time: Option<Time>,
    /// What the ACME CA says about the certificate in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<CertificateAcmeStatus>,
    /// The last check of the Secret that found nothing to do. The operator does not read the Secret again until it changes, or
    /// something is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check: Option<SecretCheckStatus>,
    /// Number of certificates issued for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Serial number of the certificate in the Secret, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Name of the Secret that stores the private key of the current issuance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_private_key_secret_name: Option<String>,
    /// Number of failed issuances since the last successful one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_issuance_attempts: Option<i32>,
    /// Time of the last failed issuance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<Time>,
    /// Time of the next attempt after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// Value of the annotation `certwright.dev/renew` when the last issuance failed. A different value ends the wait after the
    /// failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_renew_request: Option<String>,
    /// Value of the annotation `certwright.dev/renew` that was last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_renew_request: Option<String>,
    /// Certificates issued recently. Each is kept while it counts towards the CA's weekly limit for duplicate certificates; the
    /// newest one is always kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent_issuances: Vec<IssuanceRecord>,
    /// The current order at the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderStatus>,
    /// The earliest time at which the CA's validation of a name of the last order expires, if the operator has read that. A name
    /// without a solver has to be validated again before the next order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_expires: Option<Time>,
    /// The challenges of the current order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<ChallengeStatus>,
    /// TXT records that were added to the DNS and are not yet removed. Each is recorded here before it is added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_records: Vec<DnsRecordStatus>,
    /// When the first of the TXT records ends that proved control of the names with dns-persist-01, as the last issuance found
    /// them. Absent if none of them ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persist_until: Option<Time>,
    /// Certificates that may have to be revoked, and the result of the last revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationStatus>,
    /// URL of the revocation list that the certificate in the Secret names. The operator fetches it once a day.
    #[serde(rename = "revocationListURL", skip_serializing_if = "Option::is_none")]
    pub revocation_list_url: Option<String>,
    /// The last certificate that the CA revoked without being asked by the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<RevokedStatus>,
    /// The fallback issuer that issued the certificate in the Secret. Absent if `spec.issuerRef` did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<IssuedByStatus>,
    /// The issuers that the current issuance has tried. Absent if `spec.issuerRef` is in use and has not failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptStatus>,
}

/// A check of the Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretCheckStatus {
    /// Time of the check.
    pub time: Time,
    /// `metadata.resourceVersion` of the Secret.
    pub secret_resource_version: String,
    /// Digest of what was checked.
    pub checks: String,
}

/// A certificate that was issued recently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuanceRecord {
    /// Time at which the certificate was ordered.
    pub time: Time,
    /// Time at which the certificate expires.
    pub not_after: Time,
    /// Digest of the certificate's names. Duplicate certificates have the same digest.
    pub names_digest: String,
    /// URL of the account that ordered the certificate.
    pub account: String,
}

/// The current order at the CA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderStatus {
    /// URL of the order. After a restart, the operator continues with it.
    pub url: String,
    /// State of the order as last reported by the CA: `pending`, `ready`, `processing`, `valid` or `invalid`.
    pub state: String,
    /// Time at which the order expires at the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// Time at which the order was created.
    pub created: Time,
    /// URL of the account that the order belongs to.
    pub account: String,
    /// Proves that the operator wrote this entry. The operator does not act on an entry whose seal is missing or invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// A challenge of the current order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeStatus {
    /// The name to prove control of, without `*.`.
    pub name: String,
    /// Type of the challenge, such as `http-01`.
    #[serde(rename = "type")]
    pub type_: String,
    /// State of the challenge when this status was last written: `pending`, `processing`, `valid` or `invalid`.
    pub state: String,
    /// What the challenge is waiting for, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Token of the challenge. Every replica of the operator reads it here to answer the CA. Empty for dns-persist-01.
    pub token: String,
    /// URL of the challenge.
    pub url: String,
    /// URL of the authorization that the challenge belongs to.
    pub authorization: String,
    /// How the response to the challenge is presented.
    #[serde(default)]
    pub way: ChallengeWay,
    /// Name of the Ingress that is edited in place and must be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// Proves that the operator wrote this entry. The operator does not act on an entry whose seal is missing or invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// How the response to a challenge is presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum ChallengeWay {
    /// Through a temporary Ingress.
    #[default]
    Ingress,
    /// Through rules added to an existing Ingress.
    EditedIngress,
    /// Through temporary HTTPRoutes.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// Through a TXT record.
    #[serde(rename = "TXTRecord")]
    TxtRecord,
    /// By a TXT record that is there permanently.
    PersistentRecord,
    /// Through temporary TLSRoutes.
    #[serde(rename = "TLSRoute")]
    TlsRoute,
    /// Through a proxy in front of the name.
    FrontProxy,
}

/// A TXT record that was added to the DNS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnsRecordStatus {
    /// The name to prove control of, without `*.`.
    pub name: String,
    /// Name of the record, with a trailing dot: `_acme-challenge.<name>.`, or the target of a CNAME record at that name.
    pub fqdn: String,
    /// Zone of the record, with a trailing dot.
    pub zone: String,
    /// Value of the record.
    pub value: String,
    /// The key authorization that `value` is the digest of. Some providers require it.
    pub key_authorization: String,
    /// The solver that added the record, as it was at that time.
    #[schemars(schema_with = "schema::object")]
    pub solver: Dns01Solver,
    /// Namespace of the Secrets that the solver refers to.
    pub secrets_namespace: String,
    /// Whether the provider may use ambient credentials. By default, it may for a ClusterIssuer.
    #[serde(default)]
    pub allow_ambient_credentials: bool,
    /// Progress of the removal. Set when the record is no longer needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<DnsRecordRemoval>,
    /// Target of a wildcard CNAME record that matched the name before the TXT record was added, and that was not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<String>,
    /// Proves that the operator wrote this entry. The operator does not act on an entry whose seal is missing or invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// Progress of the removal of a TXT record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnsRecordRemoval {
    /// Time since which the record is no longer needed.
    pub since: Time,
    /// Time of the next attempt to remove the record.
    pub next_attempt_time: Time,
    /// Why the record is not yet removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
