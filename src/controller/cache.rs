//! The watches and their cache: Certificates and issuers, and the metadata of our own Secrets.

mod form;
mod held;
mod objects;
mod packed;
mod watch;
mod watch_store;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};

pub use self::held::{Held, Index};
pub use self::objects::Objects;
use self::watch::follow;
pub use self::watch_store::Change;
use self::watch_store::WatchStore;
use super::api_server::ApiServer;
use super::config::Config;
use super::issuer_record::{IssuerId, IssuerRecord};
use super::unreadable::Unreadable;
use crate::runtime::metrics::Metrics;
use certwright_api::{Certificate, ClusterIssuer, Issuer, IssuerKind, LABEL_SECRET};
use certwright_core::reading::{Fault, Reading};
use certwright_core::shard::ShardSelector;
use certwright_runtime::api_server::metadata_only;
use certwright_runtime::supervisor::Supervisor;

/// The label with the Service that an EndpointSlice belongs to.
const LABEL_SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What is watched.
pub struct Cache {
    client: Client,
    scopes: Vec<Scope>,
    cluster_wide: Option<ClusterWide>,
    replicas: Option<Arc<Objects<EndpointSlice>>>,
    unreadable: Arc<Unreadable>,
}

/// What is watched in addition if ClusterIssuers are served.
struct ClusterWide {
    cluster_issuers: Arc<Objects<ClusterIssuer>>,
    /// A ClusterIssuer may allow only some of them.
    namespaces: Arc<Objects<PartialObjectMeta<Namespace>>>,
}

/// What is watched in one namespace, or in all.
pub struct Scope {
    /// The namespace; `None` for all.
    pub namespace: Option<String>,
    /// The Certificates.
    pub certificates: Arc<Objects<Certificate>>,
    /// The Issuers.
    pub issuers: Arc<Objects<Issuer>>,
    secrets: Arc<Objects<PartialObjectMeta<Secret>>>,
}

/// Receives changes.
pub trait WatchHandler: Send + Sync + 'static {
    /// A Certificate has changed.
    fn certificate(&self, change: Change<Certificate>);
    /// An Issuer has changed.
    fn issuer(&self, change: Change<Issuer>);
    /// A ClusterIssuer has changed.
    fn cluster_issuer(&self, change: Change<ClusterIssuer>);
    /// One of our own Secrets has changed.
    fn secret(&self, change: Change<PartialObjectMeta<Secret>>);
    /// A namespace has changed.
    fn namespace(&self, change: Change<PartialObjectMeta<Namespace>>);
    /// The endpoints of the operator's replicas have changed.
    fn replicas(&self, change: Change<EndpointSlice>);
}

/// Watches, such as those that fill a [`Cache`], with their names; they start when their observer is known.
pub struct Watches<O: ?Sized> {
    start: Vec<(String, Start<O>)>,
    api_server: ApiServer,
    unreadable: Arc<Unreadable>,
    /// Names of annotations that are kept, besides those that each kind needs.
    also: Arc<[String]>,
}

/// Starts a watch that notifies an observer.
type Start<O> = Box<dyn FnOnce(Arc<O>) -> BoxFuture<'static, ()> + Send>;

impl Cache {
    /// A cache of what the operator serves, and the watches that fill it. It has the Certificates of its shard, and all issuers.
    pub fn new(
        client: &Client,
        api_server: &ApiServer,
        config: &Config,
        metrics: &Metrics,
    ) -> (Self, Watches<dyn WatchHandler>) {
        let unreadable = Arc::new(Unreadable::new(metrics.clone()));
        let mut watches = Watches::new(api_server, unreadable.clone());
        let scopes = match config.watch_namespaces.as_slice() {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        let scopes =
            scopes.into_iter().map(|namespace| watches.scope(client, namespace, &config.shard)).collect();
        let cluster_wide = config.cluster_issuers.then(|| ClusterWide {
            cluster_issuers: watches.add(
                Api::all(client.clone()),
                watcher::Config::default(),
                |to, change| to.cluster_issuer(change),
            ),
            namespaces: watches.add(
                Api::all(metadata_only(client)),
                watcher::Config::default(),
                |to, change| to.namespace(change),
            ),
        });
        let replicas = config.responder_service.as_ref().map(|service| {
            let of_service = watcher::Config::default().labels(&format!("{LABEL_SERVICE_NAME}={service}"));
            watches.add(api(client, Some(&config.namespace)), of_service, |to, change| to.replicas(change))
        });
        (Self { client: client.clone(), scopes, cluster_wide, replicas, unreadable }, watches)
    }

    /// The client for watches, which allows long silence.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The namespaces that are watched.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The ClusterIssuers, if they are served.
    pub fn cluster_issuers(&self) -> Option<&Arc<Objects<ClusterIssuer>>> {
        self.cluster_wide.as_ref().map(|wide| &wide.cluster_issuers)
    }

    /// The objects that cannot be read.
    pub fn unreadable(&self) -> &Arc<Unreadable> {
        &self.unreadable
    }

    /// Why an issuer cannot be used, if it exists and cannot be read.
    pub fn issuer_fault(&self, id: &IssuerId) -> Option<Fault> {
        self.unreadable.fault(id.kind.as_str(), id.namespace.as_deref(), &id.name)
    }

    /// Whether there is a Certificate of this name that cannot be read.
    pub fn has_unreadable_certificate(&self, namespace: &str, name: &str) -> bool {
        self.unreadable.fault("Certificate", Some(namespace), name).is_some()
    }

    /// The labels of a namespace; none, if it is not known.
    pub fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let namespaces = self.cluster_wide.as_ref().map(|wide| &wide.namespaces);
        let found = namespaces.and_then(|namespaces| namespaces.get("", namespace));
        found.map(|found| found.labels().clone()).unwrap_or_default()
    }

