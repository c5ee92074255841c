//! Other issuers of a Certificate, for when the one in `issuerRef` cannot issue.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::FallbackAfter;
use crate::issuer_ref::IssuerRef;

/// The maximum number of fallback issuers.
pub const MAX_FALLBACK_ISSUERS: usize = 4;

/// When the next issuer is tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FallbackPolicy {
    /// How long an issuer has to be unable to issue before the next one is tried, at most `720h`. Defaults to `1h`. While the
    /// Secret has a valid certificate, the operator also waits until less than a third of the time between the renewal time
    /// and the expiry is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "FallbackAfter::schema")]
    pub after: Option<FallbackAfter>,
    /// How many validations in a row a CA must have refused before its issuer counts as unable to issue. Defaults to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub validation_failures: Option<i32>,
}

/// The fallback issuer that issued the certificate in the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedByStatus {
    /// The fallback issuer.
    pub issuer_ref: IssuerRef,
    /// The issuer that it replaced: `spec.issuerRef` at that time.
    pub instead_of: IssuerRef,
    /// Why: the reason of the condition `Issuing` when the first issuer was given up.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

/// The issuers that the current issuance has tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptStatus {
    /// The issuer in use.
    pub issuer_ref: IssuerRef,
    /// Since when it cannot issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// How many validations in a row its CA has refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_failures: Option<i32>,
    /// The reason of the condition `Issuing` when the issuer in `spec.issuerRef` was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the next attempts go to `spec.rehearsalIssuerRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearses: Option<bool>,
    /// The issuers that were given up, and when each of them may be tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUpIssuerStatus>,
}

/// An issuer that was given up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GivenUpIssuerStatus {
    /// The issuer.
    pub issuer_ref: IssuerRef,
    /// Since when it could not issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// How many validations in a row its CA had refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_failures: Option<i32>,
    /// Number of its failed issuances in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_issuance_attempts: Option<i32>,
    /// Time of the next attempt, if all other issuers fail as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
}
