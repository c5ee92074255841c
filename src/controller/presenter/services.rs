//! The Service and the EndpointSlices of a namespace, which lead to the operator's replicas: the first Certificate that
//! presents something creates them, the last one removes them. Each shard has its own.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};

use super::objects::apply;
use crate::controller::cache::Index;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::runtime::metrics::ApiVerb;
use certwright_api::Certificate;
use certwright_core::issuance::has_service;
use certwright_core::reading::Reading;
use certwright_runtime::clock;
use certwright_solver::http01::{Backend, endpoint_slices, service};

/// So many Certificates that have left are remembered before it is looked which of them may be forgotten.
const MANY_LEFT: usize = 256;

/// How long the addresses of the replicas are not read again.
const FRESH: Duration = Duration::from_secs(1);

/// A Service in a list.
type Found = Reading<PartialObjectMeta<Service>>;

/// Creates missing Services, leads those that exist to the replicas that there are now, and records that the Certificate needs
/// them. Returns false if the Certificate is deleted.
///
/// # Errors
/// [`Error::Present`] or [`Error::ReadReplicas`]
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
    let addresses = replicas(context).await?;
    let mut missing: BTreeSet<Backend> = wanted.difference(&shared.services).copied().collect();
    if shared.addresses != addresses {
        missing.extend(&shared.services);
    }
    for backend in missing {
        make_service(context, &namespace, backend, &addresses).await?;
        shared.services.insert(backend);
    }
    shared.addresses = addresses;
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
    if others {
        return Ok(());
    }
    let present = if shared.services.is_empty() {
        let ours = ListParams::default().labels(&context.http01.shard.selector());
        let api = Api::<Found>::namespaced(context.client.clone(), namespace);
        let list = api.list(&ours).await;
        let list = list.map_err(|source| Error::Withdraw { kind: "Service", source })?;
        list.items.iter().map(ResourceExt::name_any).collect()
    } else {
        let name = |backend: &Backend| context.http01.shard.service_name(*backend);
        shared.services.iter().map(name).collect::<Vec<_>>()
    };
    // The EndpointSlices go with the Service, which owns them.
    for name in present {
        delete_service(context, namespace, &name).await?;
    }
    shared.services.clear();
    Ok(())
}

/// Removes leftovers of former leaders in namespaces where no Certificate has answers presented.
///
/// # Errors
/// [`Error::Withdraw`]
pub async fn sweep(context: &Context) -> Result<(), Error> {
    let ours = ListParams::default().labels(&context.http01.shard.selector());
    let mut namespaces = BTreeSet::new();
    for scope in context.cache.scopes() {
        let api: Api<Found> = match &scope.namespace {
            Some(namespace) => Api::namespaced(context.client.clone(), namespace),
            None => Api::all(context.client.clone()),
        };
        let list = api.list(&ours).await.map_err(|source| Error::Withdraw { kind: "Service", source })?;
        namespaces.extend(list.items.iter().filter_map(ResourceExt::namespace));
    }
    // A failure in one namespace does not affect others.
    let mut outcome = Ok(());
    for namespace in namespaces {
        outcome = outcome.and(leave(context, &namespace, "").await);
    }
    outcome
}

async fn make_service(
    context: &Context,
    namespace: &str,
    backend: Backend,
    addresses: &BTreeSet<IpAddr>,
) -> Result<(), Error> {
    let port = match backend {
        Backend::Http01(_) => context.config.responder_ports.http01,
        Backend::TlsAlpn01(_) => context.config.responder_ports.tls_alpn01,
    };
    let shard = &context.http01.shard;
    let made = apply(context, namespace, "Service", service(namespace, backend, port, shard)).await?;
    let uid = made.uid();
    for slice in endpoint_slices(namespace, backend, uid.as_deref(), port, addresses, shard) {
        apply(context, namespace, "EndpointSlice", slice).await?;
    }
    Ok(())
}

/// The addresses of all replicas, which are read again when they are not [`FRESH`].
async fn replicas(context: &Context) -> Result<BTreeSet<IpAddr>, Error> {
    let mut known = context.http01.replicas.lock().await;
    let now = clock::instant();
    if let Some((at, addresses)) = &*known
        && now.saturating_duration_since(*at) < FRESH
    {
        return Ok(addresses.clone());
    }
    let addresses = read_replicas(context).await?;
    *known = Some((now, addresses.clone()));
    Ok(addresses)
}

/// The addresses of all replicas: the endpoints of their Service, and our own.
async fn read_replicas(context: &Context) -> Result<BTreeSet<IpAddr>, Error> {
    let mut addresses: BTreeSet<IpAddr> = context.config.advertise.iter().copied().collect();
    if let Some(name) = &context.config.responder_service {
        let api = Api::<EndpointSlice>::namespaced(context.client.clone(), &context.config.namespace);
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let slices = api
            .list(&of_service)
            .await
            .map_err(|source| Error::ReadReplicas { service: name.clone(), source })?;
        let ready = slices
            .items
            .into_iter()
            .flat_map(|slice| slice.endpoints)
            .filter(|endpoint| endpoint.conditions.as_ref().and_then(|known| known.ready) != Some(false));
        addresses.extend(
            ready.flat_map(|endpoint| endpoint.addresses).filter_map(|text| text.parse::<IpAddr>().ok()),
        );
    }
    Ok(addresses)
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
