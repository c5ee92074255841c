//! cert-manager: its CustomResourceDefinitions from its Go module, and its own controllers as a program.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command as Blocking,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::process::Command;

use crate::{Cluster, TestNamespace, control_plane::kubectl, process::Process};

const MODULE: &str = "github.com/cert-manager/cert-manager";
const START_LIMIT: Duration = Duration::from_secs(30);

/// cert-manager's controllers for one namespace, which also has the Secrets of ClusterIssuers. They are stopped when this is
/// dropped. http-01 challenges have no solver pods, since there are no nodes: use `waitInsteadOfSelfCheck: 0s`, and a CA that
/// accepts every challenge.
pub struct CertManager {
    process: Process,
}

impl CertManager {
    /// Starts them. With `owner_references`, each Certificate owns its Secret. The cluster must have the definitions: see
    /// [`Cluster::cert_manager_api`].
    pub async fn start(namespace: &TestNamespace, owner_references: bool) -> Result<Self> {
        let resolver = namespace.cluster.description.dns.to_string();
        Self::run(namespace, owner_references, &resolver).await
    }

    /// The same, with this resolver for dns-01.
    pub async fn start_with_resolver(namespace: &TestNamespace, resolver: &str) -> Result<Self> {
        Self::run(namespace, false, resolver).await
    }

    async fn run(namespace: &TestNamespace, owner_references: bool, resolver: &str) -> Result<Self> {
        let description = &namespace.cluster.description;
        let mut command = Command::new(description.tools.program("cert-manager")?);
        command
            .env("KUBECONFIG", &description.kubeconfig)
            .env("NAMESPACE", &namespace.name)
            .env("CLUSTER_RESOURCE_NAMESPACE", &namespace.name)
            .env("NAMESERVERS", resolver)
            .env("ENABLE_OWNER_REF", owner_references.to_string());
        let logs = description.state.join("logs");
        let mut process = Process::start(&format!("cert-manager-{}", namespace.name), command, &logs)?;
        let log = logs.join(format!("cert-manager-{}.log", namespace.name));
        let running = || async { fs::read_to_string(&log).is_ok_and(|text| text.contains("running")) };
        process.wait_ready(START_LIMIT, running).await?;
        Ok(Self { process })
    }

    /// Kills them.
    pub async fn stop(mut self) -> Result<()> {
        self.process.kill().await
    }

    /// The last lines of their log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}

impl Cluster {
    /// Installs cert-manager's definitions, if they do not exist. They stay.
    pub async fn cert_manager_api(&self) -> Result<()> {
        let turn = self.turn("cert-manager-installation.lock", File::lock).await?;
        let mut arguments = Vec::new();
        let files = definitions()?;
        arguments.extend(files.iter().flat_map(|file| ["--filename", file]));
        let run = async |first: &[&str]| {
            let all: Vec<&str> = first.iter().copied().chain(arguments.iter().copied()).collect();
            kubectl(&self.description.tools, &self.description.state, &all).await.map(drop)
        };
        run(&["apply", "--server-side"]).await?;
        run(&["wait", "--for=condition=Established", "--timeout=60s"]).await?;
        // An established kind may not be served yet: the API server may say that its storage is initializing.
        let served = async {
            let kinds = "certificates.cert-manager.io,issuers.cert-manager.io,clusterissuers.cert-manager.io";
            while kubectl(&self.description.tools, &self.description.state, &["get", kinds, "-A"])
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(START_LIMIT, served).await.context("cert-manager's kinds are not served")?;
        drop(turn);
        Ok(())
    }
}

/// The files with cert-manager's definitions, in its module at the pinned version.
pub fn definitions() -> Result<Vec<String>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(module()?.join("deploy/crds"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    Ok(files.into_iter().map(|file| file.display().to_string()).collect())
}

/// A file of its module at the pinned version.
pub fn source(path: &str) -> Result<String> {
    let path = module()?.join(path);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Where Go keeps the module; it is downloaded if necessary, and its checksum must be the one in `go.sum`.
fn module() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/cert-manager");
    let output = Blocking::new("go")
        .args(["mod", "download", "-json", MODULE])
        .current_dir(source)
        .output()
        .context("cannot start go")?;
    let said: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("go mod download {MODULE} failed: {}", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    let directory = said["Dir"].as_str();
    Ok(directory.with_context(|| format!("go mod download {MODULE} failed: {}", said["Error"]))?.into())
}
