//! An attacker with a namespace, and a bystander who must not be affected.
//!
//! The attacker has the built-in role `edit` in that namespace and no other permissions. The operator watches both namespaces,
//! and its own namespace is a third one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, OperatorBuilder, Pebble, TestNamespace, without_api_groups};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DynamicObject, ObjectMeta};
use kube::runtime::wait::await_condition;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::faults::steady;
use super::{SOON, certificate, issuer};

/// The memory limit of the chart.
pub const MEMORY_LIMIT: u64 = 128 << 20;
/// The maximum size of the status of an object.
const STATUS_LIMIT: usize = 64 << 10;
/// How long writes are counted, and how many are allowed while nothing changes.
const QUIET: Duration = Duration::from_secs(5);
const QUIET_WRITES: u64 = 10;
/// How long the deletion of a namespace may take.
const DELETION: Duration = Duration::from_secs(60);

/// The scene of one attack.
pub struct Scene<'a> {
    /// The attacker's namespace, with an administrator's rights.
    pub ns: TestNamespace,
    /// The attacker's namespace, with the attacker's permissions.
    pub mallory: TestNamespace,
    /// The name of the attacker's user.
    pub user: String,
    /// The bystander's namespace, with the Issuer `ca`, which is ready.
    pub bystander: &'a TestNamespace,
    /// The operator's own namespace.
    pub home: TestNamespace,
    /// The bystander's CA.
    pub pebble: Pebble,
    /// The operator.
    pub operator: Operator,
}

