//! API groups that the API server forwards to servers of tests (the aggregation layer), as it does for DNS webhooks.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::{
    authentication::v1::TokenRequest, authorization::v1::SubjectAccessReview, core::v1::ServiceAccount,
};
use kube::{Api, api::PostParams};
use reqwest::{Certificate, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::{interval, timeout};

use crate::{ADDRESS, TestNamespace, control_plane::ADMIN_TOKEN};

/// The one version of webhook APIs.
pub(crate) const VERSION: &str = "v1alpha1";

/// Long enough for the API server to check again.
const AVAILABLE_LIMIT: Duration = Duration::from_secs(60);
const ALLOWED_LIMIT: Duration = Duration::from_secs(20);

/// Each group holds it for reading. A test that needs a cluster without groups holds it for writing.
static GROUPS: RwLock<()> = RwLock::const_new(());

/// Waits until no test of this program has an API group, and prevents others from registering one while the result is held:
/// Kubernetes deletes no namespace while one of the groups does not answer.
pub async fn without_api_groups() -> RwLockWriteGuard<'static, ()> {
    let mut again = interval(Duration::from_millis(100));
    loop {
        again.tick().await;
        // Waiting in the queue would prevent a test that has one group from registering another.
        if let Ok(alone) = GROUPS.try_write() {
            return alone;
        }
    }
}

/// An API group that leads to a port of [`ADDRESS`]. It is removed when this is dropped: a group whose server is gone makes
/// discovery fail for everybody.
pub(crate) struct ApiService {
    pub(crate) group: String,
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    _group: RwLockReadGuard<'static, ()>,
}

impl ApiService {
    /// The name of a group's Service.
    pub(crate) fn service_name(group: &str) -> String {
        group.replace('.', "-")
    }

    /// The name that the server's certificate must have.
    pub(crate) fn host(namespace: &TestNamespace, group: &str) -> String {
        format!("{}.{}.svc", Self::service_name(group), namespace.name)
    }

    /// Registers the group. The server, on this port of [`ADDRESS`], has a certificate of the test CA.
    pub(crate) async fn register(namespace: &TestNamespace, group: &str, port: u16) -> Result<Self> {
        let ca = BASE64_STANDARD.encode(namespace.cluster.ca()?.pem);
        let registered = Self::announce(namespace, group, json!({"caBundle": ca})).await?;
        registered.lead_to(namespace, port, &[ADDRESS]).await?;
        registered.wait_available(namespace).await?;
        Ok(registered)
    }

