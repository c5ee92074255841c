//! Temporary TLSRoutes.

use kube::ResourceExt;
use kube::api::ListParams;

use super::objects::{apply, delete_collection};
use crate::controller::context::Context;
use crate::controller::error::{Error, is_absent};
use certwright_api::{Certificate, TlsAlpn01GatewayTlsRoute};
use certwright_core::issuance::{Challenged, Unseen, Way};
use certwright_solver::tls_alpn01::{TlsRoute, TlsRoutePresentation, tls_route};

const KIND: &str = "TLSRoute";
pub(super) const NOT_INSTALLED: &str = "the cluster does not have TLSRoutes of gateway.networking.k8s.io/v1; install the Gateway API \
                                        1.5 or newer, or use another solver";

/// Applies the TLSRoutes of a Certificate: one per solver with all names.
///
/// # Errors
/// [`Error::Present`]
pub async fn present(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
) -> Result<Vec<Unseen>, Error> {
    let namespace = certificate.namespace().unwrap_or_default();
    let mut by_solver: Vec<(&TlsAlpn01GatewayTlsRoute, Vec<&Challenged>)> = Vec::new();
    for challenge in challenged {
        let Way::TlsRoute(spec) = &challenge.way else { continue };
        match by_solver.iter_mut().find(|(known, _)| *known == spec) {
            Some((_, challenges)) => challenges.push(challenge),
            None => by_solver.push((spec, vec![challenge])),
        }
    }
    let mut failed = Vec::new();
    for (spec, challenges) in by_solver {
        let route = tls_route(&TlsRoutePresentation {
            namespace: namespace.clone(),
            certificate_name: certificate.name_any(),
            certificate_uid: certificate.uid().unwrap_or_default(),
            identifiers: challenges.iter().map(|one| one.name.clone()).collect(),
            parent_refs: spec.parent_refs.clone(),
            labels: spec.labels.clone(),
            service_type: spec.service_type.unwrap_or_default(),
            shard: context.http01.shard.clone(),
        });
        match apply(context, &namespace, KIND, route).await {
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
    match delete_collection::<TlsRoute>(context, namespace, KIND, which).await {
        // The Gateway API was never installed, or was removed together with the TLSRoutes.
        Err(Error::Withdraw { source: kube::Error::Api(status), .. }) if is_absent(&status) => Ok(()),
        other => other,
    }
}
