//! Authorizations that an issuer keeps: the CA has validated control of these names ahead of any order.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, DNS_NAME, MAX_DNS_NAME};

/// A name whose authorization is kept (RFC 8555 section 7.4.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptAuthorization {
    /// The DNS name, without `*.`. A dns-01 solver of the issuer must match it.
    #[serde(deserialize_with = "bounds::dns_name")]
    #[schemars(length(min = 1, max = MAX_DNS_NAME), regex(pattern = DNS_NAME))]
    pub dns_name: String,
    /// Request an authorization that also covers the subdomains, if the CA supports RFC 9444. Some CAs always let a name cover its
    /// subdomains. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdomains: Option<bool>,
}

/// An authorization that the issuer keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptAuthorizationStatus {
    /// The DNS name.
    pub dns_name: String,
    /// Whether the CA says that the authorization also covers the subdomains (RFC 9444).
    pub subdomains: bool,
    /// State of the authorization as last reported by the CA: `pending`, `valid`, `invalid`, or another word of the CA. Empty until
    /// the CA has been asked. While a valid authorization is renewed, it stays `valid`.
    pub state: String,
    /// Time at which the valid authorization expires at the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// Time since which the authorization is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_since: Option<Time>,
    /// Time at which the authorization will be renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_time: Option<Time>,
    /// URL of the account that the authorization belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The authorization that is being validated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingAuthorization>,
    /// Number of failed attempts since the last successful one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<i32>,
    /// Time of the next attempt after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// Why the last attempt failed: a word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An authorization that is being validated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingAuthorization {
    /// URL of the authorization. After a restart, the operator continues with it.
    pub url: String,
    /// URL of the account that the authorization belongs to.
    pub account: String,
    /// Time since which it is being validated.
    pub since: Time,
    /// Proves that the operator wrote this entry. The operator does not act on an entry whose seal is missing or invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}