    /// Whether a namespace is being deleted. This is unknown if ClusterIssuers are not served.
    pub fn namespace_is_ending(&self, namespace: &str) -> bool {
        let namespaces = self.cluster_wide.as_ref().map(|wide| &wide.namespaces);
        let found = namespaces.and_then(|namespaces| namespaces.get("", namespace));
        found.is_some_and(|found| found.metadata.deletion_timestamp.is_some())
    }

    /// Waits until all initial lists are complete.
    pub async fn ready(&self) {
        for scope in &self.scopes {
            scope.certificates.ready().await;
            scope.issuers.ready().await;
            scope.secrets.ready().await;
        }
        if let Some(wide) = &self.cluster_wide {
            wide.cluster_issuers.ready().await;
            wide.namespaces.ready().await;
        }
        if let Some(replicas) = &self.replicas {
            replicas.ready().await;
        }
    }

    /// A Certificate.
    pub fn certificate(&self, namespace: &str, name: &str) -> Option<Arc<Certificate>> {
        self.scope(namespace)?.certificates.get(namespace, name)
    }

    /// The current version of the same Certificate.
    pub fn same_certificate(&self, certificate: &Arc<Certificate>) -> Option<Arc<Certificate>> {
        self.scope(certificate.metadata.namespace.as_deref()?)?.certificates.current(certificate)
    }

    /// The other Certificates that name the Secret of this one.
    pub fn others_with_secret_of(&self, certificate: &Certificate) -> Vec<Arc<Certificate>> {
        let namespace = certificate.metadata.namespace.as_deref().unwrap_or_default();
        let index = Index::Secret(namespace, &certificate.spec.secret_name);
        let scope = self.scope(namespace);
        scope.map(|scope| scope.certificates.others_indexed(&index, certificate)).unwrap_or_default()
    }

    /// Whether the Certificate with this uid exists.
    pub fn knows_certificate(&self, namespace: &str, name: &str, uid: &str) -> bool {
        self.is_being_deleted(namespace, name, uid).is_some()
    }

    /// Whether the Certificate with this uid exists and is not being deleted.
    pub fn has_certificate(&self, namespace: &str, name: &str, uid: &str) -> bool {
        self.is_being_deleted(namespace, name, uid) == Some(false)
    }

    fn is_being_deleted(&self, namespace: &str, name: &str, uid: &str) -> Option<bool> {
        self.scope(namespace)?.certificates.is_being_deleted(namespace, name, uid)
    }

    /// The Certificates of all namespaces that have this index value.
    pub fn certificates(&self, index: &Index<'_>) -> Vec<Arc<Certificate>> {
        self.scopes.iter().flat_map(|scope| scope.certificates.indexed(index)).collect()
    }

    /// Whether there is such a Certificate.
    pub fn has_certificates(&self, index: &Index<'_>) -> bool {
        self.scopes.iter().any(|scope| scope.certificates.has_indexed(index))
    }

    /// The endpoints of the operator's replicas, if it has a Service.
    pub fn replicas(&self) -> Vec<Arc<EndpointSlice>> {
        self.replicas.as_ref().map(|replicas| replicas.all()).unwrap_or_default()
    }

    /// An issuer.
    pub fn issuer(&self, id: &IssuerId) -> Option<IssuerRecord> {
        match (id.kind, &id.namespace) {
            (IssuerKind::Issuer, Some(namespace)) => {
                let issuer = self.scope(namespace)?.issuers.get(namespace, &id.name)?;
                Some(IssuerRecord::from(&*issuer))
            }
            (IssuerKind::ClusterIssuer, _) => {
                let issuer = self.cluster_issuers()?.get("", &id.name)?;
                Some(IssuerRecord::from(&*issuer))
            }
            (IssuerKind::Issuer, None) => None,
        }
    }

