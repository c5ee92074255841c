//! A solver: which names it is for, and how control of them is proved.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_LABEL, MAX_NAMES};
use crate::dns01::Dns01Solver;
use crate::http01::Http01Solver;
use crate::schema;

/// A way to prove control of names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.http01), has(self.dns01)].filter(x, x).size() == 1")
    .message("a solver needs one of http01 and dns01"))]
pub struct Solver {
    /// Names that this solver is for; all, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SolverSelector>,
    /// Prove control by answering over HTTP at port 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http01: Option<Http01Solver>,
    /// Prove control by TXT records in the DNS. The only way for wildcards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns01: Option<Dns01Solver>,
}

/// Which names a solver is for. All parts that are given must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SolverSelector {
    /// Labels that the Certificate has.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounds::labels::<_, MAX_LABEL>"
    )]
    #[schemars(schema_with = "schema::labels")]
    pub match_labels: BTreeMap<String, String>,
    /// These very names. A solver that names a name wins over one that names its zone.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_NAMES>"
    )]
    #[schemars(schema_with = "schema::names")]
    pub dns_names: Vec<String>,
    /// Names in these zones, at any depth. The longest zone wins.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounds::list::<_, _, MAX_NAMES>"
    )]
    #[schemars(schema_with = "schema::names")]
    pub dns_zones: Vec<String>,
}
