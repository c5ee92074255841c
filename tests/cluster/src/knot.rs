//! Knot DNS: an authoritative name server by other authors than [`Bind`](crate::Bind)'s.

use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{
    Cluster, NameServer, TsigKey, Zone, addresses::Address, fake_clock::under_faketime,
    name_server::TEST_ADDRESS, packages, process::Process,
};

const START_LIMIT: Duration = Duration::from_secs(20);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running knotd with one zone, on port 53 of its own address; it is stopped when this is dropped. Queries and changes are
/// methods of [`NameServer`].
pub struct Knot {
    server: NameServer,
    zone: Zone,
    name: String,
    directory: PathBuf,
    logs: PathBuf,
    clock_ahead: i32,
    process: Option<Process>,
    _address: Address,
}

impl Knot {
    /// Starts one whose zone can be changed with this key, and returns when it answers.
    pub async fn start(cluster: &Cluster, zone: impl Into<Zone>, key: &TsigKey) -> Result<Self> {
        Self::start_ahead(cluster, zone, key, 0).await
    }

    /// Starts one whose clock is this many seconds ahead: beyond 300, it rejects signed updates with `BADTIME` (RFC 8945, section
    /// 5.2.3).
    pub async fn start_ahead(
        cluster: &Cluster,
        zone: impl Into<Zone>,
        key: &TsigKey,
        seconds: i32,
    ) -> Result<Self> {
        let zone = zone.into();
        let address = Address::free(cluster)?;
        let state = &cluster.description.state;
        let name = format!("knot-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = state.join(&name);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("zone"), zone.file(address.ip()))?;
        fs::write(directory.join("knot.conf"), config(&directory, address.ip(), &zone, key))?;

        let mut knot = Self {
            server: NameServer::new(address.ip()),
            zone,
            name,
            directory,
            logs: state.join("logs"),
            clock_ahead: seconds,
            process: None,
            _address: address,
        };
        knot.restart().await?;
        Ok(knot)
    }

    /// Kills it if it runs, and starts it again on the same address with its zone unchanged.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        // After it was killed, its pid file still exists, and another process may have that id.
        let _ = fs::remove_file(self.directory.join("knot.pid"));
        let mut process = Process::start(&self.name, self.command()?, &self.logs)?;
        let zones = [self.zone.name.clone()];
        process.wait_ready(START_LIMIT, || self.server.serves(&zones)).await?;
        self.process = Some(process);
        Ok(())
    }

    fn command(&self) -> Result<Command> {
        let knotd = packages::find("knotd").context("knotd is missing. Run `make tools`")?;
        let mut command = if self.clock_ahead == 0 {
            Command::new(knotd)
        } else {
            let words = under_faketime(&knotd);
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            // Only the date differs: it waits by the real clock.
            command
                .env("FAKETIME", format!("{:+}s", self.clock_ahead))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            command
        };
        command.arg("-c").arg(self.directory.join("knot.conf"));
        Ok(command)
    }

    /// Kills it; queries are no longer answered.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.as_ref().map(|process| process.log_tail(lines)).unwrap_or_default()
    }
}

impl Deref for Knot {
    type Target = NameServer;

    fn deref(&self) -> &NameServer {
        &self.server
    }
}

fn config(directory: &Path, ip: &str, zone: &Zone, key: &TsigKey) -> String {
    let TsigKey { name, algorithm, secret } = key;
    let directory = directory.display();
    let keys = zone.keys(std::slice::from_ref(key));
    let signed = if keys.is_empty() { "test" } else { "test, signed" };
    format!(
        r#"
server:
    listen: {ip}@53
    rundir: {directory}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: {directory}
    journal-db-max-size: 64M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
key:
  - id: {name}
    algorithm: {algorithm}
    secret: {secret}
acl:
  - id: test
    address: {TEST_ADDRESS}
    action: update
  - id: signed
    key: {name}
    action: update
zone:
  - domain: {zone}
    storage: {directory}
    file: zone
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: changes
    acl: [{signed}]
"#,
        zone = zone.name
    )
}
