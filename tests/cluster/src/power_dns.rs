//! PowerDNS's authoritative server with its HTTP API.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::process::Command;

use crate::{ADDRESS, Cluster, NameServer, addresses::Address, ports, process::Process};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running PowerDNS on port 53 of its own address; it is stopped when this is dropped.
pub struct PowerDns {
    /// The name server.
    pub server: NameServer,
    /// The URL of its API.
    pub url: String,
    process: Process,
    _address: Address,
}

impl PowerDns {
    /// The key of its API.
    pub const API_KEY: &str = "powerdns-api-key";

    /// Starts one that serves these zones.
    pub async fn start(cluster: &Cluster, zones: &[&str]) -> Result<Self> {
        let state = &cluster.description.state;
        let name = format!("powerdns-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = state.join(&name);
        fs::create_dir_all(&directory)?;
        let address = Address::free(cluster)?;
        let port = ports::free(ADDRESS)?;
        let (key, path) = (Self::API_KEY, directory.display());
        let config = format!(
            "launch=lmdb\nlmdb-filename={path}/zones.lmdb\nsocket-dir={path}\nlocal-address={address}\nlocal-port=53\n\
             webserver-address={ADDRESS}\nwebserver-port={port}\nwebserver-allow-from=0.0.0.0/0\napi=yes\napi-key={key}\n\
             cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\n"
        );
        fs::write(directory.join("pdns.conf"), config)?;
        let mut command = Command::new("pdns_server");
        command
            .args(["--guardian=no", "--daemon=no", "--disable-syslog"])
            .arg(format!("--config-dir={path}"))
            .env("PATH", crate::packages::search_path());
        let mut process = Process::start(&name, command, &state.join("logs"))?;
        let url = format!("http://{ADDRESS}:{port}");
        let http = reqwest::Client::builder().no_proxy().build()?;
        let all = format!("{url}/api/v1/servers/localhost/zones");
        let ready = || async { http.get(&all).header("X-API-Key", key).send().await.is_ok() };
        process.wait_ready(Duration::from_secs(20), ready).await?;
        for zone in zones {
            let name_server = json!({
                "name": format!("ns.{zone}."), "type": "A", "ttl": 60, "changetype": "REPLACE",
                "records": [{"content": address.to_string(), "disabled": false}],
            });
            let body = json!({
                "name": format!("{zone}."), "kind": "Native", "nameservers": [format!("ns.{zone}.")],
                "rrsets": [name_server],
            });
            let request = http.post(&all).header("X-API-Key", key).body(body.to_string());
            let status = request.send().await?.status();
            ensure!(status.is_success(), "PowerDNS answers {status} to the creation of {zone}");
        }
        Ok(Self { server: NameServer::new(address.ip()), url, process, _address: address })
    }

    /// Makes this the one TXT value at a name of a zone.
    pub async fn set_txt(&self, zone: &str, name: &str, value: &str) -> Result<()> {
        let set = json!({
            "name": format!("{name}."), "type": "TXT", "ttl": 60, "changetype": "REPLACE",
            "records": [{"content": format!("\"{value}\""), "disabled": false}],
        });
        let url = format!("{}/api/v1/servers/localhost/zones/{zone}.", self.url);
        let request =
            reqwest::Client::builder().no_proxy().build()?.patch(url).header("X-API-Key", Self::API_KEY);
        request.body(json!({"rrsets": [set]}).to_string()).send().await?.error_for_status()?;
        Ok(())
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}