impl Scene<'_> {
    /// Sets up the scene for `attack`, and removes it afterwards.
    pub async fn with(prefix: &str, attack: impl AsyncFnOnce(&Scene<'_>) -> Result<()>) -> Result<()> {
        Self::with_operator(prefix, |builder| builder, attack).await
    }

    /// The same with further arguments for the operator.
    pub async fn with_operator(
        prefix: &str,
        arguments: impl FnOnce(OperatorBuilder<'_>) -> OperatorBuilder<'_>,
        attack: impl AsyncFnOnce(&Scene<'_>) -> Result<()>,
    ) -> Result<()> {
        TestNamespace::with("bystander", async |bystander| {
            let ns = TestNamespace::create(prefix).await?;
            let home = TestNamespace::create("home").await?;
            let user = format!("mallory-{}", ns.name);
            ns.apply(&edit_for(&user)).await?;
            let mallory = ns.acting_as(&user).await?;
            let pebble = steady().start(&bystander.cluster).await?;
            let builder = Operator::builder(bystander)
                .argument("--watch-namespaces", &format!("{},{}", ns.name, bystander.name))
                .argument("--namespace", &home.name);
            let operator = arguments(builder).start().await?;
            bystander.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
            bystander.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
            let scene = Scene { ns, mallory, user, bystander, home, pebble, operator };
            let outcome = attack(&scene).await;
            // The aftermath has already deleted it.
            let _ = scene.ns.delete().await;
            scene.home.delete().await?;
            outcome
        })
        .await
    }

    /// Applies YAML as the attacker.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        self.mallory.apply(yaml).await
    }

    /// Allows the attacker to write the status of our kinds in its namespace.
    pub async fn grant_status(&self) -> Result<()> {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "status" },
            "rules": [{
                "apiGroups": ["certwright.dev"], "resources": ["certificates/status", "issuers/status"],
                "verbs": ["get", "update", "patch"],
            }],
        });
        self.ns.apply(&role.to_string()).await?;
        self.ns.apply(&binding(&self.user, "Role", "status")).await.map(drop)
    }

    /// Changes the status of an object as the attacker, by a JSON merge patch.
    pub async fn forge(&self, target: &str, status: Value) -> Result<()> {
        let (kind, name) = target.split_once('/').context("no kind/name")?;
        let path = format!(
            "/apis/certwright.dev/v1alpha1/namespaces/{}/{kind}s/{name}/status?fieldManager=mallory",
            self.ns.name
        );
        let request = http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(serde_json::to_vec(&json!({ "status": status }))?)?;
        self.mallory.client.request::<Value>(request).await?;
        Ok(())
    }

    /// Checks that the attack has affected nobody else: a Certificate of the bystander is issued immediately, before and after a
    /// restart of the operator; its memory has stayed within the chart's limit; the attacker's objects have a bounded size and
    /// are not written repeatedly; their namespace can be deleted.
    pub async fn aftermath(&self) -> Result<()> {
        self.bystander_is_served("after-the-attack").await?;
        self.memory_is_bounded()?;
        self.operator.restart().await?;
        self.bystander_is_served("after-a-restart").await?;
        self.writes_are_few().await?;
        self.statuses_are_bounded().await?;
        self.memory_is_bounded()?;
        let _none = without_api_groups().await;
        self.ns.delete().await?;
        self.gone().await
    }

    /// A new Certificate of the bystander is issued immediately.
    pub async fn bystander_is_served(&self, name: &str) -> Result<()> {
        let host = format!("{name}.{}.example.com", self.bystander.name);
        self.bystander.apply(&certificate(name, &[&host], "")).await?;
        let ready =
            self.bystander.wait_condition(&format!("certificate/{name}"), "Ready", "True", SOON).await;
        ready.map(drop).context("somebody else noticed the attack")
    }

    /// The operator's memory has not exceeded the chart's limit since its last start.
    pub fn memory_is_bounded(&self) -> Result<()> {
        let peak = self.operator.peak_memory()?;
        eprintln!("{}: the operator's memory peaked at {} MiB", self.ns.name, peak >> 20);
        ensure!(peak < MEMORY_LIMIT, "the operator held {} MiB", peak >> 20);
        Ok(())
    }

    /// Almost nothing is written while nothing changes.
    pub async fn writes_are_few(&self) -> Result<()> {
        let before = self.writes().await?;
        // Only time shows that nothing is written.
        let _ = timeout(QUIET, std::future::pending::<()>()).await;
        let written = self.writes().await? - before;
        ensure!(written <= QUIET_WRITES, "{written} writes to the API server within {QUIET:?}, for nothing");
        Ok(())
    }

    async fn writes(&self) -> Result<u64> {
        let metrics = self.operator.metrics().await?;
        let counts = metrics.lines().filter(|line| line.starts_with("certwright_api_writes_total"));
        let values = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum::<f64>() as u64)
    }

    async fn statuses_are_bounded(&self) -> Result<()> {
        for kind in ["certificates", "issuers"] {
            let path = format!("/apis/certwright.dev/v1alpha1/namespaces/{}/{kind}", self.ns.name);
            let list: Statuses = self.ns.client.request(http::Request::get(path).body(Vec::new())?).await?;
            for object in list.items {
                let size = object.status.to_string().len();
                ensure!(size < STATUS_LIMIT, "the status of {:?} has {size} bytes", object.metadata.name);
            }
        }
        Ok(())
    }

    async fn gone(&self) -> Result<()> {
        let namespaces = Api::<Namespace>::all(self.ns.client.clone());
        let gone =
            await_condition(namespaces, &self.ns.name, |namespace: Option<&Namespace>| namespace.is_none());
        timeout(DELETION, gone).await.context("the namespace cannot be deleted")??;
        Ok(())
    }
}

/// Objects without their specs, which may be nested too deeply for a client.
#[derive(Deserialize)]
struct Statuses {
    items: Vec<WithStatus>,
}

#[derive(Deserialize)]
struct WithStatus {
    metadata: ObjectMeta,
    #[serde(default)]
    status: Value,
}

fn edit_for(user: &str) -> String {
    binding(user, "ClusterRole", "edit")
}

fn binding(user: &str, kind: &str, role: &str) -> String {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": role },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
    })
    .to_string()
}
