//! Presents the answers to challenges, and removes them again.
//!
//! Over HTTP, each Certificate has its own Ingresses or HTTPRoutes that lead to the operator. The Certificates of a namespace
//! share the Service and the EndpointSlices behind them. Providers add TXT records to DNS.

mod in_place;
mod ingress;
mod objects;
mod provider;
mod records;
mod route;
mod services;

use std::collections::BTreeSet;

pub use records::{located, remove, visible};
pub use services::{leave, sweep};

use super::context::Context;
use super::error::Error;
use certwright_acme::ChallengeType;
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
    let records = records::present(context, certificate, challenged);
    let services: BTreeSet<ServiceType> =
        challenged.iter().filter_map(|one| service_type(&one.way)).collect();
    let over_http = async {
        if services.is_empty() {
            return Ok(Vec::new());
        }
        let presented = futures::try_join!(
            services::enter(context, certificate, &services),
            ingress::present(context, certificate, challenged),
            in_place::present(context, certificate, challenged),
            route::present(context, certificate, challenged),
        );
        match presented {
            Ok((_, _, edited, routed)) => Ok([edited, routed].concat()),
            Err(error) => match error.refusal() {
                // An immediate retry would not help: a person has to fix this.
                Some(words) => {
                    Ok(over_http(challenged).map(|one| not_presented(one, words.clone())).collect())
                }
                None => Err(error),
            },
        }
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
    let by = |way: ChallengeWay| challenges.iter().any(|challenge| challenge.way == way);
    let ingresses = async {
        if by(ChallengeWay::Ingress) { ingress::withdraw(context, namespace, uid).await } else { Ok(()) }
    };
    let routes = async {
        if by(ChallengeWay::HttpRoute) { route::withdraw(context, namespace, uid).await } else { Ok(()) }
    };
    let shared = async {
        let over_http = challenges.iter().any(is_over_http);
        if over_http { leave(context, namespace, uid).await } else { Ok(()) }
    };
    let edited = in_place::withdraw(context, namespace, challenges);
    futures::try_join!(ingresses, routes, edited, shared)?;
    Ok(())
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

fn over_http(challenged: &[Challenged]) -> impl Iterator<Item = &Challenged> {
    challenged.iter().filter(|challenge| challenge.typ == ChallengeType::Http01)
}

fn service_type(way: &Way) -> Option<ServiceType> {
    let asked_for = match way {
        Way::Ingress(spec) => spec.service_type,
        Way::Route(spec) => spec.service_type,
        Way::Record(_) => return None,
    };
    Some(asked_for.unwrap_or_default())
}

/// A challenge whose answer could not be presented over HTTP.
fn not_presented(challenged: &Challenged, words: String) -> Unseen {
    Unseen { challenge: challenged.url.clone(), typ: ChallengeType::Http01, words }
}
