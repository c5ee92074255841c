//! Puts http-01 answers where the CA will look, and takes them away again.
//!
//! Each Certificate under validation has Ingresses of its own. The Service and the EndpointSlices behind them are
//! shared by the Certificates of a namespace: the first makes them, the last removes them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex as AsyncMutex;

use super::context::Context;
use super::error::Error;
use super::issuer_record::IssuerId;
use crate::api::{self, Certificate, FIELD_MANAGER};
use crate::core::issuance::Challenged;
use crate::runtime::metrics::ApiVerb;
use crate::solver::http01::{
    CERTIFICATE_UID_LABEL, HTTP01_LABEL, IngressTemplate, Presentation, PresentedChallenge, ServiceType,
    endpoint_slices, ingress, service,
};

/// Who presents what.
#[derive(Default)]
pub struct Presenter {
    namespaces: Mutex<HashMap<String, Arc<AsyncMutex<Namespace>>>>,
    tokens: RwLock<Tokens>,
}

/// What this process did in a namespace.
#[derive(Default)]
struct Namespace {
    /// Uids of the Certificates that have answers presented.
    presenting: HashSet<String>,
    /// Uids of those that had; the cache may not show it yet.
    left: HashSet<String>,
    /// Services that are there.
    services: BTreeSet<ServiceType>,
}

#[derive(Default)]
struct Tokens {
    issuers: HashMap<String, IssuerId>,
    by_certificate: HashMap<String, Vec<String>>,
}

impl Presenter {
    /// The issuer whose account answers `token`.
    pub fn issuer_of(&self, token: &str) -> Option<IssuerId> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).issuers.get(token).cloned()
    }

    /// Answers the tokens in the status of a Certificate, and no others of it. Every replica does so.
    pub fn answer(&self, certificate: &Certificate) {
        let status = certificate.status.as_ref();
        let tokens: Vec<String> = status
            .iter()
            .flat_map(|status| &status.challenges)
            .map(|challenge| challenge.token.clone())
            .collect();
        self.set_tokens(&certificate.uid().unwrap_or_default(), tokens, &IssuerId::of(certificate));
    }

    /// No longer answers any token of the Certificate with this uid.
    pub fn forget(&self, uid: &str) {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner).replace(uid, Vec::new(), None);
    }

    /// Forgets what this process did: another replica may have done otherwise since.
    pub fn clear(&self) {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn set_tokens(&self, uid: &str, tokens: Vec<String>, issuer: &IssuerId) {
        let unchanged = {
            let known = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
            known.by_certificate.get(uid).map_or(tokens.is_empty(), |known| *known == tokens)
        };
        if !unchanged {
            self.tokens.write().unwrap_or_else(PoisonError::into_inner).replace(uid, tokens, Some(issuer));
        }
    }

    fn namespace(&self, namespace: &str) -> Arc<AsyncMutex<Namespace>> {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.entry(namespace.to_owned()).or_default().clone()
    }
}

impl Tokens {
    fn replace(&mut self, uid: &str, tokens: Vec<String>, issuer: Option<&IssuerId>) {
        for token in self.by_certificate.remove(uid).unwrap_or_default() {
            self.issuers.remove(&token);
        }
        if let Some(issuer) = issuer.filter(|_| !tokens.is_empty()) {
            self.issuers.extend(tokens.iter().map(|token| (token.clone(), issuer.clone())));
            self.by_certificate.insert(uid.to_owned(), tokens);
        }
    }
}

/// Presents the answers to `challenged`, all of the Certificate's at once.
///
/// # Errors
/// [`Error::Present`] or [`Error::ReadReplicas`]
pub async fn present(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
) -> Result<(), Error> {
    let namespace = certificate.namespace().unwrap_or_default();
    let presentations = presentations(context, certificate, challenged);
    let wanted: BTreeSet<ServiceType> = presentations.iter().map(|one| one.service_type).collect();
    let services = async {
        let shared = context.presenter.namespace(&namespace);
        let mut shared = shared.lock().await;
        let uid = certificate.uid().unwrap_or_default();
        shared.left.remove(&uid);
        shared.presenting.insert(uid);
        let missing: Vec<ServiceType> = wanted.difference(&shared.services).copied().collect();
        for service_type in missing {
            make_service(context, &namespace, service_type).await?;
            shared.services.insert(service_type);
        }
        Ok::<_, Error>(())
    };
    let ingresses =
        futures::future::try_join_all(presentations.iter().map(|presentation| async {
            apply(context, &namespace, "Ingress", ingress(presentation)).await
        }));
    futures::try_join!(services, ingresses)?;
    Ok(())
}

/// Removes what a Certificate presented, and what is shared if no other Certificate of the namespace needs it.
///
/// # Errors
/// [`Error::Withdraw`]
pub async fn withdraw(context: &Context, namespace: &str, uid: &str) -> Result<(), Error> {
    context.presenter.forget(uid);
    let own = ListParams::default().labels(&format!("{CERTIFICATE_UID_LABEL}={uid}"));
    let ingresses = delete_collection::<Ingress>(context, namespace, "Ingress", &own);
    futures::try_join!(ingresses, leave(context, namespace, uid))?;
    Ok(())
}

