//! cert-manager's own conformance suite for DNS webhooks, with `certwright-dns`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certwright_cluster::{ADDRESS, CertwrightDns, PowerDns, TestNamespace};
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

const ZONE: &str = "conformance.test";
/// The suite starts three control planes, one after the other.
const LIMIT: Duration = Duration::from_secs(180);

#[tokio::test]
async fn cert_managers_conformance_suite_passes() -> Result<()> {
    TestNamespace::with("conformance", async |ns| {
        let server = PowerDns::start(&ns.cluster, &[ZONE]).await?;
        let group = format!("{}.dns.example.com", ns.name);
        let (dns, _replica) = CertwrightDns::start(ns, &group).await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "powerdns" },
            "stringData": { "api-key": PowerDns::API_KEY },
        });
        ns.apply(&secret.to_string()).await?;
        let config = json!({
            "provider": "powerdns", "settings": { "url": server.url },
            "credentials": { "apiKey": { "secretRef": { "name": "powerdns", "key": "api-key" } } },
        });
        let tools = &ns.cluster.description.tools;
        let suite = Command::new(tools.program("cert-manager-conformance")?)
            .arg("-test.v")
            .env("TEST_ASSET_ETCD", tools.program("etcd")?)
            .env("TEST_ASSET_KUBE_APISERVER", api_server(ns)?)
            .env("TEST_ASSET_KUBECTL", tools.program("kubectl")?)
            .env("KUBECONFIG", &ns.cluster.description.kubeconfig)
            .env("GROUP_NAME", dns.group())
            .env("SOLVER", CertwrightDns::SOLVER)
            .env("NAMESPACE", &ns.name)
            .env("CONFIG", config.to_string())
            .env("ZONE", format!("{ZONE}."))
            .env("DNS_SERVER", server.server.address())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let suite = timeout(LIMIT, suite).await.context("the suite does not end")??;
        let said = String::from_utf8_lossy(&suite.stdout);
        let passed = |test: &str| said.contains(&format!("--- PASS: TestConformance/Conformance/{test} "));
        ensure!(
            suite.status.success()
                && passed("Basic/PresentRecord")
                && passed("Extended/DeletingOneRecordRetainsOthers"),
            "{said}{}",
            String::from_utf8_lossy(&suite.stderr)
        );
        Ok(())
    })
    .await
}

/// A program that starts an API server in a network without a default route, where it does not find its own address.
fn api_server(ns: &TestNamespace) -> Result<PathBuf> {
    let description = &ns.cluster.description;
    let program = description.tools.program("kube-apiserver")?;
    let path = description.state.join("kube-apiserver-for-conformance");
    let script = format!("#!/bin/sh\nexec '{}' --advertise-address={ADDRESS} \"$@\"\n", program.display());
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
