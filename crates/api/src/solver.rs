//! A solver: which names it applies to, and how it proves control of them.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_LABEL, MAX_NAMES};
use crate::dns_persist01::DnsPersist01Solver;
use crate::dns01::{Dns01Propagation, Dns01Solver};
use crate::http01::Http01Solver;
use crate::schema;

/// A way to prove control of names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.http01), has(self.dns01), has(self.dnsPersist01)].filter(x, x).size() == 1")
    .message("solvers: set exactly one of http01, dns01 and dnsPersist01"))]
pub struct Solver {
    /// Names that this solver is used for. By default, all names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SolverSelector>,
    /// Prove control with the http-01 challenge: by an HTTP response on port 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http01: Option<Http01Solver>,
    /// Prove control with the dns-01 challenge: by a TXT record in the DNS. Wildcards require this or `dnsPersist01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns01: Option<Dns01Solver>,
    /// Prove control with the dns-persist-01 challenge: by a TXT record that you add once.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "dnsPersist01")]
    pub dns_persist01: Option<DnsPersist01Solver>,
}

impl Solver {
    /// How its records are looked up, if it has any.
    pub fn propagation(&self) -> Option<&Dns01Propagation> {
        let of_dns01 = self.dns01.as_ref().and_then(|dns01| dns01.propagation.as_ref());
        of_dns01.or_else(|| self.dns_persist01.as_ref()?.propagation.as_ref())
    }
}

/// Which names a solver is used for. All fields that are set must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SolverSelector {
    /// Labels that the Certificate must have.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounds::labels::<_, MAX_LABEL>"
    )]
    #[schemars(schema_with = "schema::labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Names that match exactly. A solver that lists a name takes precedence over one that lists its zone.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_NAMES>"
    )]
    #[schemars(schema_with = "schema::names")]
    pub dns_names: Vec<String>,
    /// Zones whose names match, at any depth. The longest matching zone takes precedence.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_NAMES>"
    )]
    #[schemars(schema_with = "schema::names")]
    pub dns_zones: Vec<String>,
}
