//! etcd, kube-apiserver and kube-controller-manager: a control plane.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::{await_condition, conditions},
};
use rcgen::KeyPair;
use reqwest::Certificate;
use serde_json::json;
use tokio::process::Command;

use crate::{ADDRESS, SERVICE_NETWORK, ca::TestCa, process::Process, tools::Tools};

const ETCD: &str = "http://127.0.0.1:2379";
/// The administrator's bearer token: a run can be reached only from this machine.
pub const ADMIN_TOKEN: &str = "administrator";
/// The most that etcd stores for [`Capacity::Large`], in bytes; by default it is 2 GiB.
const ETCD_LARGE: u64 = 8 << 30;
const START_LIMIT: Duration = Duration::from_secs(60);

/// What all tests rely on.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,endpointslice-controller,\
    endpoints-controller,serviceaccount-controller,serviceaccount-token-controller,\
    root-ca-certificate-publisher-controller,clusterrole-aggregation-controller";

/// The controllers that create and delete pods, if there is a node.
const POD_CONTROLLERS: &str = "deployment-controller,replicaset-controller,disruption-controller,\
    node-lifecycle-controller,taint-eviction-controller,pod-garbage-collector-controller";

/// For the test that compares what the operator may do with what it does: its requests are logged, and watches when they start.
/// In the namespaces where `bench-scale` measures how fast certificates are issued, nobody reads them.
const AUDIT_POLICY: &str = r#"{
    "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "namespaces": ["issue-few", "issue-many"]},
        {"level": "Metadata", "users": ["system:serviceaccount:certwright:certwright"]},
        {"level": "None"}
    ]
}"#;

/// The file, in a run's directory, with the requests of the operator's service account: one JSON object of the kind `Event`
/// (`audit.k8s.io/v1`) per line.
pub fn audit_log(state: &Path) -> PathBuf {
    state.join("logs").join("audit.log")
}

/// How many objects a control plane holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// As many as tests create.
    Tests,
    /// Hundreds of thousands.
    Large,
}

/// A running control plane; it ends when this is dropped.
pub struct ControlPlane {
    _etcd: Process,
    _api_server: Process,
    controller_manager: Option<Process>,
}

/// URL of the API server.
pub fn api_server_url() -> String {
    format!("https://{ADDRESS}:6443")
}

impl ControlPlane {
    /// Starts etcd and the API server, and returns once the API server is ready. `state/kubeconfig` is then an
    /// administrator's.
    pub async fn start(tools: &Tools, ca: &TestCa, state: &Path, capacity: Capacity) -> Result<Self> {
        let logs = state.join("logs");
        let mut etcd = Process::start("etcd", etcd(tools, state, capacity)?, &logs)?;
        write_files(ca, state)?;

        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([Certificate::from_pem(ca.pem.as_bytes())?])
            .build()?;
        etcd.wait_ready(START_LIMIT, || answers(http.get(format!("{ETCD}/readyz")))).await?;

        let mut api_server = Process::start("kube-apiserver", api_server(tools, state, capacity)?, &logs)?;
        let readyz = format!("{}/readyz", api_server_url());
        api_server.wait_ready(START_LIMIT, || answers(http.get(&readyz).bearer_auth(ADMIN_TOKEN))).await?;
        Ok(Self { _etcd: etcd, _api_server: api_server, controller_manager: None })
    }

    /// Starts the controller manager. Its garbage collector discovers kinds only every 30 seconds, so start it after the
    /// CustomResourceDefinitions exist. With `pods`, it also manages pods.
    pub async fn start_controllers(&mut self, tools: &Tools, state: &Path, pods: bool) -> Result<()> {
        let logs = state.join("logs");
        let mut process =
            Process::start("kube-controller-manager", controller_manager(tools, state, pods)?, &logs)?;
        let client = admin_client(&state.join("kubeconfig")).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
        let created = await_condition(accounts, "default", conditions::is_created());
        tokio::select! {
            result = created => drop(result?),
            result = process.wait_ready(START_LIMIT, || async { false }) => result?,
        }
        self.controller_manager = Some(process);
        Ok(())
    }
}

/// A client with an administrator's rights.
pub async fn admin_client(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(admin_config(kubeconfig).await?)?)
}

/// How an administrator reaches the API server.
pub async fn admin_config(kubeconfig: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// A kubeconfig with one user.
pub fn kubeconfig(server: &str, ca_pem: &str, token: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    // JSON is YAML.
    let value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {
            "server": server,
            "certificate-authority-data": BASE64_STANDARD.encode(ca_pem),
        }}],
        "users": [{"name": "test", "user": {"token": token}}],
    });
    format!("{value:#}\n")
}

