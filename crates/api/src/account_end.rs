//! What happens to the account of a deleted issuer, and what is recorded about previous accounts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::DeletionTimeout;
use crate::schema;

/// What happens to an account when its issuer is deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountPolicy {
    /// What happens to the account when the issuer is deleted. `Retain` (the default): the account remains at the CA, and its
    /// key in the Secret. `Deactivate`: the account is deactivated permanently, unless another issuer uses the same Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<AccountOnDelete>,
    /// How long the deletion of the issuer waits for the CA to deactivate the account, at most `1h`. Defaults to `2m`. After
    /// that, the account is left behind and an event reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "DeletionTimeout::schema")]
    pub deactivation_timeout: Option<DeletionTimeout>,
}

/// Whether an account is kept or deactivated when its issuer is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum AccountOnDelete {
    /// The account remains at the CA, and its key in the Secret.
    #[default]
    Retain,
    /// The account is deactivated at the CA.
    Deactivate,
}

/// An account that an issuer had before another one replaced it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PreviousAccount {
    /// URL of the account.
    pub uri: String,
    /// URL of the directory of the account's CA.
    pub server: String,
    /// Key id of the external account that the account is bound to.
    #[serde(skip_serializing_if = "Option::is_none", rename = "boundKeyID")]
    pub bound_key_id: Option<String>,
    /// RFC 7638 thumbprint of the account's key.
    pub key_thumbprint: String,
    /// Key in the data of the account key Secret under which the account's private key is stored. It is removed once the
    /// account is deactivated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
    /// Time at which another account replaced this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement_time: Option<Time>,
    /// Whether the account was replaced because of the annotation `certwright.dev/rebind-account`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebound: Option<bool>,
    /// Time at which the CA confirmed the deactivation of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivation_time: Option<Time>,
}

/// A requested deactivation of an account that has not succeeded yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeactivationStatus {
    /// URL of the account.
    pub account: String,
    /// Number of consecutive failures.
    pub failed_attempts: i32,
    /// Time of the last failed attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<Time>,
    /// Time of the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
}
