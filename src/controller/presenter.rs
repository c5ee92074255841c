//! Presents the answers to challenges, and removes them again.
//!
//! Over HTTP, each Certificate has its own Ingresses or HTTPRoutes that lead to the operator. The Certificates of a namespace
//! share the Service and the EndpointSlices behind them. An ingress controller reports a route without a Service or endpoints as
//! an error, so routes are created last and removed first. Providers add TXT records to DNS.

mod in_place;
mod ingress;
mod objects;
mod persistent;
mod provider;
mod records;
mod route;
mod services;

use std::collections::BTreeSet;

pub use persistent::persistent;
pub use records::{add, challenge_label, located, remove, resolver, see};
pub use services::sweep;

use kube::ResourceExt;
use kube::api::ListParams;

use self::objects::{of_certificate, own_of_certificate};
use super::context::Context;
use super::error::Error;
use certwright_api::{Certificate, ChallengeStatus, ChallengeWay, ServiceType};
use certwright_core::issuance::{Challenged, Unseen, Way, is_over_http};

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
    let services: BTreeSet<ServiceType> =
        challenged.iter().filter_map(|one| service_type(&one.way)).collect();
    let over_http = async {
        if services.is_empty() {
            return Ok(Vec::new());
        }
        present_over_http(context, certificate, challenged, &services).await.or_else(|error| {
            // An immediate retry would not help: a person has to fix this.
            let words = error.refusal().ok_or(error)?;
            Ok(over_http(challenged).map(|one| not_presented(one, words.clone())).collect())
        })
    };
    let (records, over_http) = futures::try_join!(records, over_http)?;
    Ok([records, over_http].concat())
}

/// Removes the routes to a Certificate's answers over HTTP, and the shared objects if no other Certificate of the namespace
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
        if by(ChallengeWay::HttpRoute) { route::withdraw(context, namespace, which).await } else { Ok(()) }
    };
    futures::try_join!(ingresses, routes)?;
    let over_http = challenges.iter().any(is_over_http);
    if over_http { services::leave(context, namespace, uid).await } else { Ok(()) }
}

/// Why a Certificate's routes do not work, if it has any and they do not.
///
/// # Errors
/// If the API server fails.
pub async fn refused_routes(
    context: &Context,
    namespace: &str,
    uid: &str,
    challenges: &[ChallengeStatus],
) -> Result<Option<String>, Error> {
    match challenges.iter().any(|challenge| challenge.way == ChallengeWay::HttpRoute) {
        true => route::refused(context, namespace, uid).await,
        false => Ok(None),
    }
}

async fn present_over_http(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
    services: &BTreeSet<ServiceType>,
) -> Result<Vec<Unseen>, Error> {
    if !services::enter(context, certificate, services).await? {
        return Ok(Vec::new());
    }
    let ((), edited, routed) = futures::try_join!(
        ingress::present(context, certificate, challenged),
        in_place::present(context, certificate, challenged),
        route::present(context, certificate, challenged),
    )?;
    Ok([edited, routed].concat())
}

fn over_http(challenged: &[Challenged]) -> impl Iterator<Item = &Challenged> {
    challenged.iter().filter(|challenge| service_type(&challenge.way).is_some())
}

fn service_type(way: &Way) -> Option<ServiceType> {
    let asked_for = match way {
        Way::Ingress(spec) => spec.service_type,
        Way::Route(spec) => spec.service_type,
        Way::Record(_) | Way::Persistent(_) => return None,
    };
    Some(asked_for.unwrap_or_default())
}

/// A challenge whose answer could not be presented over HTTP.
fn not_presented(challenged: &Challenged, words: String) -> Unseen {
    Unseen { challenge: challenged.url.clone(), typ: challenged.typ.clone(), words }
}
