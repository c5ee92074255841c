//! The watches and their cache: Certificates and issuers, and the metadata of our own Secrets.

mod watch;
mod watch_store;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};

use self::watch::follow;
pub use self::watch_store::Change;
use self::watch_store::WatchStore;
use super::api_server::ApiServer;
use super::issuer_record::{IssuerId, IssuerRecord};
use super::unreadable::Unreadable;
use crate::runtime::metrics::Metrics;
use crate::runtime::supervisor::Supervisor;
use certwright_api::{Certificate, ClusterIssuer, Issuer, IssuerKind, LABEL_SECRET};
use certwright_core::reading::{Fault, Readable, Reading};

/// What is watched.
pub struct Cache {
    client: Client,
    scopes: Vec<Scope>,
    cluster_wide: Option<ClusterWide>,
    unreadable: Arc<Unreadable>,
}

/// What is watched in addition if ClusterIssuers are served.
struct ClusterWide {
    cluster_issuers: Store<ClusterIssuer>,
    /// A ClusterIssuer may allow only some of them.
    namespaces: Store<PartialObjectMeta<Namespace>>,
}

/// What is watched in one namespace, or in all.
pub struct Scope {
    /// The namespace; `None` for all.
    pub namespace: Option<String>,
    /// The Certificates.
    pub certificates: Store<Certificate>,
    /// The Issuers.
    pub issuers: Store<Issuer>,
    secrets: Store<PartialObjectMeta<Secret>>,
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
}

/// Watches, such as those that fill a [`Cache`], with their names; they start when their observer is known.
pub struct Watches<O: ?Sized> {
    start: Vec<(String, Start<O>)>,
    api_server: ApiServer,
    unreadable: Arc<Unreadable>,
}

/// Starts a watch that notifies an observer.
type Start<O> = Box<dyn FnOnce(Arc<O>) -> BoxFuture<'static, ()> + Send>;

