//! The issuer that a command is about: how it is chosen, its state, and requests to the operator by an annotation.

use std::fmt::Debug;

use kube::{Api, Client};

use super::kind::Kind;
use super::outlook::named;
use super::targets::Target;
use super::wait::{Wait, WaitStatus};
use super::{Cluster, Error, Exit, print};
use crate::controller::issuer_record::{IssuerId, IssuerRecord};
use certwright_api::{AnyIssuer, ClusterIssuer, Issuer, IssuerKind, IssuerStatus};
use certwright_core::reading::{Readable, Reading};

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

    /// The issuer that the user named.
    pub fn of(target: &Target, cluster: &'a Cluster) -> Self {
        let kind = match target.kind {
            Kind::ClusterIssuer => IssuerKind::ClusterIssuer,
            Kind::Issuer | Kind::Certificate => IssuerKind::Issuer,
        };
        Self::new(kind, target.name.clone(), cluster)
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

    /// Sets `annotation`, and prints that `what` was requested.
    ///
    /// # Errors
    /// [`Error`], if the request fails.
    pub async fn ask(&self, what: &str, annotation: (&str, &str)) -> Result<(), Error> {
        match self.id.kind {
            IssuerKind::Issuer => self.ask_as::<Issuer>(what, annotation).await,
            IssuerKind::ClusterIssuer => self.ask_as::<ClusterIssuer>(what, annotation).await,
        }
    }

    async fn ask_as<K: IssuerApi>(&self, what: &str, annotation: (&str, &str)) -> Result<(), Error> {
        let (key, value) = annotation;
        let api = K::api(self.cluster.client.clone(), self.namespace());
        self.cluster.annotate(&api, &self.id.name, &self.called, (key, Some(value))).await?;
        let kind = self.id.kind.as_str().to_lowercase();
        print(&format!("{kind}.certwright.dev/{}: {what} requested\n", self.id.name))
    }

    fn namespace(&self) -> &str {
        self.id.namespace.as_deref().unwrap_or_default()
    }
}

/// The state of a request, from the status of the issuer and the value of the annotation.
pub type Judge = fn(Option<&IssuerStatus>, &str) -> WaitStatus;

/// With `--wait`, waits until `judge` says how each request ended: the issuers, each with the value of its annotation.
///
/// # Errors
/// [`Error`], if the wait fails.
pub async fn wait_for(
    asked: &[(ChosenIssuer<'_>, String)],
    wait: &Wait,
    judge: Judge,
) -> Result<Exit, Error> {
    if !wait.wait {
        return Ok(Exit::Fine);
    }
    let issuers = wait_for_all::<Issuer>(asked, wait, judge).await?;
    let of_cluster = wait_for_all::<ClusterIssuer>(asked, wait, judge).await?;
    Ok(if issuers == Exit::Fine { of_cluster } else { issuers })
}

async fn wait_for_all<K: IssuerApi>(
    asked: &[(ChosenIssuer<'_>, String)],
    wait: &Wait,
    judge: Judge,
) -> Result<Exit, Error> {
    let mut of_kind = asked.iter().filter(|(issuer, _)| issuer.id.kind == K::KIND).peekable();
    let Some((first, _)) = of_kind.peek() else { return Ok(Exit::Fine) };
    let watched = K::api(first.cluster.watching.clone(), first.namespace());
    let awaited = of_kind.map(|(issuer, value)| (issuer.id.name.clone().into(), value.clone()));
    wait.for_all(watched, awaited.collect(), |issuer: &K, value: &String| judge(issuer.status(), value)).await
}
