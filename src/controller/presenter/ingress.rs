//! Temporary Ingresses.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use kube::api::ListParams;

use super::objects::{create, delete_collection};
use crate::controller::context::Context;
use crate::controller::error::Error;
use certwright_api::Certificate;
use certwright_core::issuance::{Challenged, Way};
use certwright_solver::http01::{Presentation, PresentedChallenge, ingress, ingress_name};

/// Creates the Ingresses of a Certificate: one for each solver, with all names.
///
/// # Errors
/// [`Error::Present`]
pub async fn present(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
) -> Result<(), Error> {
    let namespace = certificate.namespace().unwrap_or_default();
    let presentations = presentations(context, certificate, challenged);
    let created = presentations.iter().map(|one| create(context, &namespace, "Ingress", ingress(one)));
    futures::future::try_join_all(created).await.map(drop)
}

/// Removes those that `which` selects.
///
/// # Errors
/// [`Error::Withdraw`]
pub async fn withdraw(context: &Context, namespace: &str, which: &ListParams) -> Result<(), Error> {
    delete_collection::<Ingress>(context, namespace, "Ingress", which).await
}

fn presentations(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
) -> Vec<Presentation> {
    let mut by_ingress: BTreeMap<String, Presentation> = BTreeMap::new();
    for challenge in challenged {
        let Way::Ingress(spec) = &challenge.way else { continue };
        if spec.edited().is_some() {
            continue;
        }
        let presentation = Presentation {
            namespace: certificate.namespace().unwrap_or_default(),
            certificate_name: certificate.name_any(),
            certificate_uid: certificate.uid().unwrap_or_default(),
            challenges: Vec::new(),
            ingress_class_name: spec.ingress_class_name.clone(),
            class: spec.class.clone(),
            template: spec.ingress_template.clone().unwrap_or_default().metadata,
            service_type: spec.service_type.unwrap_or_default(),
            path_type: context.config.path_type,
            shard: context.http01.shard.clone(),
        };
        by_ingress
            .entry(ingress_name(&presentation))
            .or_insert(presentation)
            .challenges
            .push(PresentedChallenge { identifier: challenge.name.clone(), token: challenge.token.clone() });
    }
    by_ingress.into_values().collect()
}