    /// Registers the group, which leads nowhere yet. Its spec also has these fields.
    pub(crate) async fn announce(namespace: &TestNamespace, group: &str, fields: Value) -> Result<Self> {
        let service = Self::service_name(group);
        let description = &namespace.cluster.description;
        let registered = Self {
            group: group.into(),
            kubectl: description.tools.program("kubectl")?,
            kubeconfig: description.kubeconfig.clone(),
            _group: GROUPS.read().await,
        };
        let mut api_service = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": registered.name()},
            "spec": {
                "group": group, "version": VERSION,
                "groupPriorityMinimum": 1000, "versionPriority": 15,
                "service": {"name": service, "namespace": namespace.name, "port": 443},
            },
        });
        for (name, value) in fields.as_object().into_iter().flatten() {
            api_service["spec"][name] = value.clone();
        }
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": service},
            "spec": {"ports": [{"name": "https", "port": 443}]},
        });
        for object in [service, api_service] {
            namespace.apply(&object.to_string()).await?;
        }
        Ok(registered)
    }

    /// From now on, the group leads to this port of these addresses.
    pub(crate) async fn lead_to(
        &self,
        namespace: &TestNamespace,
        port: u16,
        addresses: &[&str],
    ) -> Result<()> {
        let service = Self::service_name(&self.group);
        let endpoints: Vec<_> = addresses
            .iter()
            .map(|address| json!({"addresses": [address], "conditions": {"ready": true}}))
            .collect();
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port}],
            "endpoints": endpoints,
        });
        namespace.apply(&slice.to_string()).await.map(drop)
    }

    /// Waits until the API server forwards requests, and the server knows their users. The API server checks unavailable servers
    /// at growing intervals, and immediately after a change.
    pub(crate) async fn wait_available(&self, namespace: &TestNamespace) -> Result<()> {
        let ca = Certificate::from_pem(namespace.cluster.ca()?.pem.as_bytes())?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build()?;
        let url = format!("{}/apis/{}/{VERSION}", namespace.cluster.description.api_server, self.group);
        let target = format!("apiservice/{}", self.name());
        let forwarded = async {
            for attempt in 0_u32.. {
                let get = async |url: &str| {
                    let answer = http.get(url).bearer_auth(ADMIN_TOKEN).send().await;
                    answer.map_or(StatusCode::SERVICE_UNAVAILABLE, |answer| answer.status())
                };
                // Until the server has loaded the CA of the front proxy, it considers the API server itself the user, who may
                // only use discovery. An administrator is told that the resource does not exist.
                if get(&url).await.is_success() && get(&format!("{url}/any")).await != StatusCode::FORBIDDEN {
                    break;
                }
                if attempt.is_multiple_of(10) {
                    let patch = json!({"metadata": {"annotations": {"test/attempt": attempt.to_string()}}});
                    namespace.patch(&target, patch).await?;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        let result = timeout(AVAILABLE_LIMIT, forwarded).await;
        result.with_context(|| format!("the API server does not forward requests for {}", self.group))?
    }

    /// Allows the operator's service account to call every solver of the group, like the rule that a provider includes.
    pub(crate) async fn allow_operator(&self, namespace: &TestNamespace) -> Result<()> {
        let name = &self.group;
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": [{"apiGroups": [self.group], "resources": ["*"], "verbs": ["create"]}],
        });
        let account = json!({"kind": "ServiceAccount", "name": "certwright", "namespace": "certwright"});
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [account],
        });
        namespace.apply(&role.to_string()).await?;
        namespace.apply(&binding.to_string()).await?;
        let any = json!({"group": self.group, "resource": "any", "verb": "create"});
        wait_allowed(namespace, "system:serviceaccount:certwright:certwright", &any).await
    }

    /// The name of the cluster-wide role of a provider.
    pub(crate) fn delegation_name(group: &str) -> String {
        format!("{group}:delegation")
    }

    /// The name of the binding of a provider's own cluster-wide role.
    pub(crate) fn own_name(group: &str) -> String {
        format!("{group}:own")
    }

    /// The name of the APIService.
    pub(crate) fn name(&self) -> String {
        format!("{VERSION}.{}", self.group)
    }
}

/// A token for a service account of a namespace.
pub(crate) async fn token(namespace: &TestNamespace, account: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = namespace.api();
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"expirationSeconds": 86_400}}))?;
    let token = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    Ok(token.status.context("a token request without a token")?.token)
}

/// Waits until the API server allows a user to do something: it learns of new bindings with a delay.
pub(crate) async fn wait_allowed(namespace: &TestNamespace, user: &str, attributes: &Value) -> Result<()> {
    let review: SubjectAccessReview = serde_json::from_value(
        json!({"metadata": {}, "spec": {"user": user, "resourceAttributes": attributes}}),
    )?;
    let reviews = Api::<SubjectAccessReview>::all(namespace.client.clone());
    let allowed = async {
        loop {
            let answer = reviews.create(&PostParams::default(), &review).await?;
            if answer.status.is_some_and(|status| status.allowed) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let result = timeout(ALLOWED_LIMIT, allowed).await;
    result.with_context(|| format!("{user} is not allowed {attributes}"))?
}

impl Drop for ApiService {
    fn drop(&mut self) {
        // A test that is ending has no runtime to wait in.
        let _ = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["delete", "--namespace=kube-system", "--ignore-not-found", "--wait=false"])
            .arg(format!("apiservice/{}", self.name()))
            .arg(format!("clusterrole/{}", self.group))
            .arg(format!("clusterrolebinding/{}", self.group))
            .arg(format!("clusterrole/{}", Self::delegation_name(&self.group)))
            .arg(format!("clusterrolebinding/{}", Self::delegation_name(&self.group)))
            .arg(format!("clusterrolebinding/{}", Self::own_name(&self.group)))
            .arg(format!("rolebinding/{}", Self::delegation_name(&self.group)))
            .output();
    }
}
