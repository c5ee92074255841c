//! Which objects this installation serves if several share the cluster, and what it has to ask the API server because it does not
//! watch the Certificates of the others.

use std::fmt::Debug;
use std::sync::Arc;

use kube::api::{ListParams, Patch, PatchParams};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};

use super::cache::{Held, Index, api};
use super::context::Context;
use super::error::Error;
use super::issuer_record::{IssuerId, IssuerRecord, account_secret};
use crate::runtime::metrics::ApiVerb;
use certwright_api::Certificate;
use certwright_core::reading::{Readable, Reading};

/// How often a write is repeated after a conflict.
const MAX_CONFLICTS: usize = 20;
/// The page size of lists that may be long.
const PAGE: u32 = 100;

impl Context {
    /// Whether this shard serves an object with these labels.
    pub fn serves<K: Resource>(&self, object: &K) -> bool {
        self.config.shard.matches(object.labels())
    }

    /// Whether this shard serves an issuer. An account must have one writer, so all issuers that share a Secret belong to the
    /// shard of the oldest one.
    pub fn serves_issuer(&self, issuer: &IssuerRecord) -> bool {
        let shard = &self.config.shard;
        if shard.selects_all() {
            return true;
        }
        let others = self.issuers_beside(issuer);
        let oldest = others.iter().chain([issuer]).min_by_key(|one| (one.created, one.id.clone()));
        shard.matches(&oldest.unwrap_or(issuer).labels)
    }

    /// The other issuers whose account key is in the same Secret.
    pub fn issuers_beside(&self, issuer: &IssuerRecord) -> Vec<IssuerRecord> {
        let (namespace, name, _) = account_secret(issuer, &self.config.cluster_resource_namespace);
        let mut found =
            self.cache.issuers_of_secret(&namespace, &name, &self.config.cluster_resource_namespace);
        found.retain(|other| other.id != issuer.id);
        found
    }
}

/// A patch of an object that this shard serves.
pub struct Write<'a> {
    /// The object's kind.
    pub kind: &'static str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// Its `resourceVersion`, as last seen.
    pub version: Option<String>,
    /// Whether its status is written, or the object itself.
    pub is_status: bool,
    /// Who writes, and whether it is forced.
    pub params: PatchParams,
    /// The patch, and its type.
    pub patch: (Value, fn(Value) -> Patch<Value>),
}

impl Write<'_> {
    /// Writes the object, unless it belongs to another shard now. With shards, the write requires the version that was last seen,
    /// so that it fails if the object has been relabeled, and is repeated if the object still belongs to this shard.
    ///
    /// # Errors
    /// That of the API server. To this shard, an object of another one does not exist.
    pub async fn send<K>(
        mut self,
        api: &Api<Reading<K>>,
        context: &Context,
        serves: impl Fn(&K) -> bool,
    ) -> Result<Reading<K>, kube::Error>
    where
        K: Readable + Clone + Debug,
    {
        if context.config.shard.selects_all() {
            return self.attempt(api, context).await;
        }
        for _ in 0..MAX_CONFLICTS {
            self.patch.0["metadata"]["resourceVersion"] = json!(self.version);
            match self.attempt(api, context).await {
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                other => return other,
            }
            // A list, because the operator has permission to list, but not to get.
            let which = ListParams::default().fields(&format!("metadata.name={}", self.name));
            let found = api.list(&which).await?.items.pop();
            let found = found.filter(|found| found.meta().uid.as_deref() == Some(self.uid));
            let Some(found) = found.filter(|found| serves(&found.object)) else {
                let status = Status::failure("another shard serves it now", "NotFound");
                return Err(kube::Error::Api(Box::new(status.with_code(404))));
            };
            self.version = found.resource_version();
        }
        self.attempt(api, context).await
    }

    async fn attempt<K>(&self, api: &Api<Reading<K>>, context: &Context) -> Result<Reading<K>, kube::Error>
    where
        K: Readable + Clone + Debug,
    {
        let (body, wrap) = &self.patch;
        let patch = wrap(body.clone());
        context.metrics.api_written(self.kind, ApiVerb::Patch);
        match self.is_status {
            true => api.patch_status(self.name, &self.params, &patch).await,
            false => api.patch(self.name, &self.params, &patch).await,
        }
    }
}

/// The Certificates of all shards that name a Secret.
///
/// # Errors
/// [`Error::ListCertificates`]
pub async fn with_secret(
    context: &Context,
    namespace: &str,
    secret: &str,
) -> Result<Vec<Arc<Certificate>>, Error> {
    let api = Api::<Reading<Certificate>>::namespaced(context.client.clone(), namespace);
    let which = ListParams::default().fields(&format!("spec.secretName={secret}"));
    match api.list(&which).await {
        Ok(found) => Ok(found.items.into_iter().map(|reading| Arc::new(reading.object)).collect()),
        // Kubernetes before 1.31 cannot select by fields of custom resources.
        Err(kube::Error::Api(status)) if status.code == 400 => {
            let mut found = Vec::new();
            each(&api, |certificate| {
                if certificate.spec.secret_name == secret {
                    found.push(Arc::new(certificate));
                }
            })
            .await?;
            Ok(found)
        }
        Err(source) => Err(Error::ListCertificates { source }),
    }
}

/// Whether a CA may be validating challenges of one of these issuers for a Certificate of any shard.
///
/// # Errors
/// [`Error::ListCertificates`]
pub async fn are_validating(context: &Context, issuers: &[IssuerRecord]) -> Result<bool, Error> {
    let indexes: Vec<Index<'_>> =
        issuers.iter().map(|issuer| Index::ValidatingFor(issuer.id.clone())).collect();
    if indexes.iter().any(|index| !context.cache.certificates(index).is_empty()) {
        return Ok(true);
    }
    if context.config.shard.selects_all() {
        return Ok(false);
    }
    let mut found = false;
    for scope in context.cache.scopes() {
        let concerns = |id: &IssuerId| {
            id.namespace.is_none() || scope.namespace.is_none() || id.namespace == scope.namespace
        };
        if issuers.iter().any(|issuer| concerns(&issuer.id)) {
            let api = api(&context.client, scope.namespace.as_deref());
            each(&api, |certificate| {
                found |= indexes.iter().any(|index| certificate.index().contains(index))
            })
            .await?;
        }
    }
    Ok(found)
}

/// Lists Certificates page by page.
async fn each(api: &Api<Reading<Certificate>>, mut see: impl FnMut(Certificate)) -> Result<(), Error> {
    let mut which = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&which).await.map_err(|source| Error::ListCertificates { source })?;
        page.items.into_iter().for_each(|reading| see(reading.object));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => which = which.continue_token(&token),
            None => return Ok(()),
        }
    }
}
