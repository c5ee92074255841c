//! The Service and the EndpointSlices of a namespace, which lead to the operator's replicas: the first Certificate that
//! presents something creates them, the last one removes them. Each shard has its own.

use std::collections::{BTreeSet, HashSet};

use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};

use super::objects::apply;
use crate::controller::cache::{Index, api};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::http01_state::{Namespace, SharedService};
use crate::runtime::metrics::ApiVerb;
use certwright_api::Certificate;
use certwright_core::issuance::has_service;
use certwright_core::reading::Reading;
use certwright_solver::http01::{Backend, endpoint_slices, responders, service};

/// So many Certificates that have left are remembered before it is looked which of them may be forgotten.
const MANY_LEFT: usize = 256;

/// A Service in a list.
type Found = Reading<PartialObjectMeta<Service>>;

/// Creates missing Services, leads those that exist to the replicas that there are now, and records that the Certificate needs
/// them. Returns false if the Certificate is deleted.
///
/// # Errors
/// [`Error::Present`]
pub async fn enter(
    context: &Context,
    certificate: &Certificate,
    wanted: &BTreeSet<Backend>,
) -> Result<bool, Error> {
    let (namespace, name) = (certificate.namespace().unwrap_or_default(), certificate.name_any());
    let uid = certificate.uid().unwrap_or_default();
    let exists = || context.cache.has_certificate(&namespace, &name, &uid);
    let shared = context.http01.namespace(&namespace);
    let mut shared = shared.lock().await;
    // Its withdrawal may have had the lock before.
    if !exists() {
        return Ok(false);
    }
    shared.left.remove(&uid);
    shared.presenting.insert(uid.clone());
    provide(context, &namespace, &mut shared, wanted).await?;
    Ok(exists())
}

/// Removes the shared objects if no other Certificate of the namespace needs them.
///
/// # Errors
/// [`Error::Withdraw`]
pub async fn leave(context: &Context, namespace: &str, uid: &str) -> Result<(), Error> {
    let shared = context.http01.namespace(namespace);
    let mut shared = shared.lock().await;
    shared.presenting.remove(uid);
    shared.left.insert(uid.to_owned());
    // Only the last one has to look at all others.
    if !shared.presenting.is_empty() && shared.left.len() < MANY_LEFT {
        return Ok(());
    }
    if is_used(context, namespace, &mut shared) {
        return Ok(());
    }
    let present = match shared.services.is_empty() {
        true => existing(context, namespace).await?,
        false => shared.services.keys().copied().collect(),
    };
    remove(context, namespace, &mut shared, &present).await
}

/// Whether a Certificate of a namespace has answers presented.
fn is_used(context: &Context, namespace: &str, shared: &mut Namespace) -> bool {
    let presents = |certificate: &Certificate| {
        let challenges = certificate.status.iter().flat_map(|status| &status.challenges);
        challenges.into_iter().any(has_service)
    };
    let recorded = context.cache.certificates(&Index::Presenting(namespace));
    let recorded = recorded.iter().filter(|certificate| presents(certificate));
    let recorded: HashSet<String> = recorded.filter_map(|certificate| certificate.uid()).collect();
    // A Certificate that another leader started is not in `presenting`, but its status shows it.
    let others = !shared.presenting.is_empty() || !recorded.is_subset(&shared.left);
    shared.left.retain(|left| recorded.contains(left));
    others
}

/// Removes the shared objects of a namespace. The EndpointSlices go with the Services, which own them.
async fn remove(
    context: &Context,
    namespace: &str,
    shared: &mut Namespace,
    services: &[Backend],
) -> Result<(), Error> {
    for backend in services {
        delete_service(context, namespace, &context.http01.shard.service_name(*backend)).await?;
    }
    shared.services.clear();
    Ok(())
}

