//! The cluster that a command connects to. It is found like kubectl finds it.

use std::fmt::Debug;
use std::path::PathBuf;

use clap::Args;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{Kubeconfig, KubeconfigError};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;

use super::Error;
use super::kubectl_flags::KubectlFlags;
use super::outlook::named;
use super::output::tell;
use certwright_api::Certificate;
use certwright_core::reading::{Readable, Reading};

/// Who set an annotation, in `managedFields`.
const FIELD_MANAGER: &str = "kubectl-certwright";

/// The cluster and the namespace. The flags are those of kubectl.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// The namespace; by default, that of the context.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// The context of the kubeconfig; by default, the current one.
    #[arg(long)]
    pub context: Option<String>,
    /// The kubeconfig file; by default, those listed in KUBECONFIG, or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How to reach the API server, and as whom.
    #[command(flatten)]
    pub kubectl: KubectlFlags,
}

/// A cluster, and the selected namespace.
#[derive(Clone)]
pub struct Cluster {
    /// For requests.
    pub client: Client,
    /// For watches, which may be silent for a long time.
    pub watching: Client,
    /// The namespace to use unless another is named.
    pub namespace: String,
}

impl ClusterArgs {
    /// Creates the clients. Sends no request yet.
    ///
    /// # Errors
    /// [`Error`], if there is no usable configuration.
    pub async fn connect(&self) -> Result<Cluster, Error> {
        let for_watches = self.config().await?;
        let mut for_requests = for_watches.clone();
        for_requests.read_timeout = self.kubectl.request_timeout();
        for_requests.reset_reader_on_write = true;
        for_requests.default_retry = false;
        let namespace = self.namespace.clone().unwrap_or_else(|| for_watches.default_namespace.clone());
        let client = |config| Client::try_from(config).map_err(|error| Error::Client(Box::new(error)));
        Ok(Cluster { client: client(for_requests)?, watching: client(for_watches)?, namespace })
    }

    /// The name of the context in use, if there is a kubeconfig.
    pub fn context_in_use(&self) -> Option<String> {
        let kubeconfig = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        self.context.clone().or(kubeconfig.ok()?.current_context)
    }

    async fn config(&self) -> Result<Config, Error> {
        let mut config = self.found().await?;
        self.kubectl.apply(&mut config);
        Ok(config)
    }

    /// The configuration that a kubeconfig or the pod has.
    async fn found(&self) -> Result<Config, Error> {
        if self.context.is_none() && self.kubeconfig.is_none() && !self.kubectl.choose() {
            return match Config::infer().await {
                Ok(config) => Ok(config),
                Err(error) => self.kubectl.alone().ok_or(Error::NoCluster(Box::new(error))),
            };
        }
        let refused = |error: KubeconfigError| Error::Kubeconfig(Box::new(error));
        let kubeconfig = self.kubeconfig().map_err(refused)?;
        let options = self.kubectl.chosen(self.context.as_ref());
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(refused)
    }

    /// The kubeconfig that the flags and the environment name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn kubeconfig(&self) -> Result<Kubeconfig, KubeconfigError> {
        match &self.kubeconfig {
            None => Kubeconfig::read(),
            Some(path) => Kubeconfig::read_from(path),
        }
    }
}

impl Cluster {
    /// Whether the API server does not answer. To refuse is to answer.
    pub async fn is_away(&self) -> bool {
        !matches!(self.client.apiserver_version().await, Ok(_) | Err(kube::Error::Api(_)))
    }

    /// The Certificates of a namespace, or of all namespaces. Leaves out those that cannot be read, and prints an error for each.
    ///
    /// # Errors
    /// [`Error`], if they cannot be listed.
    pub async fn certificates(
        &self,
        namespace: Option<&str>,
        parameters: &ListParams,
    ) -> Result<Vec<Certificate>, Error> {
        let found: Vec<Reading<Certificate>> = self.all(namespace, parameters, "Certificates").await?;
        let mut certificates = Vec::with_capacity(found.len());
        for reading in found {
            let called = named("Certificate", reading.namespace().as_deref(), &reading.name_any());
            match reading.usable() {
                Ok(certificate) => certificates.push(certificate),
                Err(fault) => tell(&format!("certwright: {}\n", Error::Unreadable(called, fault)))?,
            }
        }
        Ok(certificates)
    }

    /// All objects of a kind, in a namespace or in all namespaces.
    ///
    /// # Errors
    /// [`Error`], if they cannot be listed.
    pub async fn all<K>(
        &self,
        namespace: Option<&str>,
        parameters: &ListParams,
        kinds: &str,
    ) -> Result<Vec<Reading<K>>, Error>
    where
        K: Readable<Scope = NamespaceResourceScope> + Clone + Debug,
    {
        let api: Api<Reading<K>> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let found = api.list(parameters).await.map_err(|error| Error::list(kinds, &error))?;
        Ok(found.items)
    }

    /// The object with this name. `called` is its name in messages.
    ///
    /// # Errors
    /// [`Error::NotFound`], or another error if it cannot be read.
    pub async fn one<K>(&self, api: &Api<Reading<K>>, name: &str, called: &str) -> Result<K, Error>
    where
        K: Readable + Clone + Debug,
    {
        let found = api.get(name).await.map_err(|error| Error::about("read", called, &error))?;
        found.usable().map_err(|fault| Error::Unreadable(called.to_owned(), fault))
    }

    /// Sets an annotation of an object, or removes it.
    ///
    /// # Errors
    /// [`Error::NotFound`], or another error if it cannot be written.
    pub async fn annotate<K>(
        &self,
        api: &Api<Reading<K>>,
        name: &str,
        called: &str,
        annotation: (&str, Option<&str>),
    ) -> Result<(), Error>
    where
        K: Readable + Clone + Debug,
    {
        let (key, value) = annotation;
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = api.patch(name, &parameters, &Patch::Merge(&patch)).await;
        patched.map(drop).map_err(|error| Error::about("write", called, &error))
    }
}