/// Removes what is shared if no Certificate of the namespace, other than the one with this uid, needs it.
///
/// # Errors
/// [`Error::Withdraw`]
pub async fn leave(context: &Context, namespace: &str, uid: &str) -> Result<(), Error> {
    let shared = context.presenter.namespace(namespace);
    let mut shared = shared.lock().await;
    shared.presenting.remove(uid);
    shared.left.insert(uid.to_owned());
    let recorded = |certificate: &Certificate| {
        let presents = certificate.status.as_ref().is_some_and(|status| !status.challenges.is_empty());
        presents && !certificate.metadata.uid.as_ref().is_some_and(|uid| shared.left.contains(uid))
    };
    // A Certificate that another leader began is not in `presenting`, but its status says so.
    let others = !shared.presenting.is_empty() || !context.cache.certificates(namespace, recorded).is_empty();
    if others {
        return Ok(());
    }
    let present = if shared.services.is_empty() {
        let ours = ListParams::default().labels(&format!("{HTTP01_LABEL}=true"));
        let api = Api::<Service>::namespaced(context.client.clone(), namespace);
        let list = api.list_metadata(&ours).await;
        let list = list.map_err(|source| Error::Withdraw { kind: "Service", source })?;
        list.items.iter().map(ResourceExt::name_any).collect()
    } else {
        shared.services.iter().map(|service| service.service_name().to_owned()).collect::<Vec<_>>()
    };
    // The EndpointSlices go with the Service, which owns them.
    for name in present {
        delete_service(context, namespace, &name).await?;
    }
    shared.services.clear();
    Ok(())
}

/// Removes what former leaders left in namespaces where no Certificate has answers presented.
///
/// # Errors
/// [`Error::Withdraw`]
pub async fn sweep(context: &Context) -> Result<(), Error> {
    let ours = ListParams::default().labels(&format!("{HTTP01_LABEL}=true"));
    let mut namespaces = BTreeSet::new();
    for scope in context.cache.scopes() {
        let api: Api<Service> = match &scope.namespace {
            Some(namespace) => Api::namespaced(context.client.clone(), namespace),
            None => Api::all(context.client.clone()),
        };
        let list =
            api.list_metadata(&ours).await.map_err(|source| Error::Withdraw { kind: "Service", source })?;
        namespaces.extend(list.items.iter().filter_map(ResourceExt::namespace));
    }
    for namespace in namespaces {
        leave(context, &namespace, "").await?;
    }
    Ok(())
}

fn presentations(
    context: &Context,
    certificate: &Certificate,
    challenged: &[Challenged],
) -> Vec<Presentation> {
    let mut by_ingress: BTreeMap<String, Presentation> = BTreeMap::new();
    for challenge in challenged {
        let spec = &challenge.ingress;
        let template = spec.ingress_template.clone().unwrap_or_default().metadata;
        let presentation = Presentation {
            namespace: certificate.namespace().unwrap_or_default(),
            certificate_name: certificate.name_any(),
            certificate_uid: certificate.uid().unwrap_or_default(),
            challenges: Vec::new(),
            ingress_class_name: spec.ingress_class_name.clone(),
            class: spec.class.clone(),
            template: IngressTemplate { labels: template.labels, annotations: template.annotations },
            service_type: match spec.service_type.unwrap_or_default() {
                api::ServiceType::ClusterIp => ServiceType::ClusterIp,
                api::ServiceType::NodePort => ServiceType::NodePort,
            },
            path_type: context.config.path_type,
        };
        by_ingress
            .entry(crate::solver::http01::ingress_name(&presentation))
            .or_insert(presentation)
            .challenges
            .push(PresentedChallenge { identifier: challenge.name.clone(), token: challenge.token.clone() });
    }
    by_ingress.into_values().collect()
}

async fn make_service(context: &Context, namespace: &str, service_type: ServiceType) -> Result<(), Error> {
    let port = context.config.responder_port;
    let addresses = replicas(context).await?;
    let made = apply(context, namespace, "Service", service(namespace, service_type, port)).await?;
    let uid = made.uid();
    for slice in endpoint_slices(namespace, service_type, uid.as_deref(), port, &addresses) {
        apply(context, namespace, "EndpointSlice", slice).await?;
    }
    Ok(())
}

/// The addresses of all replicas: those of the Service that Kubernetes keeps for them, and our own.
async fn replicas(context: &Context) -> Result<BTreeSet<IpAddr>, Error> {
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

async fn apply<K>(context: &Context, namespace: &str, kind: &'static str, object: K) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let name = object.name_any();
    let api = Api::<K>::namespaced(context.client.clone(), namespace);
    context.metrics.api_written(kind, ApiVerb::Patch);
    api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&object))
        .await
        .map_err(|source| Error::Present { kind, name, source })
}

async fn delete_collection<K>(
    context: &Context,
    namespace: &str,
    kind: &'static str,
    which: &ListParams,
) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(context.client.clone(), namespace);
    context.metrics.api_written(kind, ApiVerb::Delete);
    api.delete_collection(&DeleteParams::default(), which)
        .await
        .map(drop)
        .map_err(|source| Error::Withdraw { kind, source })
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
