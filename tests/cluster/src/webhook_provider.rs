//! A DNS provider as others write them for cert-manager: a webhook server with cert-manager's own library and its RFC 2136
//! solver, behind the API server.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use reqwest::Certificate;
use serde_json::json;
use tokio::process::Command;

use crate::{
    ADDRESS, TestNamespace,
    api_service::{ApiService, token, wait_allowed},
    control_plane::kubeconfig,
    ports,
    process::Process,
};

const START_LIMIT: Duration = Duration::from_secs(30);
const ACCOUNT: &str = "provider";

/// A running webhook server with the solver [`WebhookProvider::SOLVER`]; it is stopped when this is dropped, and its API group is
/// removed.
pub struct WebhookProvider<'a> {
    namespace: &'a TestNamespace,
    api: ApiService,
    port: u16,
    directory: PathBuf,
    process: Option<Process>,
}

impl<'a> WebhookProvider<'a> {
    /// The name of its solver. Its `config` is that of cert-manager's `rfc2136`: `nameserver`, `tsigKeyName`,
    /// `tsigAlgorithm` (`HMACSHA256`) and `tsigSecretSecretRef`.
    pub const SOLVER: &'static str = "rfc2136";

    /// Starts one that serves this API group and reads the Secrets of the test's namespace. A cluster can have only one of these.
    /// Returns when requests to the API server reach it.
    pub async fn start(namespace: &'a TestNamespace, group: &str) -> Result<Self> {
        let port = ports::free(ADDRESS)?;
        let directory = namespace.cluster.description.state.join(format!("webhook-{group}"));
        fs::create_dir_all(&directory)?;
        let ca = namespace.cluster.ca()?;
        let host = ApiService::host(namespace, group);
        ca.sign("provider", &[&host, ADDRESS])?.write(&directory, "tls")?;
        grant(namespace, group).await?;
        let token = token(namespace, ACCOUNT).await?;
        let server = &namespace.cluster.description.api_server;
        fs::write(directory.join("kubeconfig"), kubeconfig(server, &ca.pem, &token))?;

        let process = run(namespace, group, port, &directory).await?;
        let api = ApiService::register(namespace, group, port).await?;
        Ok(Self { namespace, api, port, directory, process: Some(process) })
    }

    /// The API group.
    pub fn group(&self) -> &str {
        &self.api.group
    }

    /// Grants the operator the one permission that it needs, to call the group's solvers.
    pub async fn allow_operator(&self) -> Result<()> {
        self.api.allow_operator(self.namespace).await
    }

    /// Kills it; from then on, the API server answers requests for its group with 503.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Starts it again after [`WebhookProvider::stop`], and returns when requests reach it.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.process = Some(run(self.namespace, &self.api.group, self.port, &self.directory).await?);
        self.api.wait_available(self.namespace).await
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.as_ref().map(|process| process.log_tail(lines)).unwrap_or_default()
    }
}

async fn run(namespace: &TestNamespace, group: &str, port: u16, directory: &Path) -> Result<Process> {
    let description = &namespace.cluster.description;
    let file = |name: &str| directory.join(name).display().to_string();
    let kubeconfig = file("kubeconfig");
    let mut command = Command::new(description.tools.program("cert-manager-webhook")?);
    command
        .arg(format!("--bind-address={ADDRESS}"))
        .arg(format!("--secure-port={port}"))
        .arg(format!("--tls-cert-file={}", file("tls.crt")))
        .arg(format!("--tls-private-key-file={}", file("tls.key")))
        .arg(format!("--kubeconfig={kubeconfig}"))
        .arg(format!("--authentication-kubeconfig={kubeconfig}"))
        .arg(format!("--authorization-kubeconfig={kubeconfig}"))
        .env("GROUP_NAME", group)
        .env("NAMESPACE", &namespace.name);
    let mut process = Process::start(&format!("webhook-{group}"), command, &description.state.join("logs"))?;
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([Certificate::from_pem(namespace.cluster.ca()?.pem.as_bytes())?])
        .build()?;
    let url = format!("https://{ADDRESS}:{port}/readyz");
    let ready = || async {
        let answer = http.get(&url).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    };
    process.wait_ready(START_LIMIT, ready).await?;
    Ok(process)
}

/// The permissions that every such provider needs: to ask the API server who calls and whether they may, and to read its Secrets.
async fn grant(namespace: &TestNamespace, group: &str) -> Result<()> {
    const RBAC: &str = "rbac.authorization.k8s.io/v1";
    const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
    let delegation = ApiService::delegation_name(group);
    let account = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace.name}]);
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}),
        json!({
            "apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": delegation},
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": "system:auth-delegator"},
            "subjects": account,
        }),
        json!({
            "apiVersion": RBAC, "kind": "RoleBinding",
            "metadata": {"name": delegation, "namespace": "kube-system"},
            "roleRef": {
                "apiGroup": RBAC_GROUP, "kind": "Role", "name": "extension-apiserver-authentication-reader",
            },
            "subjects": account,
        }),
        json!({
            "apiVersion": RBAC, "kind": "Role", "metadata": {"name": ACCOUNT},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}],
        }),
        json!({
            "apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": ACCOUNT},
            "subjects": account,
        }),
    ];
    for object in objects {
        namespace.apply(&object.to_string()).await?;
    }
    // It ends immediately if it may not read these.
    let user = format!("system:serviceaccount:{}:{ACCOUNT}", namespace.name);
    let configuration = json!({
        "namespace": "kube-system", "resource": "configmaps", "verb": "list",
        "name": "extension-apiserver-authentication",
    });
    let secrets = json!({"namespace": namespace.name, "resource": "secrets", "verb": "list"});
    let reviews =
        json!({"group": "authorization.k8s.io", "resource": "subjectaccessreviews", "verb": "create"});
    for attributes in [configuration, secrets, reviews] {
        wait_allowed(namespace, &user, &attributes).await?;
    }
    Ok(())
}
