//! kube-proxy, which routes the cluster addresses of Services to pods.

use std::time::Duration;

use anyhow::Result;
use tokio::process::Command;

use crate::{Cluster, process::Process};

const START_LIMIT: Duration = Duration::from_secs(30);

/// Starts it for a node that the API server knows, and returns when its rules are in place.
pub async fn start(cluster: &Cluster, node: &str) -> Result<Process> {
    let mut command = Command::new(cluster.description.tools.program("kube-proxy")?);
    command
        .args([
            "--proxy-mode=nftables",
            "--conntrack-max-per-core=0",
            "--metrics-bind-address=127.0.0.1:10249",
        ])
        .args(["--healthz-bind-address=127.0.0.1:10256", &format!("--hostname-override={node}")])
        .arg(format!("--kubeconfig={}", cluster.description.kubeconfig.display()));
    let mut process = Process::start("kube-proxy", command, &cluster.description.state.join("logs"))?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let healthy = || async {
        let answer = http.get("http://127.0.0.1:10256/healthz").send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    };
    process.wait_ready(START_LIMIT, healthy).await?;
    Ok(process)
}
