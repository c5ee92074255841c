//! The observed state of an `Issuer` or `ClusterIssuer`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account_end::{DeactivationStatus, PreviousAccount};
use crate::authorization::KeptAuthorizationStatus;
use crate::certificate::DnsRecordStatus;
use crate::schema;

/// Observed state of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IssuerStatus {
    /// The `metadata.generation` that the conditions refer to; -1 until the operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the account can be used. `KeyRollover`: the last rollover of the account key succeeded. `AuthorizationsKept`: all
    /// of `spec.acme.authorizations` are valid. While the issuer is not ready, `Reconciling` means that the operator is working on
    /// it, and `Stalled` that it waits for you. `IgnoredFields` lists fields of the spec that have no effect, if there are any.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The account at the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeAccountStatus>,
    /// Number of failed attempts since the last successful one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<i32>,
    /// Time at which the CA last rejected the account or could not be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<Time>,
    /// Time of the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// Version of the Secrets with the MAC key and the key id that the CA rejected. When they change, the operator retries
    /// immediately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_external_account_version: Option<String>,
    /// Value of the annotation `certwright.dev/retry` that was last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_retry_request: Option<String>,
    /// A requested deactivation of an account that has not succeeded yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivation: Option<DeactivationStatus>,
    /// The authorizations in `spec.acme.authorizations`, in the same order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorizations: Vec<KeptAuthorizationStatus>,
    /// TXT records that were added to the DNS for these authorizations and are not yet removed. Each is recorded here before it
    /// is added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_records: Vec<DnsRecordStatus>,
}

/// An account at a CA.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcmeAccountStatus {
    /// URL of the account.
    pub uri: String,
    /// URL of the directory of the account's CA.
    pub server: String,
    /// Email address that was last registered at the CA; the first one if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_registered_email: Option<String>,
    /// All email addresses that were last registered at the CA.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub last_registered_emails: Vec<String>,
    /// RFC 7638 thumbprint of the account key, in base64url.
    pub key_thumbprint: String,
    /// Algorithm and size of the account key, such as `ECDSA P-256`.
    pub key_algorithm: String,
    /// Key id of the external account that the account is bound to.
    #[serde(skip_serializing_if = "Option::is_none", rename = "boundKeyID")]
    pub bound_key_id: Option<String>,
    /// Terms of service that the account agreed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service: Option<String>,
    /// Current terms of service of the CA, if they differ from those the account agreed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_terms_of_service: Option<String>,
    /// Time at which the CA last confirmed that the account is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check_time: Option<Time>,
    /// Time at which the operator asks the CA again whether the account is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_check_time: Option<Time>,
    /// Time at which the CA confirmed the deactivation of the account. A deactivated account cannot be used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivation_time: Option<Time>,
    /// Previous accounts of this issuer, oldest first. Accounts without `deactivationTime` are still valid at the CA.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub previous_accounts: Vec<PreviousAccount>,
    /// How many orders the operator places with the account at a time, as its flag `--orders-per-account` says. Further Certificates
    /// wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_orders: Option<i32>,
    /// Time at which the account key was generated; for a key that you provided, the time at which its Secret was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_created: Option<Time>,
    /// Time of the last rollover of the account key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_key_rollover: Option<Time>,
    /// Time of the next rollover of the account key, or of the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_key_rollover: Option<Time>,
    /// Value of the annotation `certwright.dev/rollover-account-key` that was last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_rollover_request: Option<String>,
    /// Value of the annotation `certwright.dev/rebind-account` that was last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_rebind_request: Option<String>,
    /// The last rollover of the account key, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_key_rollover: Option<FailedKeyRollover>,
}

/// A failed rollover of the account key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedKeyRollover {
    /// Number of consecutive failures.
    pub attempts: i32,
    /// Time of the last failure.
    pub time: Time,
    /// The `metadata.generation` that the attempt was made for.
    pub generation: i64,
    /// Value of the annotation `certwright.dev/rollover-account-key` at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}
