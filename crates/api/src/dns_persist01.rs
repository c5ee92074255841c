//! The dns-persist-01 solver.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dns01::Dns01Propagation;
use crate::schema;

/// dns-persist-01 (draft-ietf-acme-dns-persist): a TXT record at `_validation-persist.<name>` that you add once, and that proves
/// control for every issuance. Certwright never changes it. `certwright dns-record` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnsPersist01Solver {
    /// `Wildcard`: the record that Certwright prints also allows wildcards and subdomains of the name. The record for a wildcard
    /// does so in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PersistPolicy>,
    /// Time at which the record that Certwright prints ends. Change the record before, or renewals wait. By default it does not
    /// end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self < timestamp('9999-01-01T00:00:00Z')").message("persistUntil: must be before the year 9999"))]
    pub persist_until: Option<Time>,
    /// How to look for the record before the CA is told to validate. `timeout` does not apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Dns01Propagation>,
}

/// What a persistent record allows besides the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum PersistPolicy {
    /// Wildcards and subdomains.
    Wildcard,
}
