//! The operator itself, as a child process of the test, with the permissions of its own service account.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::ServiceAccount,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use parking_lot::{Mutex, MutexGuard};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    ADDRESS, FakeClock, TestNamespace, control_plane::kubeconfig, fake_clock::under_faketime,
    namespace::FIELD_MANAGER, ports, process,
};

/// The operator's service account, and the namespace it is in.
const ACCOUNT: &str = "certwright";
const ACCOUNT_NAMESPACE: &str = "certwright";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// How to run an [`Operator`].
pub struct OperatorBuilder<'a> {
    namespace: &'a TestNamespace,
    api_server: String,
    address: String,
    account: Option<String>,
    binary: PathBuf,
    arguments: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    faketime: bool,
}

/// A running operator; it is killed when this is dropped.
pub struct Operator {
    /// `ip:port` at which it answers HTTP-01 challenges.
    pub responder: String,
    /// `ip:port` at which it answers TLS-ALPN-01 challenges.
    pub tls_responder: String,
    /// URL of its metrics and health endpoints, without a final slash.
    pub metrics_url: String,
    /// The file its output goes to.
    pub log: PathBuf,
    /// The service account token that it presents to the API server. No other operator has the same one.
    pub token: String,
    binary: PathBuf,
    arguments: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    faketime: bool,
    process: OperatorProcess,
    http: reqwest::Client,
}

/// A handle that can kill an operator from anywhere, such as from the script of a [`Proxy`](crate::Proxy).
#[derive(Clone)]
pub struct OperatorProcess(Arc<Mutex<Child>>);

impl Operator {
    /// An operator for one test: it watches only this namespace, keeps its own Secrets there, ignores ClusterIssuers and uses no
    /// Lease.
    pub fn builder(namespace: &TestNamespace) -> OperatorBuilder<'_> {
        OperatorBuilder {
            namespace,
            api_server: namespace.cluster.description.api_server.clone(),
            address: ADDRESS.into(),
            account: None,
            binary: binary(),
            arguments: BTreeMap::new(),
            environment: BTreeMap::new(),
            faketime: false,
        }
    }

    /// Waits until it reports that it is ready.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<()> {
        let url = format!("{}/readyz", self.metrics_url);
        let start = Instant::now();
        loop {
            if let Ok(response) = self.http.get(&url).send().await
                && response.status().is_success()
            {
                return Ok(());
            }
            if let Some(status) = self.process.lock().try_wait()? {
                bail!("the operator ended with {status}:\n{}", process::tail(&self.log, 20));
            }
            if start.elapsed() > timeout {
                bail!("the operator is not ready after {timeout:?}:\n{}", process::tail(&self.log, 20));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills it with SIGKILL and waits until it has ended.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9()
    }

    /// A handle that can kill it.
    pub fn process(&self) -> OperatorProcess {
        self.process.clone()
    }

    /// Ends it with SIGTERM, and returns how long that took. Fails after a minute.
    pub async fn terminate(&self) -> Result<Duration> {
        let start = Instant::now();
        kill_process(self.pid()?, Signal::TERM)?;
        while self.process.lock().try_wait()?.is_none() {
            if start.elapsed() > Duration::from_secs(60) {
                bail!("the operator still runs a minute after SIGTERM:\n{}", process::tail(&self.log, 20));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(start.elapsed())
    }

    /// Whether its process exists.
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.process.lock().try_wait()?.is_none())
    }

    /// Kills it if it runs, starts it again with the same arguments and waits until it is ready.
    pub async fn restart(&self) -> Result<()> {
        self.kill9()?;
        let child = spawn(&self.binary, &self.arguments, &self.environment, self.faketime, &self.log)?;
        *self.process.lock() = child;
        self.wait_ready(Duration::from_secs(30)).await
    }

    /// All lines that it has printed, including those before restarts.
    pub fn logs(&self) -> Vec<String> {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(Into::into).collect()
    }

    /// Its metrics, in the text format.
    pub async fn metrics(&self) -> Result<String> {
        let response = self.http.get(format!("{}/metrics", self.metrics_url)).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// Its process id.
    pub fn pid(&self) -> Result<Pid> {
        let id = i32::try_from(self.process.lock().id())?;
        Pid::from_raw(id).context("a process id is not zero")
    }

    /// The processor time that it has used since it was started, in user and kernel mode.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        // The second field is the program's name in parentheses, which may contain anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |index: usize| -> Result<u64> { Ok(fields.get(index).context("a short stat file")?.parse()?) };
        let total = ticks(11)? + ticks(12)?;
        Ok(Duration::from_millis(total * 1000 / rustix::param::clock_ticks_per_second()))
    }

    /// Its memory (resident set size), in bytes.
    pub fn memory(&self) -> Result<u64> {
        self.memory_figure("VmRSS")
    }

    /// Its peak memory since it was last started, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        self.memory_figure("VmHWM")
    }

    fn memory_figure(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let line = line.with_context(|| format!("no {name}"))?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kibibytes * 1024)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.kill9();
    }
}

