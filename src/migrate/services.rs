//! Solvers for the DNS services that cert-manager has built in, which `certwright-dns` takes over.

use serde_json::Value;

use super::fields::{Note, What};
use super::object::Source;
use certwright_api::Dns01Services;
use certwright_solver::dns01::services::{self, DEFAULT_GROUP, Refused};

/// The names of the services in `dns01`.
pub const NAMES: [&str; 6] = ["akamai", "azureDNS", "cloudDNS", "cloudflare", "digitalocean", "route53"];

/// Why the settings of a solver cannot be used, if they are for such a service and cannot.
pub fn refused(solver: &Value) -> Option<Refused> {
    services::webhook(&of(solver)?, DEFAULT_GROUP)?.err()
}

/// What an issuer needs `certwright-dns` for, and which Secrets that must be able to read: a note for each solver.
pub fn needs(issuer: &Value) -> Vec<Note> {
    let whose = match Source::of(issuer) {
        Source { kind, .. } if kind == "ClusterIssuer" => "the operator's namespace".to_owned(),
        Source { namespace: Some(namespace), .. } => format!("namespace {namespace}"),
        Source { .. } => "the issuer's namespace".to_owned(),
    };
    let solvers = issuer["spec"]["acme"]["solvers"].as_array().into_iter().flatten().enumerate();
    let needing = solvers.filter(|(_, solver)| refused(solver).is_none()).filter_map(|(index, solver)| {
        let name = NAMES.iter().find(|name| solver["dns01"][**name].is_object())?;
        let settings = of(solver)?;
        let secrets = services::secrets(&settings);
        let access = match &secrets[..] {
            [] => "give its service account the identity that may change the zone".to_owned(),
            [one] => format!("let it read Secret {one} in {whose}"),
            several => format!("let it read the Secrets {} in {whose}", several.join(", ")),
        };
        Some(Note {
            path: format!("spec.acme.solvers[{index}].dns01.{name}"),
            what: What::Changed,
            text: format!(
                "certwright-dns changes the records: install it, and {access}. See docs/certwright-dns.md."
            ),
        })
    });
    needing.collect()
}

fn of(solver: &Value) -> Option<Dns01Services> {
    serde_json::from_value(solver["dns01"].clone()).ok()
}
