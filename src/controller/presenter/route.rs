//! Temporary HTTPRoutes and TLSRoutes, and whether Gateways have accepted them.

use std::collections::BTreeMap;
use std::fmt::Debug;

use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::objects::{apply, delete_collection, own_of_certificate};
use crate::controller::context::Context;
use crate::controller::error::{Error, is_absent};
use certwright_api::{
    Certificate, Http01GatewayHttpRoute, ParentReference, ServiceType, TlsAlpn01GatewayTlsRoute,
};
use certwright_core::issuance::{Challenged, Unseen, Way};
use certwright_solver::http01::{
    Acceptance, HttpRoute, PresentedChallenge, Route, RouteTemplate, acceptance, routes,
};
use certwright_solver::tls_alpn01::{TlsRoute, tls_route};

/// A kind of route that leads to answers.
pub trait TemporaryRoute:
    Route
    + Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
    /// The solver that creates it.
    type Solver: PartialEq;
    /// Its `kind`.
    const KIND: &'static str;
    /// What to do if the cluster does not have it.
    const NOT_INSTALLED: &'static str;

    /// The solver, if a challenge is answered through one.
    fn solver(way: &Way) -> Option<&Self::Solver>;

    /// The routes for challenges with the same solver.
    fn render(
        solver: &Self::Solver,
        certificate: &Certificate,
        context: &Context,
        challenged: &[&Challenged],
    ) -> Vec<Self>;
}

impl TemporaryRoute for HttpRoute {
    type Solver = Http01GatewayHttpRoute;
    const KIND: &'static str = "HTTPRoute";
    const NOT_INSTALLED: &'static str = "the cluster does not have HTTPRoutes of gateway.networking.k8s.io/v1; install the Gateway API, or \
                                         use http01.ingress or dns01";

    fn solver(way: &Way) -> Option<&Self::Solver> {
        match way {
            Way::Route(solver) => Some(solver),
            _ => None,
        }
    }

    fn render(
        solver: &Self::Solver,
        certificate: &Certificate,
        context: &Context,
        challenged: &[&Challenged],
    ) -> Vec<Self> {
        let attached = (solver.parent_refs.as_slice(), &solver.labels, solver.service_type);
        let presented =
            |one: &&Challenged| PresentedChallenge { identifier: one.name.clone(), token: one.token.clone() };
        let challenges: Vec<_> = challenged.iter().map(presented).collect();
        routes(&template(attached, certificate, context), &challenges)
    }
}

impl TemporaryRoute for TlsRoute {
    type Solver = TlsAlpn01GatewayTlsRoute;
    const KIND: &'static str = "TLSRoute";
    const NOT_INSTALLED: &'static str = "the cluster does not have TLSRoutes of gateway.networking.k8s.io/v1; install the Gateway API \
                                         1.5 or newer, or use another solver";

    fn solver(way: &Way) -> Option<&Self::Solver> {
        match way {
            Way::TlsRoute(solver) => Some(solver),
            _ => None,
        }
    }

    fn render(
        solver: &Self::Solver,
        certificate: &Certificate,
        context: &Context,
        challenged: &[&Challenged],
    ) -> Vec<Self> {
        let attached = (solver.parent_refs.as_slice(), &solver.labels, solver.service_type);
        let names: Vec<_> = challenged.iter().map(|one| one.name.clone()).collect();
        vec![tls_route(&template(attached, certificate, context), &names)]
    }
}

/// Applies the routes of a kind for a Certificate: one per solver with all names, or several if the names do not fit.
///
/// # Errors
/// [`Error::Present`]
pub async fn present<R: TemporaryRoute>(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
) -> Result<Vec<Unseen>, Error> {
    let namespace = certificate.namespace().unwrap_or_default();
    let mut by_solver: Vec<(&R::Solver, Vec<&Challenged>)> = Vec::new();
    for challenge in challenged {
        let Some(solver) = R::solver(&challenge.way) else { continue };
        match by_solver.iter_mut().find(|(known, _)| *known == solver) {
            Some((_, challenges)) => challenges.push(challenge),
            None => by_solver.push((solver, vec![challenge])),
        }
    }
    let mut failed = Vec::new();
    for (solver, challenges) in by_solver {
        let rendered = R::render(solver, certificate, context, &challenges);
        let applied = rendered.into_iter().map(|route| apply(context, &namespace, R::KIND, route));
        match futures::future::try_join_all(applied).await {
            Ok(_) => {}
            Err(Error::Present { source: kube::Error::Api(status), .. }) if is_absent(&status) => {
                failed.extend(challenges.iter().map(|one| one.unseen(R::NOT_INSTALLED.to_owned())));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(failed)
}

/// Removes those that `which` selects.
///
/// # Errors
/// [`Error::Withdraw`]
pub async fn withdraw<R: TemporaryRoute>(
    context: &Context,
    namespace: &str,
    which: &ListParams,
) -> Result<(), Error> {
    match delete_collection::<R>(context, namespace, R::KIND, which).await {
        // The Gateway API was never installed, or was removed together with the routes.
        Err(Error::Withdraw { source: kube::Error::Api(status), .. }) if is_absent(&status) => Ok(()),
        other => other,
    }
}

/// Why Gateways rejected the routes of a Certificate, or which have not answered yet.
///
/// # Errors
/// [`Error::ReadRoutes`]
pub async fn refused<R: TemporaryRoute>(
    context: &Context,
    namespace: &str,
    uid: &str,
) -> Result<Option<String>, Error> {
    let api = Api::<R>::namespaced(context.client.clone(), namespace);
    let found: Vec<R> = match api.list(&own_of_certificate(context, uid)).await {
        Ok(found) => found.items,
        Err(kube::Error::Api(status)) if is_absent(&status) => return Ok(Some(R::NOT_INSTALLED.to_owned())),
        Err(source) => return Err(Error::ReadRoutes { kind: R::KIND, source }),
    };
    Ok(match acceptance(&found) {
        Acceptance::Accepted => None,
        Acceptance::Pending(parents) => Some(format!(
            "{} has not accepted or rejected the {} yet; check that it exists and that its controller is running",
            parents.join(" and "),
            R::KIND
        )),
        Acceptance::Refused(sentences) => Some(sentences.join("; ")),
    })
}

fn template(
    (parent_refs, labels, service_type): (&[ParentReference], &BTreeMap<String, String>, Option<ServiceType>),
    certificate: &Certificate,
    context: &Context,
) -> RouteTemplate {
    RouteTemplate {
        namespace: certificate.namespace().unwrap_or_default(),
        certificate_name: certificate.name_any(),
        certificate_uid: certificate.uid().unwrap_or_default(),
        parent_refs: parent_refs.to_vec(),
        labels: labels.clone(),
        service_type: service_type.unwrap_or_default(),
        shard: context.http01.shard.clone(),
    }
}
