//! The issuer that a command is about: how it is chosen, its state, and requests to the operator by an annotation.

use std::collections::BTreeMap;
use std::fmt::Debug;

use clap::{Args, Subcommand};
use kube::{Api, Client};

use super::outlook::named;
use super::wait::{Wait, WaitStatus};
use super::{Cluster, Error, Exit, print};
use crate::controller::issuer_record::{IssuerId, IssuerRecord};
use certwright_api::{AnyIssuer, ClusterIssuer, Issuer, IssuerKind, IssuerStatus};
use certwright_core::reading::{Readable, Reading};

/// Which kind of issuer, as a subcommand.
#[derive(Clone, Debug, Subcommand)]
pub enum OfIssuer<A: Args> {
    /// An Issuer.
    Issuer(A),
    /// A ClusterIssuer.
    Clusterissuer(A),
}

impl<A: Args> OfIssuer<A> {
    /// The kind, and the other arguments.
    pub fn split(self) -> (IssuerKind, A) {
        match self {
            Self::Issuer(arguments) => (IssuerKind::Issuer, arguments),
            Self::Clusterissuer(arguments) => (IssuerKind::ClusterIssuer, arguments),
        }
    }
}

/// A kind of issuer that can be read from the API server.
pub trait IssuerApi: AnyIssuer + Readable + Clone + Debug + Send + 'static {
    /// Where they are: a namespace matters to Issuers only.
    fn api(client: Client, namespace: &str) -> Api<Reading<Self>>;
}

impl IssuerApi for Issuer {
    fn api(client: Client, namespace: &str) -> Api<Reading<Self>> {
        Api::namespaced(client, namespace)
    }
}

impl IssuerApi for ClusterIssuer {
    fn api(client: Client, _namespace: &str) -> Api<Reading<Self>> {
        Api::all(client)
    }
}

/// An issuer of either kind.
pub struct ChosenIssuer<'a> {
    cluster: &'a Cluster,
    /// Which one.
    pub id: IssuerId,
    /// Its kind and name, in messages.
    pub called: String,
}

impl<'a> ChosenIssuer<'a> {
    /// The issuer with this name, in the selected namespace if it is an Issuer. Sends no request yet.
    pub fn new(kind: IssuerKind, name: String, cluster: &'a Cluster) -> Self {
        let namespace = (kind == IssuerKind::Issuer).then(|| cluster.namespace.clone());
        Self::with(IssuerId { kind, namespace, name }, cluster)
    }

    /// This issuer.
    pub fn with(id: IssuerId, cluster: &'a Cluster) -> Self {
        let called = named(id.kind.as_str(), id.namespace.as_deref(), &id.name);
        Self { cluster, id, called }
    }

    /// What it is now.
    ///
    /// # Errors
    /// [`Error::NotFound`], or another error if it cannot be read.
    pub async fn read(&self) -> Result<IssuerRecord, Error> {
        match self.id.kind {
            IssuerKind::Issuer => Ok(IssuerRecord::from(&self.read_as::<Issuer>().await?)),
            IssuerKind::ClusterIssuer => Ok(IssuerRecord::from(&self.read_as::<ClusterIssuer>().await?)),
        }
    }

    async fn read_as<K: IssuerApi>(&self) -> Result<K, Error> {
        let api = K::api(self.cluster.client.clone(), self.namespace());
        self.cluster.one(&api, &self.id.name, &self.called).await
    }

    /// Sets `annotation`, prints that `what` was requested and, with `--wait`, waits until `judge` says how it ended.
    ///
    /// # Errors
    /// [`Error`], if the request or the wait fails.
    pub async fn request(
        &self,
        what: &str,
        annotation: (&str, String),
        wait: &Wait,
        judge: impl Fn(Option<&IssuerStatus>, &str) -> WaitStatus,
    ) -> Result<Exit, Error> {
        match self.id.kind {
            IssuerKind::Issuer => self.request_of::<Issuer>(what, annotation, wait, judge).await,
            IssuerKind::ClusterIssuer => {
                self.request_of::<ClusterIssuer>(what, annotation, wait, judge).await
            }
        }
    }

    async fn request_of<K: IssuerApi>(
        &self,
        what: &str,
        (annotation, value): (&str, String),
        wait: &Wait,
        judge: impl Fn(Option<&IssuerStatus>, &str) -> WaitStatus,
    ) -> Result<Exit, Error> {
        let (cluster, name) = (self.cluster, &self.id.name);
        let api = K::api(cluster.client.clone(), self.namespace());
        cluster.annotate(&api, name, &self.called, (annotation, Some(value.as_str()))).await?;
        let kind = self.id.kind.as_str().to_lowercase();
        print(&format!("{kind}.certwright.dev/{name}: {what} requested\n"))?;
        if !wait.wait {
            return Ok(Exit::Fine);
        }
        let watched = K::api(cluster.watching.clone(), self.namespace());
        let asked = BTreeMap::from([(name.clone(), value)]);
        wait.for_all(watched, asked, |issuer: &K, value| judge(issuer.status(), value)).await
    }

    fn namespace(&self) -> &str {
        self.id.namespace.as_deref().unwrap_or_default()
    }
}
