//! Edits existing Ingresses of others in place: what was added is removed again, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::runtime::metrics::ApiVerb;
use certwright_api::{Certificate, ChallengeStatus, FIELD_MANAGER, ServiceType};
use certwright_core::issuance::{Challenged, Unseen, Way};
use certwright_solver::http01::{PresentedChallenge, put_in, take_out};

/// How often an edit is repeated after a conflict.
const MAX_EDITS: usize = 20;

/// Adds the paths of all challenges to the Ingresses that their solvers name.
///
/// # Errors
/// [`Error::EditIngress`]
pub async fn present(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
) -> Result<Vec<Unseen>, Error> {
    let namespace = certificate.namespace().unwrap_or_default();
    let mut by_ingress: BTreeMap<&str, Vec<(&Challenged, ServiceType)>> = BTreeMap::new();
    for challenge in challenged {
        if let Way::Ingress(spec) = &challenge.way
            && let Some(name) = spec.edited()
        {
            by_ingress.entry(name).or_default().push((challenge, spec.service_type.unwrap_or_default()));
        }
    }
    let mut missing = Vec::new();
    for (name, challenges) in by_ingress {
        let found = edit(context, &namespace, name, |ingress| {
            for (challenge, service_type) in &challenges {
                let presented =
                    PresentedChallenge { identifier: challenge.name.clone(), token: challenge.token.clone() };
                put_in(ingress, &presented, *service_type, context.config.path_type, &context.http01.shard);
            }
        });
        if !found.await? {
            let words = format!(
                "Ingress {name}, which http01.ingress.name names, does not exist; create it, or name another"
            );
            missing.extend(challenges.iter().map(|(challenge, _)| challenge.unseen(words.clone())));
        }
    }
    Ok(missing)
}

/// Removes the paths of all challenges from the Ingresses that were edited for them.
///
/// # Errors
/// [`Error::EditIngress`]
pub async fn withdraw(
    context: &Context,
    namespace: &str,
    challenges: &[ChallengeStatus],
) -> Result<(), Error> {
    let edited: BTreeSet<&str> =
        challenges.iter().filter_map(|challenge| challenge.ingress.as_deref()).collect();
    let tokens: BTreeSet<&str> = challenges.iter().map(|challenge| challenge.token.as_str()).collect();
    for name in edited {
        edit(context, namespace, name, |ingress| take_out(ingress, &tokens)).await?;
    }
    Ok(())
}

/// Edits an Ingress, and repeats that after a conflict. Returns false if it does not exist.
async fn edit(
    context: &Context,
    namespace: &str,
    name: &str,
    change: impl Fn(&mut Ingress),
) -> Result<bool, Error> {
    let failed = |source| Error::EditIngress { name: name.to_owned(), source };
    let api = Api::<Ingress>::namespaced(context.client.clone(), namespace);
    // Certificates with the same Ingress would conflict.
    let shared = context.http01.namespace(namespace);
    let _turn = shared.lock().await;
    let mut edits = 0;
    loop {
        let Some(found) = api.get_opt(name).await.map_err(failed)? else { return Ok(false) };
        let mut edited = found.clone();
        change(&mut edited);
        if edited == found {
            return Ok(true);
        }
        // To the API, the rules are one list: it is replaced as a whole, but only if it is unchanged since it was read.
        let rules = edited.spec.and_then(|spec| spec.rules).filter(|rules| !rules.is_empty());
        let patch = json!({
            "metadata": { "resourceVersion": found.resource_version() },
            "spec": { "rules": rules },
        });
        context.metrics.api_written("Ingress", ApiVerb::Patch);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(name, &params, &Patch::Merge(&patch)).await {
            Ok(_) => return Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() && edits < MAX_EDITS => edits += 1,
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(false),
            Err(source) => return Err(failed(source)),
        }
    }
}
