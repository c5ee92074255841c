//! A Kubernetes namespace for one test.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
    discovery::{Discovery, Scope},
    runtime::{WatchStreamExt, watcher},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Cluster, process::tail, sandbox};

/// The field manager of what tests apply.
pub const FIELD_MANAGER: &str = "test";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A namespace for one test, and what a test does with objects in it.
pub struct TestNamespace {
    /// Its name, unique in the cluster.
    pub name: String,
    /// The cluster it is in.
    pub cluster: Cluster,
    /// A client with an administrator's rights.
    pub client: Client,
    discovery: tokio::sync::Mutex<Option<Discovery>>,
    operator_logs: Mutex<Vec<PathBuf>>,
}

impl TestNamespace {
    /// Creates a namespace whose name begins with `prefix`.
    pub async fn create(prefix: &str) -> Result<Self> {
        let name = format!("{prefix}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self::named(Cluster::from_env()?, &name).await
    }

    /// Creates a namespace with this name.
    pub async fn named(cluster: Cluster, name: &str) -> Result<Self> {
        let client = cluster.client().await?;
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        Ok(Self {
            name: name.into(),
            cluster,
            client,
            discovery: Default::default(),
            operator_logs: Default::default(),
        })
    }

    /// The same namespace, through a client that has only the permissions of `user`, by impersonation.
    pub async fn acting_as(&self, user: &str) -> Result<Self> {
        let mut config = self.cluster.client_config().await?;
        config.auth_info.impersonate = Some(user.to_owned());
        Ok(Self {
            name: self.name.clone(),
            cluster: Cluster::new(self.cluster.description.clone()),
            client: Client::try_from(config)?,
            discovery: Default::default(),
            operator_logs: Default::default(),
        })
    }

    /// Runs `test` in a new namespace. Deletes it afterwards, unless the test failed and `CERTWRIGHT_KEEP` is set. If the test
    /// failed, the end of its operators' logs is printed.
    pub async fn with(prefix: &str, test: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let namespace = Self::create(prefix).await?;
        let result = AssertUnwindSafe(test(&namespace)).catch_unwind().await;
        let success = matches!(result, Ok(Ok(())));
        if !success {
            eprintln!("{}", namespace.operator_log_tail(40));
        }
        if success || !sandbox::keep() {
            namespace.delete().await?;
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Deletes it; the cluster takes some seconds to follow.
    pub async fn delete(&self) -> Result<()> {
        Api::<Namespace>::all(self.client.clone()).delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Changes the namespace itself by a JSON merge patch.
    pub async fn patch_namespace(&self, patch: Value) -> Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        namespaces.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// An `Api` for a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Applies YAML with one or more documents, server-side. Objects without a namespace are created in this one. If the API
    /// server rejects one, the error is its `kube::Error`.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        let mut applied = Vec::new();
        for document in serde_yaml::Deserializer::from_str(yaml) {
            let value = Value::deserialize(document)?;
            if value.is_null() {
                continue;
            }
            let object: DynamicObject = serde_json::from_value(value.clone())?;
            let types = object.types.clone().context("a document without apiVersion and kind")?;
            let (resource, scope) =
                self.resource(|discovery| discovery.resolve_typemeta(&types)).await?.with_context(|| {
                    format!("the API server knows no {} in {}", types.kind, types.api_version)
                })?;
            let api = self.dynamic_api(&resource, &scope, object.namespace().as_deref());
            let params = PatchParams::apply(FIELD_MANAGER).force();
            applied.push(api.patch(&object.name_any(), &params, &Patch::Apply(&value)).await?);
        }
        Ok(applied)
    }

    /// Reads an object, named as in `secret/web` or `certificates.certwright.dev/web`.
    pub async fn get(&self, target: &str) -> Result<Option<Value>> {
        let (api, name) = self.find(target).await?;
        Ok(api.get_opt(&name).await?.map(serde_json::to_value).transpose()?)
    }

    /// Deletes an object.
    pub async fn delete_object(&self, target: &str) -> Result<()> {
        let (api, name) = self.find(target).await?;
        api.delete(&name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Changes an object by a JSON merge patch.
    pub async fn patch(&self, target: &str, patch: Value) -> Result<Value> {
        let (api, name) = self.find(target).await?;
        let object = api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(serde_json::to_value(object)?)
    }

    /// Watches an object until `wanted` is true of it, and returns it. After `timeout`, it fails with the object's status and the
    /// end of the operators' logs.
    pub async fn wait(
        &self,
        target: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let watched = self.watch(target, timeout, |object| object.is_some_and(&wanted)).await?;
        watched.with_context(|| format!("{target} is gone"))
    }

    /// Watches an object until it does not exist any more.
    pub async fn wait_gone(&self, target: &str, timeout: Duration) -> Result<()> {
        self.watch(target, timeout, |object| object.is_none()).await?;
        Ok(())
    }

    /// Waits until the condition `type` of an object has `status`.
    pub async fn wait_condition(
        &self,
        target: &str,
        condition: &str,
        status: &str,
        timeout: Duration,
    ) -> Result<Value> {
        self.wait(target, timeout, |object| {
            let conditions = object["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|found| found["type"] == condition && found["status"] == status)
        })
        .await
    }

    async fn watch(
        &self,
        target: &str,
        timeout: Duration,
        wanted: impl Fn(Option<&Value>) -> bool,
    ) -> Result<Option<Value>> {
        let (api, name) = self.find(target).await?;
        let mut last = None;
        let mut error = None;
        let wait = async {
            let mut stream = std::pin::pin!(watcher::watch_object(api, &name).default_backoff());
            while let Some(event) = stream.next().await {
                match event {
                    Ok(object) => last = object.map(serde_json::to_value).transpose()?,
                    Err(failure) => error = Some(failure),
                }
                if error.is_none() && wanted(last.as_ref()) {
                    return anyhow::Ok(());
                }
                error = None;
            }
            bail!("the watch of {target} ended")
        };
        match tokio::time::timeout(timeout, wait).await {
            Ok(result) => result.map(|()| last),
            Err(_) => {
                let state = match &last {
                    Some(object) => format!("{:#}", object.get("status").unwrap_or(object)),
                    None => "it does not exist".into(),
                };
                bail!(
                    "{target} in namespace {} is not as wanted after {} s; its status: {state}\n{}",
                    self.name,
                    timeout.as_secs_f32(),
                    self.operator_log_tail(15)
                )
            }
        }
    }

    /// The end of the logs of this test's operators.
    pub fn operator_log_tail(&self, lines: usize) -> String {
        let logs = self.operator_logs.lock().map(|logs| logs.clone()).unwrap_or_default();
        let mut text = String::new();
        for log in logs {
            let name = log.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            text += &format!("The end of the log of {name}:\n{}\n", tail(&log, lines));
        }
        text
    }

    pub(crate) fn add_operator_log(&self, path: PathBuf) {
        if let Ok(mut logs) = self.operator_logs.lock() {
            logs.push(path);
        }
    }

    async fn find(&self, target: &str) -> Result<(Api<DynamicObject>, String)> {
        let (kind, name) = target.split_once('/').with_context(|| format!("{target:?} is not kind/name"))?;
        let (resource, scope) = self
            .resource(|discovery| by_name(discovery, kind))
            .await?
            .with_context(|| format!("the API server knows no {kind}"))?;
        Ok((self.dynamic_api(&resource, &scope, None), name.into()))
    }

    fn dynamic_api(
        &self,
        resource: &ApiResource,
        scope: &Scope,
        namespace: Option<&str>,
    ) -> Api<DynamicObject> {
        match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
            Scope::Namespaced => {
                Api::namespaced_with(self.client.clone(), namespace.unwrap_or(&self.name), resource)
            }
        }
    }

    /// Looks up a kind among the known ones, and then again in the API server's discovery.
    async fn resource(
        &self,
        look_up: impl Fn(&Discovery) -> Option<(ApiResource, kube::discovery::ApiCapabilities)>,
    ) -> Result<Option<(ApiResource, Scope)>> {
        let mut known = self.discovery.lock().await;
        let mut found = known.as_ref().and_then(&look_up);
        if found.is_none() {
            let fresh = Discovery::new(self.client.clone()).run_aggregated().await?;
            found = look_up(&fresh);
            *known = Some(fresh);
        }
        Ok(found.map(|(resource, capabilities)| (resource, capabilities.scope)))
    }
}

/// Finds `kind`, `plural`, `kind.group` or `plural.group`; the core group comes first, then our own.
fn by_name(discovery: &Discovery, wanted: &str) -> Option<(ApiResource, kube::discovery::ApiCapabilities)> {
    let wanted = wanted.to_ascii_lowercase();
    let (kind, group) =
        wanted.split_once('.').map_or((wanted.as_str(), None), |(kind, group)| (kind, Some(group)));
    let mut groups: Vec<_> = discovery.groups().collect();
    let others = |name: &str| !["", "certwright.dev"].contains(&name);
    groups.sort_by_key(|group| (others(group.name()), group.name().to_owned()));
    groups
        .into_iter()
        .filter(|found| group.is_none_or(|group| group == found.name()))
        .flat_map(|group| group.recommended_resources())
        .find(|(resource, _)| resource.kind.to_ascii_lowercase() == kind || resource.plural == kind)
        .map(|(resource, capabilities)| {
            let kind = GroupVersionKind::gvk(&resource.group, &resource.version, &resource.kind);
            (ApiResource::from_gvk_with_plural(&kind, &resource.plural), capabilities)
        })
}
