//! A solver: which names it applies to, and how it proves control of them.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_LABEL, MAX_NAMES};
use crate::dns_persist01::DnsPersist01Solver;
use crate::dns01::Dns01Solver;
use crate::duration::SelfCheckTimeout;
use crate::http01::Http01Solver;
use crate::schema;
use crate::tls_alpn01::TlsAlpn01Solver;

/// A way to prove control of names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.http01), has(self.dns01), has(self.dnsPersist01), has(self.tlsAlpn01)].filter(x, x).size() == 1")
    .message("solvers: set exactly one of http01, dns01, dnsPersist01 and tlsAlpn01"),
    validation = Rule::new("!has(self.selfCheck) || !has(self.selfCheck.nameservers) || has(self.http01) || has(self.tlsAlpn01)")
        .message("solvers.selfCheck.nameservers: applies only to http01 and tlsAlpn01; set propagation.nameservers of dns01 or dnsPersist01 instead"),
    validation = Rule::new("!(has(self.selfCheck) && has(self.waitInsteadOfSelfCheck))")
        .message("solvers.waitInsteadOfSelfCheck: means selfCheck with disabled: true and this timeout; remove one of the two"))]
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
    /// Prove control with the tls-alpn-01 challenge: by a TLS handshake on port 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_alpn01: Option<TlsAlpn01Solver>,
    /// How to check an answer before the CA is told to validate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_check: Option<SolverSelfCheck>,
    /// Do not check an answer. The CA is told to validate this long after the answer is presented, at most `24h`. The same as
    /// `selfCheck` with `disabled: true` and this `timeout`, and the name that cert-manager has for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "SelfCheckTimeout::schema")]
    pub wait_instead_of_self_check: Option<SelfCheckTimeout>,
}

/// How to check an answer before the CA is told to validate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SolverSelfCheck {
    /// Do not check. The CA is told to validate when the answer is presented and `timeout`, if it is set, has passed. For networks
    /// from which the name cannot be reached or looked up. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// After this time the CA is told to validate even if the check does not succeed, at most `24h`. For http-01 and tls-alpn-01, the
    /// flag `--http01-self-check-timeout` sets the default. By default, the CA is not told of a TXT record that is not visible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "SelfCheckTimeout::schema")]
    pub timeout: Option<SelfCheckTimeout>,
    /// Name servers that look up the name for http-01 and tls-alpn-01: `ip` or `ip:port`. Defaults to those in the flag
    /// `--http01-nameservers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 16>")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 300)))]
    pub nameservers: Vec<String>,
}

impl Solver {
    /// The name servers with which its records are looked up; empty for the operator's.
    pub fn nameservers(&self) -> &[String] {
        let persistent = || self.dns_persist01.as_ref()?.propagation.as_ref();
        match &self.dns01 {
            Some(dns01) => dns01.own_nameservers(),
            None => persistent().map(|settings| settings.nameservers.as_slice()).unwrap_or_default(),
        }
    }

    /// How to check an answer before the CA is told to validate.
    pub fn check(&self) -> SolverSelfCheck {
        match self.wait_instead_of_self_check {
            Some(wait) => {
                SolverSelfCheck { disabled: Some(true), timeout: Some(wait), ..SolverSelfCheck::default() }
            }
            None => self.self_check.clone().unwrap_or_default(),
        }
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
