//! Keeps our own certificate in its Secret, and its authorities in the APIService.
//!
//! Only the replica that leads writes. The others serve what they read in the Secret.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::kept::{Kept, Lifetimes};
use super::{CertificateError, Shown};
use certwright_runtime::clock;

/// The field manager of `spec.caBundle`.
const MANAGER: &str = "certwright-dns";
/// The label of the Secret, so that no other is overwritten.
const LABEL: &str = "app.kubernetes.io/managed-by";
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Where things are kept.
#[derive(Clone, Debug)]
pub struct Places {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The APIService.
    pub api_service: String,
    /// The DNS names of the certificate: those of the Service.
    pub names: Vec<String>,
    /// How long things last.
    pub lifetimes: Lifetimes,
}

/// Keeps the certificate.
pub struct Keeper {
    secrets: Api<Secret>,
    api_services: Api<APIService>,
    places: Places,
    leads: watch::Receiver<bool>,
    /// The newest authority, and when this process first saw it in the APIService.
    published: Option<(String, Timestamp)>,
    failing: Option<String>,
}

/// Why the certificate cannot be kept.
#[derive(Debug, thiserror::Error)]
enum KeeperError {
    #[error("reading the Secret {0} failed; check the role of certwright-dns")]
    Read(String, #[source] kube::Error),
    #[error("writing the Secret {0} failed; check the role of certwright-dns")]
    Write(String, #[source] kube::Error),
    #[error("the Secret {0} belongs to somebody else; choose another with --tls-secret-name")]
    Foreign(String),
    #[error("reading the APIService {0} failed; check that it exists, and the role of certwright-dns")]
    ReadService(String, #[source] kube::Error),
    #[error("setting caBundle of the APIService {0} failed; check the role of certwright-dns")]
    Publish(String, #[source] kube::Error),
    #[error("the certificate cannot be created")]
    Certificate(#[from] CertificateError),
}

impl Keeper {
    /// Keeps the certificate at these places, and writes only while this replica leads.
    #[must_use]
    pub fn new(client: &Client, places: Places, leads: watch::Receiver<bool>) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), &places.namespace),
            api_services: Api::all(client.clone()),
            places,
            leads,
            published: None,
            failing: None,
        }
    }

    /// Shows the certificate, and each that replaces it.
    pub async fn keep(mut self, shown: watch::Sender<Option<Arc<Shown>>>) {
        let wait = LONGEST_WAIT.min(self.places.lifetimes.certificate / 20);
        let mut leads = self.leads.clone();
        loop {
            let leading = *leads.borrow_and_update();
            let turn = self.turn(leading, &shown).await;
            self.note(turn);
            if let Ok(Err(_)) = timeout(wait, leads.changed()).await {
                // There are no more elections: the process is about to end.
                return pending().await;
            }
        }
    }

    async fn turn(
        &mut self,
        leading: bool,
        shown: &watch::Sender<Option<Arc<Shown>>>,
    ) -> Result<(), KeeperError> {
        let secret = self.read().await?;
        let mut kept = secret.as_ref().and_then(|secret| self.content(secret)).unwrap_or_default();
        if leading {
            let now = clock::now();
            let newest = kept.newest();
            let published = self.published.as_ref().filter(|(which, _)| Some(which.as_str()) == newest);
            let published = published.map(|(_, since)| *since);
            let renewed = kept.renewed(&self.places.names, self.places.lifetimes, published, now)?;
            if renewed != kept {
                self.write(secret, renewed.data()).await?;
                info!(secret = self.places.secret, "renewed the certificate, or its authority");
                kept = renewed;
            }
            self.publish(&kept, now).await?;
        } else {
            self.published = None;
            if secret.is_none() {
                return Ok(());
            }
        }
        let new = kept.shown()?;
        shown.send_if_modified(|shown| {
            let is_new = shown.as_deref() != Some(&new);
            if is_new {
                *shown = Some(Arc::new(new));
            }
            is_new
        });
        Ok(())
    }

    async fn read(&self) -> Result<Option<Secret>, KeeperError> {
        let secret = self.secrets.get_opt(&self.places.secret).await;
        let secret = secret.map_err(|source| KeeperError::Read(self.secret_name(), source))?;
        let is_ours = |secret: &Secret| {
            let label = secret.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL));
            label.is_some_and(|value| value == MANAGER)
        };
        match secret {
            Some(secret) if !is_ours(&secret) => Err(KeeperError::Foreign(self.secret_name())),
            secret => Ok(secret),
        }
    }

    /// What the Secret contains; `None` if somebody has changed it so that it cannot be read.
    fn content(&self, secret: &Secret) -> Option<Kept> {
        let kept = Kept::read(secret.data.as_ref().unwrap_or(&BTreeMap::new()));
        let warned = kept.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            warn!(error, secret = self.places.secret, "the Secret with the certificate cannot be read");
        });
        warned.ok()
    }

    async fn write(
        &self,
        secret: Option<Secret>,
        data: BTreeMap<String, ByteString>,
    ) -> Result<(), KeeperError> {
        let written = match secret {
            // It fails if somebody else has changed the Secret.
            Some(secret) => {
                let changed = Secret { data: Some(data), ..secret };
                self.secrets.replace(&self.places.secret, &PostParams::default(), &changed).await
            }
            None => {
                let metadata = ObjectMeta {
                    name: Some(self.places.secret.clone()),
                    labels: Some(BTreeMap::from([(LABEL.to_owned(), MANAGER.to_owned())])),
                    ..ObjectMeta::default()
                };
                let secret = Secret { metadata, data: Some(data), ..Secret::default() };
                self.secrets.create(&PostParams::default(), &secret).await
            }
        };
        written.map(drop).map_err(|source| KeeperError::Write(self.secret_name(), source))
    }

    /// Sets `spec.caBundle` of the APIService, and no other field.
    async fn publish(&mut self, kept: &Kept, now: Timestamp) -> Result<(), KeeperError> {
        let name = &self.places.api_service;
        let service = self.api_services.get(name).await;
        let service = service.map_err(|source| KeeperError::ReadService(name.clone(), source))?;
        let bundle = ByteString(kept.bundle().into_bytes());
        let has = service.spec.as_ref().and_then(|spec| spec.ca_bundle.as_ref());
        if has != Some(&bundle) {
            let patch = json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name},
                "spec": {"caBundle": bundle},
            });
            let parameters = PatchParams::apply(MANAGER).force();
            let patched = self.api_services.patch(name, &parameters, &Patch::Apply(&patch)).await;
            patched.map_err(|source| KeeperError::Publish(name.clone(), source))?;
            info!(api_service = name, "set caBundle");
        }
        if let Some(newest) = kept.newest()
            && self.published.as_ref().is_none_or(|(which, _)| which != newest)
        {
            self.published = Some((newest.to_owned(), now));
        }
        Ok(())
    }

    fn secret_name(&self) -> String {
        format!("{}/{}", self.places.namespace, self.places.secret)
    }

    /// Logs each failure once.
    fn note(&mut self, turn: Result<(), KeeperError>) {
        match turn {
            Ok(()) => self.failing = None,
            Err(error) => {
                let text = error.to_string();
                if self.failing.as_ref() != Some(&text) {
                    warn!(error = &error as &dyn std::error::Error, "the certificate is not kept; retrying");
                    self.failing = Some(text);
                }
            }
        }
    }
}
