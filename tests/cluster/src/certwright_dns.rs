//! The program `certwright-dns`, as child processes of the test, with the permissions that its chart gives it.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::{
    ADDRESS, TestNamespace,
    api_service::{ApiService, VERSION, token, wait_allowed},
    control_plane::kubeconfig,
    ports,
    process::{self, Process},
};

const START_LIMIT: Duration = Duration::from_secs(30);
const ACCOUNT: &str = "certwright-dns";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// An API group that [`Replica`]s serve. It is removed when this is dropped.
pub struct CertwrightDns<'a> {
    namespace: &'a TestNamespace,
    api: ApiService,
    port: u16,
    arguments: Vec<String>,
    api_server: String,
}

/// A running replica; it is killed when this is dropped.
pub struct Replica {
    /// `ip:port` for the API server.
    pub secure: String,
    /// URL of its metrics and health endpoints, without a final slash.
    pub metrics_url: String,
    address: String,
    log: PathBuf,
    process: Process,
    http: reqwest::Client,
}

impl<'a> CertwrightDns<'a> {
    /// The name of its solver.
    pub const SOLVER: &'static str = "dns";

    /// Registers the group, which nobody serves yet.
    pub async fn register(namespace: &'a TestNamespace, group: &str) -> Result<Self> {
        let api = ApiService::announce(namespace, group, json!({})).await?;
        grant(namespace, &api).await?;
        let api_server = namespace.cluster.description.api_server.clone();
        Ok(Self { namespace, api, port: ports::free(ADDRESS)?, arguments: Vec::new(), api_server })
    }

    /// The same, with one replica that is ready, to which the group leads.
    pub async fn start(namespace: &'a TestNamespace, group: &str) -> Result<(Self, Replica)> {
        let dns = Self::register(namespace, group).await?;
        let mut replica = dns.replica(ADDRESS).await?;
        replica.wait_ready(START_LIMIT).await?;
        dns.lead_to(&[&replica]).await?;
        dns.wait_available().await?;
        Ok((dns, replica))
    }

    /// Further replicas have this argument, such as `--lease-duration=6s`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Further replicas reach the API server through this URL, such as that of a [`Proxy`](crate::Proxy).
    pub fn api_server(mut self, url: &str) -> Self {
        self.api_server = url.into();
        self
    }

    /// The API group.
    pub fn group(&self) -> &str {
        &self.api.group
    }

    /// The path of the solver.
    pub fn path(&self) -> String {
        format!("/apis/{}/{VERSION}/{}", self.api.group, Self::SOLVER)
    }

    /// The APIService.
    pub fn target(&self) -> String {
        format!("apiservice/{}", self.api.name())
    }

    /// The host name in its certificate.
    pub fn host(&self) -> String {
        ApiService::host(self.namespace, &self.api.group)
    }

    /// Grants the operator the one permission that it needs, to call the solver.
    pub async fn allow_operator(&self) -> Result<()> {
        self.api.allow_operator(self.namespace).await
    }

    /// From now on, the group leads to these replicas, as to the ready pods of a Service.
    pub async fn lead_to(&self, replicas: &[&Replica]) -> Result<()> {
        let addresses: Vec<&str> = replicas.iter().map(|replica| replica.address.as_str()).collect();
        self.api.lead_to(self.namespace, self.port, &addresses).await
    }

    /// Waits until the API server forwards requests.
    pub async fn wait_available(&self) -> Result<()> {
        self.api.wait_available(self.namespace).await
    }