/// Runs kubectl as the administrator and returns what it printed.
pub async fn kubectl(tools: &Tools, state: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(tools.program("kubectl")?)
        .arg("--kubeconfig")
        .arg(state.join("kubeconfig"))
        .args(arguments)
        .output()
        .await
        .context("cannot run kubectl")?;
    ensure!(
        output.status.success(),
        "kubectl {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn answers(request: reqwest::RequestBuilder) -> bool {
    request.send().await.is_ok_and(|response| response.status().is_success())
}

fn write_files(ca: &TestCa, state: &Path) -> Result<()> {
    let names = [
        ADDRESS,
        "10.96.0.1",
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    ca.sign("kube-apiserver", &names)?.write(state, "apiserver")?;
    ca.sign("front-proxy", &[])?.write(state, "front-proxy")?;
    let service_accounts = KeyPair::generate()?;
    fs::write(state.join("service-accounts.key"), service_accounts.serialize_pem())?;
    fs::write(state.join("service-accounts.pub"), service_accounts.public_key_pem())?;
    fs::write(state.join("tokens.csv"), format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n"))?;
    fs::write(state.join("audit-policy.json"), AUDIT_POLICY)?;
    fs::write(state.join("kubeconfig"), kubeconfig(&api_server_url(), &ca.pem, ADMIN_TOKEN))?;
    Ok(())
}

fn etcd(tools: &Tools, state: &Path, capacity: Capacity) -> Result<Command> {
    let mut command = Command::new(tools.program("etcd")?);
    command
        .args(["--unsafe-no-fsync", "--log-level=warn", "--listen-peer-urls=http://127.0.0.1:2380"])
        .arg(format!("--listen-client-urls={ETCD}"))
        .arg(format!("--advertise-client-urls={ETCD}"))
        .arg(flag("--data-dir", &state.join("etcd")));
    if capacity == Capacity::Large {
        command.arg(format!("--quota-backend-bytes={ETCD_LARGE}"));
    }
    Ok(command)
}

fn api_server(tools: &Tools, state: &Path, capacity: Capacity) -> Result<Command> {
    let mut command = Command::new(tools.program("kube-apiserver")?);
    command
        .arg(format!("--etcd-servers={ETCD}"))
        .arg(format!("--bind-address={ADDRESS}"))
        .arg(format!("--advertise-address={ADDRESS}"))
        .arg(format!("--service-cluster-ip-range={SERVICE_NETWORK}"))
        .args([
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--enable-aggregator-routing",
            "--kubelet-preferred-address-types=InternalIP",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            "--max-requests-inflight=2000",
            "--max-mutating-requests-inflight=1000",
        ])
        .arg(flag("--audit-policy-file", &state.join("audit-policy.json")))
        .arg(flag("--audit-log-path", &audit_log(state)))
        .arg(flag("--token-auth-file", &state.join("tokens.csv")))
        .arg(flag("--client-ca-file", &state.join("ca.crt")))
        .arg(flag("--tls-cert-file", &state.join("apiserver.crt")))
        .arg(flag("--tls-private-key-file", &state.join("apiserver.key")))
        .arg(flag("--service-account-key-file", &state.join("service-accounts.pub")))
        .arg(flag("--service-account-signing-key-file", &state.join("service-accounts.key")))
        .arg(flag("--requestheader-client-ca-file", &state.join("ca.crt")))
        .arg(flag("--proxy-client-cert-file", &state.join("front-proxy.crt")))
        .arg(flag("--proxy-client-key-file", &state.join("front-proxy.key")));
    if capacity == Capacity::Large {
        // Old versions go soon, and the audit log stays one file.
        command.args(["--etcd-compaction-interval=1m", "--audit-log-maxsize=100000"]);
    }
    Ok(command)
}

fn controller_manager(tools: &Tools, state: &Path, pods: bool) -> Result<Command> {
    let controllers = if pods { format!("{CONTROLLERS},{POD_CONTROLLERS}") } else { CONTROLLERS.to_owned() };
    let mut command = Command::new(tools.program("kube-controller-manager")?);
    command
        .arg(format!("--controllers={controllers}"))
        .args([
            "--leader-elect=false",
            "--kube-api-qps=1000",
            "--kube-api-burst=2000",
            "--concurrent-gc-syncs=20",
            "--concurrent-namespace-syncs=20",
            "--bind-address=127.0.0.1",
        ])
        .arg(flag("--kubeconfig", &state.join("kubeconfig")))
        .arg(flag("--root-ca-file", &state.join("ca.crt")))
        .arg(flag("--service-account-private-key-file", &state.join("service-accounts.key")));
    Ok(command)
}

fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
