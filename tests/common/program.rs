//! The command line, with the test's cluster and namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::SOON;
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Proxy, TestNamespace};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;

/// The output of the program, and its exit code.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub output: String,
    pub errors: String,
}

impl Ran {
    /// Fails unless it ended with this code.
    pub fn ended(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == code,
            "it ended with {} and not with {code}:\n{}\n{}",
            self.code,
            self.output,
            self.errors
        );
        Ok(self)
    }

    /// Fails unless its output contains all of these, regardless of line breaks.
    pub fn says(self, words: &[&str]) -> Result<Self> {
        let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let output = in_one_line(&self.output);
        for words in words {
            ensure!(
                output.contains(&in_one_line(words)),
                "it lacks {words:?}:\n{}\n{}",
                self.output,
                self.errors
            );
        }
        Ok(self)
    }
}

/// `certwright` with these arguments, in the test's namespace.
pub async fn certwright(ns: &TestNamespace, arguments: &[&str]) -> Result<Ran> {
    run(command(ns, arguments)).await
}

/// The command, not started yet.
pub fn command(ns: &TestNamespace, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certwright"));
    command.args(arguments).args(["--namespace", &ns.name]);
    command
}

/// What a shell offers as the last of these words.
pub async fn completed(words: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certwright"));
    command.env("CERTWRIGHT_COMPLETE", "fish").args(["--", "certwright"]).args(words);
    let output = run(command).await?.ended(0)?.output;
    Ok(output.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect())
}

/// `certwright` alone, without a cluster.
pub async fn alone(arguments: &[&str]) -> Result<Ran> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certwright"));
    command.args(arguments).env("KUBECONFIG", "/nonexistent");
    run(command).await
}

/// Runs a command without blocking the rest of the test.
pub async fn run(mut command: Command) -> Result<Ran> {
    command.stdin(Stdio::null());
    let output: Output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok(Ran {
        code: output.status.code().unwrap_or(-1),
        output: String::from_utf8(output.stdout)?,
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Creates a link `kubectl-certwright` to the program in this directory.
pub fn link(directory: &Path) -> Result<()> {
    link_as(directory, "kubectl-certwright").map(drop)
}

/// Creates a link to the program under this name, and returns its path.
pub fn link_as(directory: &Path, name: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_certwright"), &path)?;
    Ok(path)
}

/// A kubeconfig for a service account of the test's namespace.
pub async fn kubeconfig_of(ns: &TestNamespace, account: &str) -> Result<tempfile::NamedTempFile> {
    let request: TokenRequest =
        serde_json::from_value(serde_json::json!({"spec": {"expirationSeconds": 3600}}))?;
    // Kubernetes creates that of a namespace soon after the namespace.
    ns.wait(&format!("serviceaccount/{account}"), SOON, |_| true).await?;
    let accounts = ns.api::<ServiceAccount>();
    let token = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    let token = token.status.context("no token")?.token;
    let mut config: serde_json::Value =
        serde_yaml::from_str(&fs::read_to_string(&ns.cluster.description.kubeconfig)?)?;
    let users = config["users"].as_array_mut().context("no users")?;
    users.iter_mut().for_each(|user| user["user"] = serde_json::json!({ "token": token }));
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), config.to_string())?;
    Ok(file)
}

/// A kubeconfig that leads to the API server through a proxy.
pub fn kubeconfig_through(ns: &TestNamespace, proxy: &Proxy) -> Result<tempfile::NamedTempFile> {
    let of = &ns.cluster.description;
    let config = fs::read_to_string(&of.kubeconfig)?.replace(&of.api_server, &proxy.url);
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), config)?;
    Ok(file)
}
