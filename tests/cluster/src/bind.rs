//! BIND's named: authoritative name servers, primary and secondary, as many as a test needs.

use std::{
    fs,
    ops::Deref,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{process::Command, time::timeout};

use crate::{
    Cluster, NameServer, TsigKey, Zone,
    addresses::Address,
    bind_config::{CONTROL_PORT, Config, QUERY_LOG, RNDC_CONFIG},
    packages,
    process::Process,
    query_log::{DnsQuery, QueryLog},
};

const START_LIMIT: Duration = Duration::from_secs(20);
const TRANSFER_LIMIT: Duration = Duration::from_secs(20);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// What a [`Bind`] serves.
#[derive(Default)]
pub struct BindBuilder {
    address: Option<Address>,
    config: Config,
}

/// A running named on port 53 of its own address; it is stopped when this is dropped. Queries and changes are methods of
/// [`NameServer`].
pub struct Bind {
    server: NameServer,
    config: Config,
    name: String,
    directory: PathBuf,
    logs: PathBuf,
    process: Option<Process>,
    queries: QueryLog,
    _address: Address,
}

impl BindBuilder {
    /// Listens on this address instead of a free one: for a server that another server's zones name.
    pub fn address(mut self, address: Address) -> Self {
        self.address = Some(address);
        self
    }

    /// Is the primary of this zone.
    pub fn zone(mut self, zone: impl Into<Zone>) -> Self {
        self.config.zones.push(zone.into());
        self
    }

    /// Knows this key. It may change zones, unless they name other keys.
    pub fn tsig_key(mut self, key: &TsigKey) -> Self {
        self.config.keys.push(key.clone());
        self
    }

    /// Is a secondary of this zone. It transfers the zone when it starts, and afterwards only when [`Bind::catch_up`] is called.
    pub fn secondary_of(mut self, primary: &NameServer, zone: &str) -> Self {
        self.config.secondaries.push((zone.into(), primary.ip().into()));
        self
    }

    /// Sets another one of the `options` in its configuration file: `max-udp-size 512;`.
    pub fn option(mut self, option: &str) -> Self {
        self.config.options.push(option.into());
        self
    }

    /// Starts it, and returns once it answers for all its zones.
    pub async fn start(self, cluster: &Cluster) -> Result<Bind> {
        let address = self.address.map_or_else(|| Address::free(cluster), Ok)?;
        let state = &cluster.description.state;
        let name = format!("bind-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = state.join(&name);
        fs::create_dir_all(&directory)?;
        self.config.write(&directory, address.ip())?;

        let mut bind = Bind {
            server: NameServer::new(address.ip()),
            config: self.config,
            name,
            queries: QueryLog::new(&directory.join(QUERY_LOG), DnsQuery::of_bind),
            directory,
            logs: state.join("logs"),
            process: None,
            _address: address,
        };
        bind.start().await?;
        Ok(bind)
    }
}

impl Bind {
    /// An authoritative server. Without a zone, it refuses every query.
    pub fn builder() -> BindBuilder {
        BindBuilder::default()
    }

    /// Starts it again on the same address, after [`Bind::stop`], with its zones unchanged.
    pub async fn start(&mut self) -> Result<()> {
        let mut process = Process::start(&self.name, self.command()?, &self.logs)?;
        let zones = self.config.zone_names();
        process.wait_ready(START_LIMIT, || self.server.serves(&zones)).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it; queries are no longer answered.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// On a secondary: transfers its zones from their primaries.
    pub async fn catch_up(&self) -> Result<()> {
        for (zone, primary) in &self.config.secondaries {
            let wanted = NameServer::new(primary).serial(zone).await?;
            self.rndc(&["retransfer", zone]).await?;
            let transferred = async {
                while self.server.serial(zone).await? != wanted {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                anyhow::Ok(())
            };
            let result = timeout(TRANSFER_LIMIT, transferred).await;
            result.with_context(|| {
                format!("{zone} does not come to the secondary:\n{}", self.log_tail(20))
            })??;
        }
        Ok(())
    }

    /// All queries so far, except those of the test itself ([`NameServer::query`]).
    pub fn queries(&self) -> Result<Vec<DnsQuery>> {
        self.queries.all()
    }

    /// Forgets the queries so far.
    pub fn forget_queries(&self) -> Result<()> {
        self.queries.forget()
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.as_ref().map(|process| process.log_tail(lines)).unwrap_or_default()
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(packages::copy("named", &self.directory)?);
        command.args(["-f", "-n", "2", "-c"]).arg(self.directory.join("named.conf"));
        Ok(command)
    }

    async fn rndc(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new("rndc")
            .arg("-c")
            .arg(self.directory.join(RNDC_CONFIG))
            .args(["-s", self.server.ip(), "-p", CONTROL_PORT])
            .args(arguments)
            .output()
            .await
            .context("cannot start rndc. Run `make tools`")?;
        ensure!(
            output.status.success(),
            "rndc {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}

impl Deref for Bind {
    type Target = NameServer;

    fn deref(&self) -> &NameServer {
        &self.server
    }
}
