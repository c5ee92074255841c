//! The DNS server of the ACME servers and the operator: pebble-challtestsrv.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{ADDRESS, process::Process, tools::Tools};

const PORT: u16 = 8053;
const MANAGEMENT_PORT: u16 = 8055;

/// Changes the DNS server's answers. By default, it answers every A query with [`ADDRESS`], and every AAAA query
/// with an empty answer.
#[derive(Clone, Debug)]
pub struct Dns {
    address: SocketAddr,
    management: String,
    http: reqwest::Client,
}

/// The address the DNS server listens on, over UDP and TCP.
pub fn address() -> Result<SocketAddr> {
    format!("{ADDRESS}:{PORT}").parse().context("the DNS server's address")
}

/// URL for changes of its records.
pub fn management_url() -> String {
    format!("http://127.0.0.1:{MANAGEMENT_PORT}")
}

/// Starts the DNS server.
pub async fn start(tools: &Tools, state: &Path) -> Result<Process> {
    let mut command = Command::new(tools.program("pebble-challtestsrv")?);
    command
        .args(["-doh", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
        .args(["-defaultIPv4", ADDRESS])
        .args(["-dnsserver", &address()?.to_string()])
        .args(["-management", &format!("127.0.0.1:{MANAGEMENT_PORT}")]);
    let mut process = Process::start("challtestsrv", command, &state.join("logs"))?;
    let connect = || async { tokio::net::TcpStream::connect(("127.0.0.1", MANAGEMENT_PORT)).await.is_ok() };
    process.wait_ready(Duration::from_secs(10), connect).await?;
    Ok(process)
}

impl Dns {
    pub(crate) fn new(address: SocketAddr, management: String) -> Result<Self> {
        Ok(Self { address, management, http: reqwest::Client::builder().no_proxy().build()? })
    }

    /// The address for queries.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers A queries for `host` with these addresses.
    pub async fn set_a(&self, host: &str, addresses: &[&str]) -> Result<()> {
        self.clear_a(host).await?;
        self.post("add-a", json!({"host": host, "addresses": addresses})).await
    }

    /// Answers A queries for `host` with the default again.
    pub async fn clear_a(&self, host: &str) -> Result<()> {
        self.post("clear-a", json!({"host": host})).await
    }

    /// Answers AAAA queries for `host` with these addresses.
    pub async fn set_aaaa(&self, host: &str, addresses: &[&str]) -> Result<()> {
        self.clear_aaaa(host).await?;
        self.post("add-aaaa", json!({"host": host, "addresses": addresses})).await
    }

    /// Answers AAAA queries for `host` with the default again.
    pub async fn clear_aaaa(&self, host: &str) -> Result<()> {
        self.post("clear-aaaa", json!({"host": host})).await
    }

    /// Makes `host` an alias of `target`.
    pub async fn set_cname(&self, host: &str, target: &str) -> Result<()> {
        self.post("set-cname", json!({"host": host, "target": target})).await
    }

    /// Removes the alias.
    pub async fn clear_cname(&self, host: &str) -> Result<()> {
        self.post("clear-cname", json!({"host": host})).await
    }

    /// Adds a TXT value to those of `host`.
    pub async fn add_txt(&self, host: &str, value: &str) -> Result<()> {
        self.post("set-txt", json!({"host": host, "value": value})).await
    }

    /// Removes all TXT values of `host`.
    pub async fn clear_txt(&self, host: &str) -> Result<()> {
        self.post("clear-txt", json!({"host": host})).await
    }

    /// Allows only the CA `value` to issue for `host`, by a CAA record with `tag` (`issue`, `issuewild`).
    pub async fn add_caa(&self, host: &str, tag: &str, value: &str) -> Result<()> {
        let policies = json!([{"tag": tag, "value": value}]);
        self.post("add-caa", json!({"host": host, "policies": policies})).await
    }

    /// Removes the CAA records of `host`.
    pub async fn clear_caa(&self, host: &str) -> Result<()> {
        self.post("clear-caa", json!({"host": host})).await
    }

    /// Answers every query for `host` with SERVFAIL.
    pub async fn set_servfail(&self, host: &str) -> Result<()> {
        self.post("set-servfail", json!({"host": host})).await
    }

    /// Answers queries for `host` normally again.
    pub async fn clear_servfail(&self, host: &str) -> Result<()> {
        self.post("clear-servfail", json!({"host": host})).await
    }

    async fn post(&self, operation: &str, body: Value) -> Result<()> {
        let url = format!("{}/{operation}", self.management);
        let response = self.http.post(&url).json(&body).send().await?;
        ensure!(
            response.status().is_success(),
            "the DNS server answered {operation} with {}",
            response.status()
        );
        Ok(())
    }
}
