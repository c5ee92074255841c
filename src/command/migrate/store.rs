//! Reads and writes the objects in the cluster for a migration.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::MigrateError;
use crate::migrate::{self, Source};
use certwright_api::{FIELD_MANAGER, GROUP, VERSION};

/// The Lease of cert-manager's controller.
const LEASE: &str = "cert-manager-controller";

/// The API server. A dry run only reads from it.
pub struct Store {
    pub client: Client,
    pub dry_run: bool,
}

/// A resource of a group and version.
pub fn resource(api_version: &str, kind: &str, plural: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

fn plural(kind: &str) -> String {
    format!("{}s", kind.to_ascii_lowercase())
}

impl Store {
    fn api(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = resource(api_version, kind, &plural(kind));
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// One of Certwright's objects.
    pub async fn ours(
        &self,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, MigrateError> {
        self.read(&format!("{GROUP}/{VERSION}"), kind, namespace, name).await
    }

    /// One of cert-manager's objects.
    pub async fn theirs(
        &self,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, MigrateError> {
        self.read(migrate::VERSION, kind, namespace, name).await
    }

    async fn read(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, MigrateError> {
        let found = self.api(api_version, kind, namespace).get_opt(name).await;
        let found = found.map_err(failed(kind, namespace, name, "read"))?;
        Ok(found.and_then(|object| serde_json::to_value(object).ok()))
    }

    /// All Certificates of Certwright's, in a namespace or in all namespaces.
    pub async fn our_certificates(&self, namespace: Option<&str>) -> Result<Vec<Value>, MigrateError> {
        let api = self.api(&format!("{GROUP}/{VERSION}"), "Certificate", namespace);
        let found =
            api.list(&ListParams::default()).await.map_err(failed("Certificate", namespace, "", "listed"))?;
        Ok(found.items.into_iter().filter_map(|object| serde_json::to_value(object).ok()).collect())
    }

    /// Creates an object that does not exist yet.
    pub async fn create(&self, namespace: Option<&str>, object: &Value) -> Result<(), MigrateError> {
        let Source { api_version, kind, name, .. } = Source::of(object);
        if self.dry_run {
            return Ok(());
        }
        let mut object = object.clone();
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = namespace.into();
        }
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let object: DynamicObject =
            serde_json::from_value(object).map_err(|error| MigrateError::Request {
                what: format!("{kind} {name}"),
                verb: "created",
                source: Box::new(kube::Error::SerdeError(error)),
            })?;
        let made = self.api(&api_version, &kind, namespace).create(&params, &object).await;
        made.map(drop).map_err(failed(&kind, namespace, &name, "created"))
    }

    /// Deletes an object and what it owns, unless it was recreated since it was read.
    pub async fn delete(&self, namespace: &str, object: &Value) -> Result<(), MigrateError> {
        let Source { api_version, kind, name, .. } = Source::of(object);
        if self.dry_run {
            return Ok(());
        }
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::background() };
        match self.api(&api_version, &kind, Some(namespace)).delete(&name, &params).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => other.map(drop).map_err(failed(&kind, Some(namespace), &name, "deleted")),
        }
    }

    /// A Secret.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, MigrateError> {
        let api = Api::<Secret>::namespaced(self.client.clone(), namespace);
        api.get_opt(name).await.map_err(failed("Secret", Some(namespace), name, "read"))
    }

    /// Copies a Secret to another namespace: its data and type only.
    pub async fn copy_secret(&self, secret: &Secret, namespace: &str) -> Result<(), MigrateError> {
        let name = secret.metadata.name.clone().unwrap_or_default();
        let mut copy = Secret { data: secret.data.clone(), type_: secret.type_.clone(), ..Secret::default() };
        copy.metadata.name = Some(name.clone());
        if self.dry_run {
            return Ok(());
        }
        let api = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let made = api.create(&PostParams::default(), &copy).await;
        made.map(drop).map_err(failed("Secret", Some(namespace), &name, "created"))
    }

    /// Changes the metadata of a Secret, if it is still the same one that was read.
    pub async fn patch_secret(&self, secret: &Secret, mut metadata: Value) -> Result<(), MigrateError> {
        let name = secret.metadata.name.clone().unwrap_or_default();
        let namespace = secret.metadata.namespace.clone().unwrap_or_default();
        if self.dry_run {
            return Ok(());
        }
        metadata["uid"] = json!(secret.metadata.uid);
        let api = Api::<Secret>::namespaced(self.client.clone(), &namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = api.patch(&name, &params, &Patch::Merge(json!({ "metadata": metadata }))).await;
        patched.map(drop).map_err(failed("Secret", Some(&namespace), &name, "changed"))
    }

    /// Whether cert-manager's controller is running, according to its Lease. Also true if that is unknown.
    pub async fn cert_manager_may_run(&self, now: Timestamp) -> bool {
        let named = ListParams::default().fields(&format!("metadata.name={LEASE}"));
        let Ok(leases) = Api::<Lease>::all(self.client.clone()).list(&named).await else { return true };
        leases.items.into_iter().filter_map(|lease| lease.spec).any(|spec| {
            let holder = spec.holder_identity.is_some_and(|holder| !holder.is_empty());
            let lives = SignedDuration::from_secs(i64::from(spec.lease_duration_seconds.unwrap_or(60)));
            let renewed = spec.renew_time.and_then(|time| time.0.checked_add(lives).ok());
            holder && renewed.is_some_and(|until| until > now)
        })
    }
}

fn failed<'a>(
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    verb: &'static str,
) -> impl FnOnce(kube::Error) -> MigrateError + 'a {
    move |source| {
        let within = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        MigrateError::Request { what: format!("{kind} {within}{name}"), verb, source: Box::new(source) }
    }
}
