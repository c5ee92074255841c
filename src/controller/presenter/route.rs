//! Temporary HTTPRoutes, and whether Gateways have accepted them.

use std::fmt::Debug;

use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::objects::{apply, delete_collection, own_of_certificate};
use crate::controller::context::Context;
use crate::controller::error::{Error, is_absent};
use certwright_api::{Certificate, Http01GatewayHttpRoute};
use certwright_core::issuance::{Challenged, Unseen, Way};
use certwright_solver::http01::{
    Acceptance, HttpRoute, PresentedChallenge, Route, RoutePresentation, acceptance, routes,
};

const KIND: &str = "HTTPRoute";
pub(super) const NOT_INSTALLED: &str = "the cluster does not have HTTPRoutes of gateway.networking.k8s.io/v1; install the Gateway API, or \
                             use http01.ingress or dns01";

/// Applies the HTTPRoutes of a Certificate: one per solver with all names, or several if the names do not fit.
///
/// # Errors
/// [`Error::Present`]
pub async fn present(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
) -> Result<Vec<Unseen>, Error> {
    let namespace = certificate.namespace().unwrap_or_default();
    let mut by_solver: Vec<(&Http01GatewayHttpRoute, Vec<&Challenged>)> = Vec::new();
    for challenge in challenged {
        let Way::Route(spec) = &challenge.way else { continue };
        match by_solver.iter_mut().find(|(known, _)| *known == spec) {
            Some((_, challenges)) => challenges.push(challenge),
            None => by_solver.push((spec, vec![challenge])),
        }
    }
    let mut failed = Vec::new();
    for (spec, challenges) in by_solver {
        let rendered = routes(&presentation(context, certificate, spec, &challenges));
        let applied = rendered.into_iter().map(|route| apply(context, &namespace, KIND, route));
        match futures::future::try_join_all(applied).await {
            Ok(_) => {}
            Err(Error::Present { source: kube::Error::Api(status), .. }) if is_absent(&status) => {
                failed.extend(challenges.iter().map(|one| one.unseen(NOT_INSTALLED.to_owned())));
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
pub async fn withdraw(context: &Context, namespace: &str, which: &ListParams) -> Result<(), Error> {
    match delete_collection::<HttpRoute>(context, namespace, KIND, which).await {
        // The Gateway API was never installed, or was removed together with the HTTPRoutes.
        Err(Error::Withdraw { source: kube::Error::Api(status), .. }) if is_absent(&status) => Ok(()),
        other => other,
    }
}

/// Why Gateways rejected the routes of a Certificate, or which have not answered yet. If the cluster does not have the kind, the
/// answer is `not_installed`.
///
/// # Errors
/// [`Error::ReadRoutes`]
pub async fn refused<R>(
    context: &Context,
    namespace: &str,
    uid: &str,
    not_installed: &str,
) -> Result<Option<String>, Error>
where
    R: Route + Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api = Api::<R>::namespaced(context.client.clone(), namespace);
    let found: Vec<R> = match api.list(&own_of_certificate(context, uid)).await {
        Ok(found) => found.items,
        Err(kube::Error::Api(status)) if is_absent(&status) => return Ok(Some(not_installed.to_owned())),
        Err(source) => return Err(Error::ReadRoutes { kind: R::kind(&()).into_owned(), source }),
    };
    Ok(match acceptance(&found) {
        Acceptance::Accepted => None,
        Acceptance::Pending(parents) => Some(format!(
            "{} has not accepted or rejected the {} yet; check that it exists and that its controller is running",
            parents.join(" and "),
            R::kind(&())
        )),
        Acceptance::Refused(sentences) => Some(sentences.join("; ")),
    })
}

fn presentation(
    context: &Context,
    certificate: &Certificate,
    spec: &Http01GatewayHttpRoute,
    challenges: &[&Challenged],
) -> RoutePresentation {
    RoutePresentation {
        namespace: certificate.namespace().unwrap_or_default(),
        certificate_name: certificate.name_any(),
        certificate_uid: certificate.uid().unwrap_or_default(),
        challenges: challenges
            .iter()
            .map(|one| PresentedChallenge { identifier: one.name.clone(), token: one.token.clone() })
            .collect(),
        parent_refs: spec.parent_refs.clone(),
        labels: spec.labels.clone(),
        service_type: spec.service_type.unwrap_or_default(),
        shard: context.http01.shard.clone(),
    }
}