    /// Starts a replica on this address, without waiting until it is ready.
    pub async fn replica(&self, address: &str) -> Result<Replica> {
        let description = &self.namespace.cluster.description;
        let name = format!("dns-{}-{}", self.namespace.name, COUNT.fetch_add(1, Ordering::Relaxed));
        let credentials = description.state.join(format!("{name}.kubeconfig"));
        let token = token(self.namespace, ACCOUNT).await?;
        fs::write(&credentials, kubeconfig(&self.api_server, &self.namespace.cluster.ca()?.pem, &token))?;
        let (secure, metrics) =
            (format!("{address}:{}", self.port), format!("127.0.0.1:{}", ports::free("127.0.0.1")?));
        let program = process::built_beside("certwright-dns").context("certwright-dns is not built")?;
        let mut command = Command::new(program);
        command
            .arg(format!("--group-name={}", self.api.group))
            .arg(format!("--namespace={}", self.namespace.name))
            .arg(format!("--service-name={}", ApiService::service_name(&self.api.group)))
            .arg(format!("--identity={name}"))
            .arg(format!("--secure-addr={secure}"))
            .arg(format!("--metrics-addr={metrics}"))
            .args(&self.arguments)
            .env("KUBECONFIG", &credentials);
        let logs = description.state.join("logs");
        let log = logs.join(format!("{name}.log"));
        let process = Process::start(&name, command, &logs)?;
        self.namespace.add_operator_log(log.clone());
        Ok(Replica {
            secure,
            metrics_url: format!("http://{metrics}"),
            address: address.into(),
            log,
            process,
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }
}

impl Replica {
    /// Waits until it is ready.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<()> {
        let (http, url) = (self.http.clone(), format!("{}/readyz", self.metrics_url));
        let ready = || async { http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) };
        self.process.wait_ready(limit, ready).await
    }

    /// The status and text of one of its health endpoints.
    pub async fn health(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.http.get(format!("{}{path}", self.metrics_url)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Kills it with SIGKILL.
    pub async fn kill9(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Ends it with SIGTERM, and waits until it has ended.
    pub async fn terminate(&mut self) -> Result<()> {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.context("it has ended")?, Signal::TERM)?;
        timeout(Duration::from_secs(40), async {
            while self.process.is_running()? {
                sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        })
        .await?
    }

    /// Its memory (resident set size), in bytes.
    pub fn memory(&self) -> Result<u64> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.process.id().context("it has ended")?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
    }

    /// All that it has logged.
    pub fn logs(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// The permissions that the chart gives it, and Secrets of the namespace.
async fn grant(namespace: &TestNamespace, api: &ApiService) -> Result<()> {
    let account = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace.name}]);
    let delegation = ApiService::delegation_name(&api.group);
    let own = ApiService::own_name(&api.group);
    let rule = |group: &str, resource: &str, verbs: &[&str], names: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs, "resourceNames": names});
    let role = |kind: &str, name: &str, rules: Vec<Value>| json!({"apiVersion": RBAC, "kind": kind, "metadata": {"name": name}, "rules": rules});
    let binding = |kind: &str, name: &str, role: (&str, &str), namespace: Option<&str>| {
        json!({
            "apiVersion": RBAC, "kind": kind, "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1},
            "subjects": account,
        })
    };
    let service = api.name();
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}),
        binding("ClusterRoleBinding", &delegation, ("ClusterRole", "system:auth-delegator"), None),
        binding(
            "RoleBinding",
            &delegation,
            ("Role", "extension-apiserver-authentication-reader"),
            Some("kube-system"),
        ),
        role(
            "ClusterRole",
            &delegation,
            vec![rule("apiregistration.k8s.io", "apiservices", &["get", "patch"], &[&service])],
        ),
        binding("ClusterRoleBinding", &own, ("ClusterRole", &delegation), None),
        role(
            "Role",
            ACCOUNT,
            vec![
                rule("coordination.k8s.io", "leases", &["create"], &[]),
                rule("coordination.k8s.io", "leases", &["get", "update"], &["certwright-dns"]),
                rule("", "secrets", &["create", "get", "update"], &[]),
            ],
        ),
        binding("RoleBinding", ACCOUNT, ("Role", ACCOUNT), None),
    ];
    for object in objects {
        namespace.apply(&object.to_string()).await?;
    }
    let user = format!("system:serviceaccount:{}:{ACCOUNT}", namespace.name);
    let configuration = json!({
        "namespace": "kube-system", "resource": "configmaps", "verb": "get",
        "name": "extension-apiserver-authentication",
    });
    let secrets = json!({"namespace": namespace.name, "resource": "secrets", "verb": "get", "name": "any"});
    let reviews =
        json!({"group": "authorization.k8s.io", "resource": "subjectaccessreviews", "verb": "create"});
    for attributes in [configuration, secrets, reviews] {
        wait_allowed(namespace, &user, &attributes).await?;
    }
    Ok(())
}
