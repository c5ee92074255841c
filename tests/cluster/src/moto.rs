//! moto's server: an emulator of AWS by other authors.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Result;
use tokio::process::Command;

use crate::{ADDRESS, Cluster, ports, process::Process, venv};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running moto server, which accepts any credentials and keeps everything in memory; it is stopped when this is dropped.
pub struct Moto {
    /// The URL of all its services. It tells them apart by the signature of a request.
    pub url: String,
    process: Process,
}

impl Moto {
    /// Starts one on a free port.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let state = &cluster.description.state;
        let name = format!("moto-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let port = ports::free(ADDRESS)?;
        let mut command = Command::new(venv::MOTO.program("moto_server")?);
        command.args(["-H", ADDRESS, "-p", &port.to_string()]);
        let mut process = Process::start(&name, command, &state.join("logs"))?;
        let url = format!("http://{ADDRESS}:{port}");
        let http = reqwest::Client::builder().no_proxy().build()?;
        let ready = || async { http.get(format!("{url}/moto-api/data.json")).send().await.is_ok() };
        process.wait_ready(Duration::from_secs(60), ready).await?;
        Ok(Self { url, process })
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}
