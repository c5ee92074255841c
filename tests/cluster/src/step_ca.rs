//! step-ca: an ACME server that can handle load, unlike Pebble.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Result;
use rcgen::{CertifiedIssuer, Issuer, KeyPair};
use reqwest::Certificate;
use serde_json::json;
use tokio::process::Command;

use crate::{ADDRESS, Cluster, ca::ca_params, ports, process::Process};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running step-ca; it is stopped when this is dropped.
pub struct StepCa {
    /// URL of its ACME directory.
    pub directory_url: String,
    /// Its root, in PEM. The HTTPS port can be verified against it, too.
    pub root_pem: String,
    process: Process,
}

impl StepCa {
    /// Starts one on a free port.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        Self::start_with_dns_server(cluster, &cluster.description.dns.to_string()).await
    }

    /// Starts one that resolves names at this server, given as `ip:port`.
    pub async fn start_with_dns_server(cluster: &Cluster, dns_server: &str) -> Result<Self> {
        let description = &cluster.description;
        let name = format!("step-ca-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = description.state.join(&name);
        fs::create_dir_all(&directory)?;

        let root = CertifiedIssuer::self_signed(ca_params("step-ca root"), KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let issuer = Issuer::new(ca_params("step-ca root"), root.key());
        let intermediate = ca_params("step-ca intermediate").signed_by(&key, &issuer)?;
        fs::write(directory.join("root.crt"), root.pem())?;
        fs::write(directory.join("intermediate.crt"), intermediate.pem())?;
        fs::write(directory.join("intermediate.key"), key.serialize_pem())?;

        let address = format!("{ADDRESS}:{}", ports::free(ADDRESS)?);
        let config = json!({
            "root": directory.join("root.crt"),
            "crt": directory.join("intermediate.crt"),
            "key": directory.join("intermediate.key"),
            "address": address,
            "dnsNames": [ADDRESS],
            "logger": {"format": "text"},
            "db": {"type": "badgerv2", "dataSource": directory.join("db")},
            "authority": {"provisioners": [{"type": "ACME", "name": "acme"}]},
        });
        let config_file = directory.join("ca.json");
        fs::write(&config_file, serde_json::to_vec_pretty(&config)?)?;

        let mut command = Command::new(description.tools.program("step-ca")?);
        command
            .arg(&config_file)
            .args(["--insecure", "--acme-http-port", "80"])
            .args(["--resolver", dns_server]);
        let mut process = Process::start(&name, command, &description.state.join("logs"))?;
        let directory_url = format!("https://{address}/acme/acme/directory");
        let root_pem = root.pem();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([Certificate::from_pem(root_pem.as_bytes())?])
            .build()?;
        let ready = || async { http.get(&directory_url).send().await.is_ok() };
        process.wait_ready(Duration::from_secs(20), ready).await?;
        Ok(Self { directory_url, root_pem, process })
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}
