//! A site whose server reads its certificate only when it starts.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use certwright_cluster::process::Process;
use certwright_cluster::{TestNamespace, packages};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::Tls;

const START_LIMIT: Duration = Duration::from_secs(10);

/// An HAProxy on port 443 of `address`, which reads its certificate when it starts.
pub async fn serve(ns: &TestNamespace, address: &str, stored: &Tls) -> Result<Process> {
    let directory = ns.cluster.description.state.join(format!("site-{}-{address}", ns.name));
    fs::create_dir_all(&directory)?;
    let (pem, file) = (directory.join("site.pem"), directory.join("haproxy.cfg"));
    fs::write(&pem, format!("{}{}", stored.chain.pem(), stored.key_pem))?;
    let configuration = format!(
        "defaults\n  mode http\n  timeout client 5s\n  timeout connect 5s\n  timeout server 5s\n\
         frontend site\n  bind {address}:443 ssl crt {}\n  http-request return status 200\n",
        pem.display()
    );
    fs::write(&file, configuration)?;
    let program = packages::find("haproxy").context("haproxy is missing. Run `make tools`")?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&file);
    let logs = ns.cluster.description.state.join("logs");
    let mut process = Process::start(&format!("site-{}-{address}", ns.name), command, &logs)?;
    process.wait_ready(START_LIMIT, || async { TcpStream::connect((address, 443)).await.is_ok() }).await?;
    Ok(process)
}
