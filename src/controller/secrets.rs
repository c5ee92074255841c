//! Reads and writes Secrets. They are read by name when needed, and not cached.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};

use super::apply::applied_by;
use super::error::Error;
use super::fair_queue::{FairQueue, Turn};
use crate::runtime::metrics::{ApiVerb, Metrics};
use certwright_api::FIELD_MANAGER;
use certwright_core::reading::{Fault, Reading};
use certwright_core::secret::labels;
pub use certwright_core::secret::{annotation, data, purpose};

/// Kind of what is written, as metrics name it.
const KIND: &str = "Secret";

/// Limits how many Secrets are read concurrently: each may have a megabyte, and users may name the same one many times.
static READS: LazyLock<FairQueue> = LazyLock::new(|| FairQueue::new(8));

/// Waits for a turn to read an object of `namespace` that may have the maximum size.
pub async fn turn_to_read(namespace: &str) -> Option<Turn> {
    READS.turn(namespace, 0).await
}

/// Reads a Secret. Values that are too large to be useful are empty in it.
///
/// # Errors
/// [`Error::ReadSecret`]
pub async fn read(client: &Client, namespace: &str, name: &str) -> Result<Option<Secret>, Error> {
    let _turn = turn_to_read(namespace).await;
    let failed = |source| Error::ReadSecret { name: name.to_owned(), source };
    let path = Secret::url_path(&(), Some(namespace));
    let request = kube::core::Request::new(path).get(name, &GetParams::default());
    let request = request.map_err(|error| failed(kube::Error::BuildRequest(error)))?;
    let found = match client.request_text(request).await {
        Ok(text) => parsed(text).await.map_err(failed)?,
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let unreadable = |fault: Fault| failed(kube::Error::Service(fault.to_string().into()));
    found.usable().map(Some).map_err(unreadable)
}

/// Parses the API server's answer. A large one is parsed on a separate thread.
async fn parsed(text: String) -> Result<Reading<Secret>, kube::Error> {
    const LARGE: usize = 64 << 10;
    let parse = |text: &str| serde_json::from_str(text).map_err(kube::Error::SerdeError);
    if text.len() < LARGE {
        return parse(&text);
    }
    let parsed = tokio::task::spawn_blocking(move || parse(&text)).await;
    parsed.unwrap_or_else(|ended| Err(kube::Error::Service(ended.into())))
}

/// A Secret of ours, to be written.
pub struct Written<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it is for: a `SECRET_*` constant of [`certwright_api`].
    pub purpose: &'static str,
    /// Its type; `Opaque` if none.
    pub type_: Option<&'static str>,
    /// Additional labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its owner; it is deleted together with its owner.
    pub owner: Option<OwnerReference>,
    /// Its data.
    pub data: BTreeMap<String, ByteString>,
}

impl Written<'_> {
    /// Creates the Secret; returns false if one with this name exists.
    ///
    /// # Errors
    /// [`Error::WriteSecret`]
    pub async fn create(&self, client: &Client, metrics: &Metrics) -> Result<bool, Error> {
        let api = Api::<Secret>::namespaced(client.clone(), self.namespace);
        metrics.api_written(KIND, ApiVerb::Create);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match api.create(&params, &self.secret(None)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Applies the Secret over the version that was read, or creates it if there was none. Fields of other managers stay. If
    /// somebody else has created it in the meantime, the apply is not forced. Returns the written Secret.
    ///
    /// # Errors
    /// [`Error::WriteSecret`], also if it has changed since it was read.
    pub async fn apply(
        &self,
        client: &Client,
        metrics: &Metrics,
        over: Option<&Secret>,
    ) -> Result<Secret, Error> {
        let api = Api::<Secret>::namespaced(client.clone(), self.namespace);
        metrics.api_written(KIND, ApiVerb::Patch);
        let secret = self.secret(over.and_then(|over| over.metadata.resource_version.clone()));
        let params = PatchParams { force: over.is_some(), ..applied_by(FIELD_MANAGER) };
        api.patch(self.name, &params, &Patch::Apply(&secret)).await.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: kube::Error) -> Error {
        Error::WriteSecret { name: self.name.to_owned(), source }
    }

    fn secret(&self, resource_version: Option<String>) -> Secret {
        Secret {
            metadata: ObjectMeta {
                namespace: Some(self.namespace.to_owned()),
                name: Some(self.name.to_owned()),
                labels: Some(labels(self.purpose, self.labels.clone())),
                annotations: Some(self.annotations.clone()),
                owner_references: self.owner.clone().map(|owner| vec![owner]),
                resource_version,
                ..ObjectMeta::default()
            },
            type_: self.type_.map(str::to_owned),
            data: Some(self.data.clone()),
            ..Secret::default()
        }
    }
}

/// Deletes a Secret of ours; it is not an error if it does not exist.
///
/// # Errors
/// [`Error::WriteSecret`]
pub async fn delete(client: &Client, metrics: &Metrics, namespace: &str, name: &str) -> Result<(), Error> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    metrics.api_written(KIND, ApiVerb::Delete);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(Error::WriteSecret { name: name.to_owned(), source }),
    }
}
