//! The names of Certificates: is port 80 open for http-01, does port 443 answer for tls-alpn-01, and do name servers know the zones
//! for dns-01?

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures::{StreamExt, stream};

use super::{Finding, issuers};
use crate::controller::issuer_record::IssuerRecord;
use crate::controller::presenter::challenge_label;
use certwright_api::{Certificate, CnameStrategy};
use certwright_core::persistent_record::LABEL;
use certwright_core::solvers::solver_for;
use certwright_core::spec::names::dns_names;
use certwright_egress::Egress;
use certwright_solver::dns01::{self, NameServer, Resolver, Whose};
use certwright_solver::http01::{SelfCheck, SelfCheckFailure};
use certwright_solver::tls_alpn01::HandshakeFailure;

/// The maximum number of names to check.
pub(super) const MOST: usize = 50;
/// The maximum number of concurrent checks.
const AT_ONCE: usize = 8;
/// A token that no CA generates.
const TOKEN: &str = "certwright-check";

/// How control of a name is validated.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Http,
    /// Whether it is a proxy that leads to the operator at any time.
    Tls {
        front_proxy: bool,
    },
    Dns {
        label: String,
        strategy: CnameStrategy,
    },
}

/// Checks each name in the way that its solver will.
pub(super) async fn findings(
    certificates: &[Certificate],
    issuers: &[IssuerRecord],
    nameservers: &[NameServer],
    egress: &Egress,
) -> Vec<Finding> {
    let names = names(certificates, issuers);
    if names.is_empty() {
        return vec![Finding::ok("no Certificate has a name to check")];
    }
    let plain: Vec<SocketAddr> =
        nameservers.iter().filter_map(|server| server.to_string().parse().ok()).collect();
    let (self_check, resolver) = match (
        SelfCheck::new(plain, egress.clone()),
        Resolver::new(nameservers, Whose::Administrators, egress),
    ) {
        (Ok(self_check), Ok(resolver)) => (self_check, resolver),
        (Err(error), _) => return vec![unusable(&error.to_string())],
        (_, Err(error)) => return vec![unusable(&error.to_string())],
    };
    let more = names.len().saturating_sub(MOST);
    let (self_check, resolver) = (&self_check, &resolver);
    let look = |(name, way): (String, Way)| async move {
        match way {
            Way::Http => port_80(&name, self_check).await,
            Way::Tls { front_proxy } => port_443(&name, front_proxy, self_check).await,
            Way::Dns { label, strategy } => zone(&label, &name, strategy, resolver).await,
        }
    };
    let mut findings: Vec<Finding> =
        stream::iter(names.into_iter().take(MOST)).map(look).buffered(AT_ONCE).collect().await;
    findings.extend(unchecked(more));
    findings
}

pub(super) fn unchecked(more: usize) -> Option<Finding> {
    let words = format!("{more} more names were not checked");
    (more > 0).then(|| Finding::warn(words, "Restrict the check with --namespace."))
}

/// The names, and how each is validated. Leaves out names without a solver: their Certificates report that.
fn names(certificates: &[Certificate], all: &[IssuerRecord]) -> BTreeMap<String, Way> {
    let mut names = BTreeMap::new();
    for certificate in certificates {
        let Some(issuer) = issuers::of(all, certificate) else { continue };
        let labels = certificate.metadata.labels.clone().unwrap_or_default();
        for full in &dns_names(&certificate.spec) {
            let (name, wildcard) =
                full.strip_prefix("*.").map_or((full.as_str(), false), |name| (name, true));
            let usable = |solver: &certwright_api::Solver| {
                !wildcard || (solver.http01.is_none() && solver.tls_alpn01.is_none())
            };
            let Some(solver) = solver_for(&issuer.spec.solvers, name, wildcard, &labels, usable) else {
                continue;
            };
            let way = match (&solver.dns01, &solver.dns_persist01, &solver.tls_alpn01) {
                (Some(dns01), ..) => Way::Dns {
                    label: challenge_label(dns01, issuer.account_url()),
                    strategy: dns01.cname_strategy.unwrap_or_default(),
                },
                (_, Some(_), _) => Way::Dns { label: LABEL.to_owned(), strategy: CnameStrategy::Follow },
                (.., Some(tls)) => Way::Tls { front_proxy: tls.gateway_tls_route.is_none() },
                (None, None, None) => Way::Http,
            };
            names.insert(name.to_owned(), way);
        }
    }
    names
}

/// Accepts every HTTP response, since there is no challenge to answer yet.
async fn port_80(name: &str, self_check: &SelfCheck) -> Finding {
    match self_check.check(name, TOKEN, TOKEN).await {
        Ok(())
        | Err(
            SelfCheckFailure::WrongAnswer { .. }
            | SelfCheckFailure::OtherAccount { .. }
            | SelfCheckFailure::UnknownToken { .. }
            | SelfCheckFailure::Status { .. },
        ) => Finding::ok(format!("{name}: port 80 answers")),
        Err(failure) => Finding::warn(
            format!("{name}: {failure}"),
            "The CA must be able to reach port 80 from outside. The result from this machine may differ.",
        ),
    }
}

/// Through a proxy, a handshake leads to the operator at any time; a TLSRoute is only there while a name is being validated.
async fn port_443(name: &str, front_proxy: bool, self_check: &SelfCheck) -> Finding {
    let remedy = "let what listens there forward connections that offer acme-tls/1 (ALPN) to the operator";
    match self_check.check_handshake(name, TOKEN, remedy).await {
        Err(failure @ HandshakeFailure::SomethingElse { .. }) if front_proxy => {
            Finding::warn(format!("{name}: {failure}"), "See docs/tls-alpn01.md for proxies that do this.")
        }
        Err(failure) if !failure.is_answer() => Finding::warn(
            format!("{name}: {failure}"),
            "The CA must be able to reach port 443 from outside. The result from this machine may differ.",
        ),
        Ok(()) | Err(_) => Finding::ok(format!("{name}: port 443 answers")),
    }
}

async fn zone(label: &str, name: &str, strategy: CnameStrategy, resolver: &Resolver) -> Finding {
    match resolver.locate(label, name, strategy).await {
        Ok(dns01::Location { fqdn, zone, passed_over }) => {
            let wildcard = passed_over.map_or(String::new(), |target| {
                format!("; the wildcard CNAME to {target} that it matches is not followed")
            });
            Finding::ok(format!("{name}: name servers answer, and {fqdn} is in the zone {zone}{wildcard}"))
        }
        Err(error) => Finding::warn(
            format!("{name}: {error}"),
            "The operator uses its own name servers. The result from this machine may differ.",
        ),
    }
}

pub(super) fn unusable(error: &str) -> Finding {
    Finding::warn(format!("names cannot be looked up: {error}"), "Set --nameservers.")
}
