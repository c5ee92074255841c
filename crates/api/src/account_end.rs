//! How the account of an issuer ends, and what is kept of those that it had before.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::DeletionTimeout;
use crate::schema;

/// How an account ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountPolicy {
    /// What becomes of the account when the issuer is deleted. `Retain` (the default): it stays at the CA, and its key in
    /// the Secret. `Deactivate`: the CA is told to deactivate it, for good; not while another issuer uses the same Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<AccountOnDelete>,
    /// For how long the deletion of the issuer waits for the CA to deactivate the account, such as `2m`, the default; at most
    /// `1h`. After that the account is left behind, and an event says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "DeletionTimeout::schema")]
    pub deactivation_timeout: Option<DeletionTimeout>,
}

/// What becomes of an account when its issuer is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum AccountOnDelete {
    /// It stays at the CA, and its key in the Secret.
    #[default]
    Retain,
    /// It is deactivated at the CA.
    Deactivate,
}

/// An account that an issuer had before it was bound to another external account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PreviousAccount {
    /// URL of the account.
    pub uri: String,
    /// URL of the directory of the CA that the account is at.
    pub server: String,
    /// Key id of the external account that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none", rename = "boundKeyID")]
    pub bound_key_id: Option<String>,
    /// RFC 7638 thumbprint of its key.
    pub key_thumbprint: String,
    /// Where its private key is: the key in the data of the account key Secret. It is removed once the account is
    /// deactivated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
    /// When another account took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement_time: Option<Time>,
    /// When the CA confirmed that it is deactivated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivation_time: Option<Time>,
}

/// The deactivation of an account that has failed so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeactivationStatus {
    /// URL of the account.
    pub account: String,
    /// Failures in a row.
    pub failed_attempts: i32,
    /// When the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<Time>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
}
