//! The issuer that a command is about: what is requested from the operator by an annotation, and how the request ends.

use std::collections::BTreeMap;
use std::fmt::Debug;

use kube::Api;

use super::wait::{Wait, WaitStatus};
use super::{Cluster, ClusterArgs, Error, Exit, outlook, print};
use certwright_api::{ClusterIssuer, Issuer, IssuerStatus};
use certwright_core::reading::{Readable, Reading};

/// An issuer of the kind `K`.
pub struct ChosenIssuer<K> {
    cluster: Cluster,
    for_requests: Api<Reading<K>>,
    for_watches: Api<Reading<K>>,
    name: String,
    /// Its kind and name, in messages.
    pub called: String,
    status: fn(&K) -> Option<&IssuerStatus>,
}

impl ChosenIssuer<Issuer> {
    /// The Issuer with this name in the selected namespace. Sends no request yet.
    ///
    /// # Errors
    /// [`Error`], if there is no usable configuration.
    pub async fn issuer(name: &str, cluster: &ClusterArgs) -> Result<Self, Error> {
        let cluster = cluster.connect().await?;
        let api = |client| Api::namespaced(client, &cluster.namespace);
        let (for_requests, for_watches) = (api(cluster.client.clone()), api(cluster.watching.clone()));
        let called = outlook::named("Issuer", Some(&cluster.namespace), name);
        Ok(Self {
            cluster,
            for_requests,
            for_watches,
            name: name.to_owned(),
            called,
            status: |issuer| issuer.status.as_ref(),
        })
    }
}

impl ChosenIssuer<ClusterIssuer> {
    /// The ClusterIssuer with this name. Sends no request yet.
    ///
    /// # Errors
    /// [`Error`], if there is no usable configuration.
    pub async fn cluster_issuer(name: &str, cluster: &ClusterArgs) -> Result<Self, Error> {
        let cluster = cluster.connect().await?;
        let (for_requests, for_watches) =
            (Api::all(cluster.client.clone()), Api::all(cluster.watching.clone()));
        let called = outlook::named("ClusterIssuer", None, name);
        Ok(Self {
            cluster,
            for_requests,
            for_watches,
            name: name.to_owned(),
            called,
            status: |issuer| issuer.status.as_ref(),
        })
    }
}

impl<K> ChosenIssuer<K>
where
    K: Readable + Clone + Debug + Send + 'static,
{
    /// Its status now.
    ///
    /// # Errors
    /// [`Error::NotFound`], or another error if it cannot be read.
    pub async fn status(&self) -> Result<IssuerStatus, Error> {
        let issuer = self.cluster.one(&self.for_requests, &self.name, &self.called).await?;
        Ok((self.status)(&issuer).cloned().unwrap_or_default())
    }

    /// Sets `annotation`, prints that `what` was requested and, with `--wait`, waits until `judge` says how it ended.
    ///
    /// # Errors
    /// [`Error`], if the request or the wait fails.
    pub async fn request(
        self,
        what: &str,
        (annotation, value): (&str, String),
        wait: &Wait,
        judge: impl Fn(Option<&IssuerStatus>, &str) -> WaitStatus,
    ) -> Result<Exit, Error> {
        let annotation = (annotation, Some(value.as_str()));
        self.cluster.annotate(&self.for_requests, &self.name, &self.called, annotation).await?;
        let kind = K::kind(&()).to_lowercase();
        print(&format!("{kind}.certwright.dev/{}: {what} requested\n", self.name))?;
        if !wait.wait {
            return Ok(Exit::Fine);
        }
        let asked = BTreeMap::from([(self.name, value)]);
        wait.for_all(self.for_watches, asked, |issuer, value| judge((self.status)(issuer), value)).await
    }
}