impl OperatorProcess {
    /// Kills it with SIGKILL and waits until it has ended. Does nothing if it has already ended.
    pub fn kill9(&self) -> Result<()> {
        let mut child = self.lock();
        if child.try_wait()?.is_none() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        self.0.lock()
    }
}

impl OperatorBuilder<'_> {
    /// Sets an argument, such as `("--watch-namespaces", "a,b")`; it replaces the default.
    pub fn argument(mut self, name: &str, value: &str) -> Self {
        self.arguments.insert(name.into(), value.into());
        self
    }

    /// Sets an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Uses this clock.
    pub fn clock(mut self, clock: &FakeClock) -> Self {
        for (name, value) in clock.environment() {
            self = self.environment(name, &value.to_string_lossy());
        }
        self.faketime = true;
        self
    }

    /// Reaches the API server through this URL, such as that of a [`Proxy`](crate::Proxy).
    pub fn api_server(mut self, url: &str) -> Self {
        self.api_server = url.into();
        self
    }

    /// Answers challenges on this address, like a second replica.
    pub fn address(mut self, address: &str) -> Self {
        self.address = address.into();
        self
    }

    /// Has only the permissions of this service account in the test's namespace.
    pub fn service_account(mut self, name: &str) -> Self {
        self.account = Some(name.into());
        self
    }

    /// Runs another binary, instead of `CERTWRIGHT_BIN` or the one that cargo built together with this program.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = path.into();
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Result<Operator> {
        let operator = self.spawn().await?;
        operator.wait_ready(Duration::from_secs(30)).await?;
        Ok(operator)
    }

    /// Starts it without waiting.
    pub async fn spawn(mut self) -> Result<Operator> {
        let description = &self.namespace.cluster.description;
        let name = format!("operator-{}-{}", self.namespace.name, COUNT.fetch_add(1, Ordering::Relaxed));
        let log = description.state.join("logs").join(format!("{name}.log"));
        let credentials = description.state.join(format!("{name}.kubeconfig"));
        let token = self.token().await?;
        fs::write(&credentials, kubeconfig(&self.api_server, &self.namespace.cluster.ca()?.pem, &token))?;

        let free = |at: &str| ports::free(at).map(|port| format!("{at}:{port}"));
        let defaults = [
            ("--namespace", self.namespace.name.clone()),
            ("--watch-namespaces", self.namespace.name.clone()),
            ("--cluster-issuers", "false".into()),
            ("--identity", name),
            ("--responder-addr", free(&self.address)?),
            ("--tls-alpn01-responder-addr", free(&self.address)?),
            ("--advertise-ip", self.address.clone()),
            ("--metrics-addr", free("127.0.0.1")?),
            ("--http01-nameservers", description.dns.to_string()),
            ("--dns01-recursive-nameservers", description.dns.to_string()),
            ("--leader-elect", "false".into()),
            // Servers of tests that need a separate address are there; the rest of the loopback network stays forbidden.
            ("--egress-allow", "127.80.0.0/16".into()),
            // Tests issue certificates that are valid only for seconds.
            ("--min-issuance-interval", "1s".into()),
            ("--log-format", "json".into()),
        ];
        for (name, value) in defaults {
            self.arguments.entry(name.into()).or_insert(value);
        }
        self.environment.insert("KUBECONFIG".into(), credentials.display().to_string());

        let child = spawn(&self.binary, &self.arguments, &self.environment, self.faketime, &log)?;
        self.namespace.add_operator_log(log.clone());
        Ok(Operator {
            responder: self.arguments["--responder-addr"].clone(),
            tls_responder: self.arguments["--tls-alpn01-responder-addr"].clone(),
            metrics_url: format!("http://{}", self.arguments["--metrics-addr"]),
            log,
            token,
            binary: self.binary,
            arguments: self.arguments,
            environment: self.environment,
            faketime: self.faketime,
            process: OperatorProcess(Arc::new(Mutex::new(child))),
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// A token of the operator's service account, so that its roles apply.
    async fn token(&self) -> Result<String> {
        let own = self.arguments.get("--namespace").unwrap_or(&self.namespace.name);
        if self.account.is_none() && own != ACCOUNT_NAMESPACE {
            self.grant_own_namespace(own).await?;
        }
        let (name, namespace) = match &self.account {
            Some(account) => (account.as_str(), self.namespace.name.as_str()),
            None => (ACCOUNT, ACCOUNT_NAMESPACE),
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.namespace.client.clone(), namespace);
        let request: TokenRequest = serde_json::from_value(json!({"spec": {"expirationSeconds": 86_400}}))?;
        let token =
            accounts.create_token_request(name, &PostParams::default(), &request).await.with_context(
                || format!("cannot get a token of the service account {name} in namespace {namespace}"),
            )?;
        Ok(token.status.context("a token request without a token")?.token)
    }

    /// Gives the service account in `namespace` the roles that it has in its own namespace.
    async fn grant_own_namespace(&self, namespace: &str) -> Result<()> {
        let client = &self.namespace.client;
        let bindings = Api::<RoleBinding>::namespaced(client.clone(), ACCOUNT_NAMESPACE);
        let roles = Api::<Role>::namespaced(client.clone(), ACCOUNT_NAMESPACE);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        for binding in bindings.list(&Default::default()).await? {
            let ours = binding.subjects.iter().flatten().any(|subject| subject.name == ACCOUNT);
            if !ours || binding.role_ref.kind != "Role" {
                continue;
            }
            let role = roles.get(&binding.role_ref.name).await?;
            let copy = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": {"name": role.name_any()}, "rules": role.rules,
            });
            Api::<Role>::namespaced(client.clone(), namespace)
                .patch(&role.name_any(), &params, &Patch::Apply(copy))
                .await?;
            let copy = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": binding.name_any()},
                "roleRef": binding.role_ref,
                "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": ACCOUNT_NAMESPACE}],
            });
            Api::<RoleBinding>::namespaced(client.clone(), namespace)
                .patch(&binding.name_any(), &params, &Patch::Apply(copy))
                .await?;
        }
        Ok(())
    }
}

/// `CERTWRIGHT_BIN`, or the binary in the directory of this program, or in the parent directory if this is a test.
fn binary() -> PathBuf {
    let beside = || process::built_beside("certwright");
    env::var_os("CERTWRIGHT_BIN").map(PathBuf::from).or_else(beside).unwrap_or_else(|| "certwright".into())
}

fn spawn(
    binary: &PathBuf,
    arguments: &BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
    faketime: bool,
    log: &PathBuf,
) -> Result<Child> {
    let output = File::options().create(true).append(true).open(log)?;
    let words = if faketime { under_faketime(binary) } else { vec![binary.into()] };
    Command::new(&words[0])
        .args(&words[1..])
        .arg("run")
        .args(arguments.iter().map(|(name, value)| format!("{name}={value}")))
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start the operator {}", binary.display()))
}