/// Takes over what former leaders left: Services where no Certificate has answers presented are removed, and the others lead to the
/// replicas that there are now.
///
/// # Errors
/// [`Error::Withdraw`] or [`Error::Present`]
pub async fn take_over(context: &Context) -> Result<(), Error> {
    let mut namespaces = BTreeSet::new();
    for scope in context.cache.scopes() {
        let list = list_services(context, scope.namespace.as_deref()).await?;
        namespaces.extend(list.iter().filter_map(ResourceExt::namespace));
    }
    // A failure in one namespace does not affect others.
    let mut outcome = Ok(());
    for namespace in namespaces {
        outcome = outcome.and(take_over_in(context, &namespace).await);
    }
    outcome
}

async fn take_over_in(context: &Context, namespace: &str) -> Result<(), Error> {
    let shared = context.http01.namespace(namespace);
    let mut shared = shared.lock().await;
    // Only now: those that were listed before may have been removed since.
    let existing = existing(context, namespace).await?;
    if is_used(context, namespace, &mut shared) {
        provide(context, namespace, &mut shared, &existing).await
    } else {
        remove(context, namespace, &mut shared, &existing).await
    }
}

/// The Services of a namespace, whoever created them.
async fn existing(context: &Context, namespace: &str) -> Result<Vec<Backend>, Error> {
    let services = list_services(context, Some(namespace)).await?;
    let backend = |service: &Found| context.http01.shard.backend(&service.name_any());
    Ok(services.iter().filter_map(backend).collect())
}

async fn list_services(context: &Context, namespace: Option<&str>) -> Result<Vec<Found>, Error> {
    let ours = ListParams::default().labels(&context.http01.shard.selector());
    let list = api::<Found>(&context.client, namespace).list(&ours).await;
    Ok(list.map_err(|source| Error::Withdraw { kind: "Service", source })?.items)
}

/// Leads all Services to the replicas that there are now.
///
/// # Errors
/// [`Error::Present`]
pub async fn follow_replicas(context: &Context) -> Result<(), Error> {
    let mut outcome = Ok(());
    for namespace in context.http01.namespaces() {
        let shared = context.http01.namespace(&namespace);
        let mut shared = shared.lock().await;
        outcome = outcome.and(lead(context, &namespace, &mut shared).await);
    }
    outcome
}

/// Creates missing Services, and leads all of the namespace to the replicas that there are now.
async fn provide(
    context: &Context,
    namespace: &str,
    shared: &mut Namespace,
    wanted: impl IntoIterator<Item = &Backend>,
) -> Result<(), Error> {
    for backend in wanted {
        if !shared.services.contains_key(backend) {
            let made = service(namespace, *backend, port(context, *backend), &context.http01.shard);
            let uid = apply(context, namespace, "Service", made).await?.uid();
            shared.services.insert(*backend, SharedService { uid, addresses: BTreeSet::new() });
        }
    }
    lead(context, namespace, shared).await
}

/// Leads the Services of a namespace to the replicas that there are now.
async fn lead(context: &Context, namespace: &str, shared: &mut Namespace) -> Result<(), Error> {
    let replicas = context.cache.replicas();
    let addresses = responders(&context.config.advertise, replicas.iter().map(|slice| &**slice));
    for (backend, service) in &mut shared.services {
        if service.addresses == addresses {
            continue;
        }
        let (uid, port) = (service.uid.as_deref(), port(context, *backend));
        for slice in endpoint_slices(namespace, *backend, uid, port, &addresses, &context.http01.shard) {
            apply(context, namespace, "EndpointSlice", slice).await?;
        }
        service.addresses.clone_from(&addresses);
    }
    Ok(())
}

fn port(context: &Context, backend: Backend) -> u16 {
    match backend {
        Backend::Http01(_) => context.config.responder_ports.http01,
        Backend::TlsAlpn01(_) => context.config.responder_ports.tls_alpn01,
    }
}

async fn delete_service(context: &Context, namespace: &str, name: &str) -> Result<(), Error> {
    let api = Api::<Service>::namespaced(context.client.clone(), namespace);
    context.metrics.api_written("Service", ApiVerb::Delete);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(Error::Withdraw { kind: "Service", source }),
    }
}