    /// The issuers whose account key is in this Secret. Those of ClusterIssuers are in `own_namespace`.
    pub fn issuers_of_secret(&self, namespace: &str, name: &str, own_namespace: &str) -> Vec<IssuerRecord> {
        let index = Index::AccountSecret(name.to_owned());
        let issuers = self.scope(namespace).map(|scope| scope.issuers.indexed(&index)).unwrap_or_default();
        let issuers = issuers.iter().filter(|issuer| issuer.metadata.namespace.as_deref() == Some(namespace));
        let cluster_issuers = self.cluster_issuers().filter(|_| namespace == own_namespace);
        let cluster_issuers = cluster_issuers.map(|issuers| issuers.indexed(&index)).unwrap_or_default();
        let issuers = issuers.map(|issuer| IssuerRecord::from(&**issuer));
        issuers.chain(cluster_issuers.iter().map(|issuer| IssuerRecord::from(&**issuer))).collect()
    }

    /// All issuers, of either kind.
    pub fn issuers(&self) -> Vec<IssuerRecord> {
        let issuers = self.scopes.iter().flat_map(|scope| scope.issuers.all());
        let cluster_issuers = self.cluster_issuers().into_iter().flat_map(|issuers| issuers.all());
        let issuers = issuers.map(|issuer| IssuerRecord::from(&*issuer));
        issuers.chain(cluster_issuers.map(|issuer| IssuerRecord::from(&*issuer))).collect()
    }

    /// Whether one of our own Secrets of this name exists.
    pub fn has_secret(&self, namespace: &str, name: &str) -> bool {
        self.scope(namespace).is_some_and(|scope| scope.secrets.has(namespace, name))
    }

    /// The `resourceVersion` of one of our own Secrets.
    pub fn secret_version(&self, namespace: &str, name: &str) -> Option<String> {
        self.scope(namespace)?.secrets.get(namespace, name)?.resource_version()
    }

    fn scope(&self, namespace: &str) -> Option<&Scope> {
        self.scopes.iter().find(|scope| scope.namespace.as_deref().is_none_or(|own| own == namespace))
    }
}

impl Watches<dyn WatchHandler> {
    fn scope(&mut self, client: &Client, namespace: Option<String>, shard: &ShardSelector) -> Scope {
        let of = namespace.as_deref();
        Scope {
            certificates: self
                .add(api(client, of), labelled(&[], shard), |to, change| to.certificate(change)),
            issuers: self.add(api(client, of), watcher::Config::default(), |to, change| to.issuer(change)),
            secrets: self.add(
                api(&metadata_only(client), of),
                watcher::Config::default().labels(LABEL_SECRET),
                |to, change| to.secret(change),
            ),
            namespace,
        }
    }
}

impl<O: ?Sized> Watches<O> {
    /// No watches yet. Objects that cannot be read are recorded in `unreadable`.
    pub fn new(api_server: &ApiServer, unreadable: Arc<Unreadable>) -> Self {
        Self { start: Vec::new(), api_server: api_server.clone(), unreadable, also: Arc::default() }
    }

    /// Also keeps annotations with these names.
    pub fn keeping(self, annotations: &[String]) -> Self {
        Self { also: annotations.into(), ..self }
    }
}

impl<O: ?Sized + Send + Sync + 'static> Watches<O> {
    /// Starts the watches.
    pub fn spawn(self, observer: &Arc<O>, tasks: &mut Supervisor) {
        for (name, watch) in self.start {
            tasks.spawn(name, watch(observer.clone()));
        }
    }

    /// Adds a watch that calls `tell` for its changes.
    pub fn add<K>(
        &mut self,
        api: Api<Reading<K>>,
        which: watcher::Config,
        tell: fn(&O, Change<K>),
    ) -> Arc<Objects<K>>
    where
        K: Held,
    {
        let objects = Arc::new(Objects::new(self.unreadable.metrics().cache_lookups(&K::kind(&()))));
        let watch_store = WatchStore::new(objects.clone(), self.unreadable.clone(), self.also.clone());
        let api_server = self.api_server.clone();
        let name = format!("watch of {}", K::plural(&()));
        let watch: Start<O> =
            Box::new(move |observer| Box::pin(follow(api, which, watch_store, observer, tell, api_server)));
        self.start.push((name, watch));
        objects
    }
}

/// A watch of the objects of a shard that also fulfil these requirements for labels.
pub fn labelled(requirements: &[&str], shard: &ShardSelector) -> watcher::Config {
    let shard = shard.to_string();
    let all: Vec<&str> =
        requirements.iter().copied().chain([shard.as_str()]).filter(|one| !one.is_empty()).collect();
    match all.is_empty() {
        true => watcher::Config::default(),
        false => watcher::Config::default().labels(&all.join(",")),
    }
}

/// The objects of a kind in a namespace, or in all.
pub fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
