//! Presents the answers to challenges, and removes them again.
//!
//! Over HTTP, each Certificate has its own Ingresses or HTTPRoutes that lead to the operator, and over TLS its own TLSRoutes. The
//! Certificates of a namespace share the Services and the EndpointSlices behind them. An ingress controller reports a route without a Service or endpoints as
//! an error, so routes are created last and removed first. Providers add TXT records to DNS.

mod in_place;
mod ingress;
mod objects;
mod persistent;
mod provider;
mod records;
mod route;
mod services;
mod webhook;

use std::collections::BTreeSet;

pub use persistent::persistent;
pub use records::{add, challenge_label, located, remove, resolver, see};
pub use services::{follow_replicas, take_over};

use kube::ResourceExt;
use kube::api::ListParams;

use self::objects::{of_certificate, own_of_certificate};
use super::context::Context;
use super::error::Error;
use certwright_api::{Certificate, ChallengeStatus, ChallengeWay};
use certwright_core::issuance::{Challenged, Unseen, Way, has_service};
use certwright_solver::http01::{Backend, HttpRoute};
use certwright_solver::tls_alpn01::TlsRoute;

/// Presents the answers to `challenged`, all challenges of the Certificate. Its status already records them.
///
/// Returns what could not be presented, and why.
///
/// # Errors
/// If the API server fails.
pub async fn present(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
) -> Result<Vec<Unseen>, Error> {
    let (namespace, uid) =
        (certificate.namespace().unwrap_or_default(), certificate.uid().unwrap_or_default());
    let ledger = certificate.status.as_ref().map(|status| status.dns_records.as_slice()).unwrap_or_default();
    let records = records::add(context, (&namespace, &uid), ledger, challenged);
    let services: BTreeSet<Backend> = challenged.iter().filter_map(|one| backend(&one.way)).collect();
    let routed = async {
        if services.is_empty() {
            return Ok(Vec::new());
        }
        present_routes(context, certificate, challenged, &services).await.or_else(|error| {
            // An immediate retry would not help: a person has to fix this.
            let words = error.refusal().ok_or(error)?;
            Ok(routed(challenged).map(|one| one.unseen(words.clone())).collect())
        })
    };
    let (records, routed) = futures::try_join!(records, routed)?;
    Ok([records, routed].concat())
}

/// Removes the routes to a Certificate's answers, and the shared objects if no other Certificate of the namespace
/// needs them.
///
/// # Errors
/// If the API server fails.
pub async fn withdraw(
    context: &Context,
    namespace: &str,
    uid: &str,
    challenges: &[ChallengeStatus],
) -> Result<(), Error> {
    context.http01.forget(uid);
    in_place::withdraw(context, namespace, challenges).await?;
    withdraw_routes(context, namespace, uid, challenges, &of_certificate(uid)).await
}

/// Removes what this shard has presented for a Certificate that is gone, or belongs to another shard now, which may present the
/// same. Edits of Ingresses of others stay: a Certificate is not deleted before they are undone.
///
/// # Errors
/// If the API server fails.
pub async fn withdraw_own(
    context: &Context,
    namespace: &str,
    uid: &str,
    challenges: &[ChallengeStatus],
) -> Result<(), Error> {
    withdraw_routes(context, namespace, uid, challenges, &own_of_certificate(context, uid)).await
}

async fn withdraw_routes(
    context: &Context,
    namespace: &str,
    uid: &str,
    challenges: &[ChallengeStatus],
    which: &ListParams,
) -> Result<(), Error> {
    let by = |way: ChallengeWay| challenges.iter().any(|challenge| challenge.way == way);
    let ingresses = async {
        if by(ChallengeWay::Ingress) { ingress::withdraw(context, namespace, which).await } else { Ok(()) }
    };
    let routes = async {
        if by(ChallengeWay::HttpRoute) {
            route::withdraw::<HttpRoute>(context, namespace, which).await
        } else {
            Ok(())
        }
    };
    let tls_routes = async {
        if by(ChallengeWay::TlsRoute) {
            route::withdraw::<TlsRoute>(context, namespace, which).await
        } else {
            Ok(())
        }
    };
    futures::try_join!(ingresses, routes, tls_routes)?;
    let had_service = challenges.iter().any(has_service);
    if had_service { services::leave(context, namespace, uid).await } else { Ok(()) }
}

/// Why a Certificate's routes of each kind do not work, if it has any and they do not.
#[derive(Debug, Default)]
pub struct RefusedRoutes {
    /// HTTPRoutes.
    pub http: Option<String>,
    /// TLSRoutes.
    pub tls: Option<String>,
}

/// Why a Certificate's routes do not work.
///
/// # Errors
/// If the API server fails.
pub async fn refused_routes(
    context: &Context,
    namespace: &str,
    uid: &str,
    challenges: &[ChallengeStatus],
) -> Result<RefusedRoutes, Error> {
    let by = |way: ChallengeWay| challenges.iter().any(|challenge| challenge.way == way);
    let mut refused = RefusedRoutes::default();
    if by(ChallengeWay::HttpRoute) {
        refused.http = route::refused::<HttpRoute>(context, namespace, uid).await?;
    }
    if by(ChallengeWay::TlsRoute) {
        refused.tls = route::refused::<TlsRoute>(context, namespace, uid).await?;
    }
    Ok(refused)
}

async fn present_routes(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
    services: &BTreeSet<Backend>,
) -> Result<Vec<Unseen>, Error> {
    if !services::enter(context, certificate, services).await? {
        return Ok(Vec::new());
    }
    let ((), edited, routed, over_tls) = futures::try_join!(
        ingress::present(context, certificate, challenged),
        in_place::present(context, certificate, challenged),
        route::present::<HttpRoute>(context, certificate, challenged),
        route::present::<TlsRoute>(context, certificate, challenged),
    )?;
    Ok([edited, routed, over_tls].concat())
}

fn routed(challenged: &[Challenged]) -> impl Iterator<Item = &Challenged> {
    challenged.iter().filter(|challenge| backend(&challenge.way).is_some())
}

/// The Service that leads to the answer, if there is one.
fn backend(way: &Way) -> Option<Backend> {
    match way {
        Way::Ingress(spec) => Some(Backend::Http01(spec.service_type.unwrap_or_default())),
        Way::Route(spec) => Some(Backend::Http01(spec.service_type.unwrap_or_default())),
        Way::TlsRoute(spec) => Some(Backend::TlsAlpn01(spec.service_type.unwrap_or_default())),
        Way::Record(_) | Way::Persistent(_) | Way::FrontProxy => None,
    }
}