impl Cache {
    /// A cache of `namespaces` (empty for all), and the watches that fill it.
    pub fn new(
        client: &Client,
        api_server: &ApiServer,
        namespaces: &[String],
        cluster_issuers: bool,
        metrics: &Metrics,
    ) -> (Self, Watches<dyn WatchHandler>) {
        let unreadable = Arc::new(Unreadable::new(metrics.clone()));
        let mut watches = Watches::new(api_server, unreadable.clone());
        let scopes = match namespaces {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        let scopes = scopes.into_iter().map(|namespace| watches.scope(client, namespace)).collect();
        let cluster_wide = cluster_issuers.then(|| ClusterWide {
            cluster_issuers: watches.add(
                Api::all(client.clone()),
                watcher::Config::default(),
                |to, change| to.cluster_issuer(change),
            ),
            namespaces: watches
                .add(Api::all(client.clone()), watcher::Config::default(), |to, change| to.namespace(change)),
        });
        (Self { client: client.clone(), scopes, cluster_wide, unreadable }, watches)
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
    pub fn cluster_issuers(&self) -> Option<&Store<ClusterIssuer>> {
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
        let found = namespaces.and_then(|namespaces| namespaces.get(&ObjectRef::new(namespace)));
        found.map(|found| found.labels().clone()).unwrap_or_default()
    }

    /// Whether a namespace is being deleted. This is unknown if ClusterIssuers are not served.
    pub fn namespace_is_ending(&self, namespace: &str) -> bool {
        let namespaces = self.cluster_wide.as_ref().map(|wide| &wide.namespaces);
        let found = namespaces.and_then(|namespaces| namespaces.get(&ObjectRef::new(namespace)));
        found.is_some_and(|found| found.metadata.deletion_timestamp.is_some())
    }

    /// Waits until all initial lists are complete.
    pub async fn ready(&self) {
        for scope in &self.scopes {
            // This fails only if the watch has ended, which does not happen.
            let _ = scope.certificates.wait_until_ready().await;
            let _ = scope.issuers.wait_until_ready().await;
            let _ = scope.secrets.wait_until_ready().await;
        }
        if let Some(wide) = &self.cluster_wide {
            let _ = wide.cluster_issuers.wait_until_ready().await;
            let _ = wide.namespaces.wait_until_ready().await;
        }
    }

    /// The Certificates of `namespace` that match `which`.
    pub fn certificates(
        &self,
        namespace: &str,
        which: impl Fn(&Certificate) -> bool,
    ) -> Vec<Arc<Certificate>> {
        let here = |certificate: &Certificate| {
            certificate.metadata.namespace.as_deref() == Some(namespace) && which(certificate)
        };
        self.scope(namespace).map(|scope| scope.certificates.state_filter(here)).unwrap_or_default()
    }

    /// The current version of the same Certificate.
    pub fn same_certificate(&self, certificate: &Certificate) -> Option<Arc<Certificate>> {
        let scope = self.scope(certificate.metadata.namespace.as_deref()?)?;
        let found = scope.certificates.get(&ObjectRef::from_obj(certificate))?;
        (found.metadata.uid == certificate.metadata.uid).then_some(found)
    }

    /// Whether the Certificate with this uid exists, and is not being deleted.
    pub fn has_certificate(&self, namespace: &str, name: &str, uid: &str) -> bool {
        let reference = ObjectRef::new(name).within(namespace);
        let found = self.scope(namespace).and_then(|scope| scope.certificates.get(&reference));
        found.is_some_and(|found| {
            found.metadata.uid.as_deref() == Some(uid) && found.metadata.deletion_timestamp.is_none()
        })
    }

    /// Whether the Certificate with this uid is being deleted and still has a finalizer.
    pub fn is_being_deleted(&self, namespace: &str, name: &str, uid: &str) -> bool {
        let reference = ObjectRef::new(name).within(namespace);
        let found = self.scope(namespace).and_then(|scope| scope.certificates.get(&reference));
        found.is_some_and(|found| {
            found.metadata.uid.as_deref() == Some(uid) && found.metadata.deletion_timestamp.is_some()
        })
    }

    /// The Certificates that name `issuer`.
    pub fn certificates_of(&self, issuer: &IssuerId) -> Vec<Arc<Certificate>> {
        let names = |certificate: &Certificate| {
            let reference = &certificate.spec.issuer_ref;
            reference.kind == issuer.kind
                && reference.name == issuer.name
                && issuer
                    .namespace
                    .as_ref()
                    .is_none_or(|own| certificate.metadata.namespace.as_ref() == Some(own))
        };
        self.scopes.iter().flat_map(|scope| scope.certificates.state_filter(names)).collect()
    }

    /// An issuer.
    pub fn issuer(&self, id: &IssuerId) -> Option<IssuerRecord> {
        match (id.kind, &id.namespace) {
            (IssuerKind::Issuer, Some(namespace)) => {
                let issuers = &self.scope(namespace)?.issuers;
                let issuer = issuers.get(&ObjectRef::new(&id.name).within(namespace))?;
                Some(IssuerRecord::from(&*issuer))
            }
            (IssuerKind::ClusterIssuer, _) => {
                let issuer = self.cluster_issuers()?.get(&ObjectRef::new(&id.name))?;
                Some(IssuerRecord::from(&*issuer))
            }
            (IssuerKind::Issuer, None) => None,
        }
    }

    /// All issuers, of either kind.
    pub fn issuers(&self) -> Vec<IssuerRecord> {
        let issuers = self.scopes.iter().flat_map(|scope| scope.issuers.state());
        let cluster_issuers = self.cluster_issuers().into_iter().flat_map(Store::state);
        let issuers = issuers.map(|issuer| IssuerRecord::from(&*issuer));
        issuers.chain(cluster_issuers.map(|issuer| IssuerRecord::from(&*issuer))).collect()
    }

    /// Whether one of our own Secrets of this name exists.
    pub fn has_secret(&self, namespace: &str, name: &str) -> bool {
        let reference = ObjectRef::new(name).within(namespace);
        self.scope(namespace).is_some_and(|scope| scope.secrets.get(&reference).is_some())
    }

    fn scope(&self, namespace: &str) -> Option<&Scope> {
        self.scopes.iter().find(|scope| scope.namespace.as_deref().is_none_or(|own| own == namespace))
    }
}

impl Watches<dyn WatchHandler> {
    fn scope(&mut self, client: &Client, namespace: Option<String>) -> Scope {
        let of = namespace.as_deref();
        Scope {
            certificates: self
                .add(api(client, of), watcher::Config::default(), |to, change| to.certificate(change)),
            issuers: self.add(api(client, of), watcher::Config::default(), |to, change| to.issuer(change)),
            secrets: self.add(
                api(client, of),
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
        Self { start: Vec::new(), api_server: api_server.clone(), unreadable }
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
    ) -> Store<K>
    where
        K: Readable + Clone + Debug + Send + Sync + 'static,
    {
        let (reader, writer) = store();
        let watch_store = WatchStore::new(reader.clone(), writer, self.unreadable.clone());
        let api_server = self.api_server.clone();
        let name = format!("watch of {}", K::plural(&()));
        let watch: Start<O> =
            Box::new(move |observer| Box::pin(follow(api, which, watch_store, observer, tell, api_server)));
        self.start.push((name, watch));
        reader
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
