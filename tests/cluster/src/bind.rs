//! BIND's named: authoritative name servers, primary and secondary, and resolvers, as many as a test wants.

use std::{
    fs,
    net::IpAddr,
    ops::Deref,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{process::Command, time::timeout};

use crate::{
    Cluster, NameServer, TsigKey, Zone,
    addresses::Address,
    bind_config::{CONTROL_PORT, Config, RNDC_CONFIG},
    name_server::is_test,
    packages,
    process::Process,
};

const START_LIMIT: Duration = Duration::from_secs(20);
const TRANSFER_LIMIT: Duration = Duration::from_secs(20);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// What a [`Bind`] is to serve.
#[derive(Default)]
pub struct BindBuilder {
    address: Option<Address>,
    config: Config,
}

/// A running named on port 53 of an address of its own; it ends when this is dropped. Questions and changes to it are
/// [`NameServer`]'s.
pub struct Bind {
    server: NameServer,
    config: Config,
    name: String,
    directory: PathBuf,
    logs: PathBuf,
    process: Option<Process>,
    forgotten: AtomicUsize,
    _address: Address,
}

/// A question that a name server was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuery {
    /// Who asked. A client in the run's network has the address of the server it asks, unless it has another one by
    /// its configuration, as [`Bind`]'s resolvers and secondaries have: their own.
    pub client: IpAddr,
    /// Without a final dot.
    pub name: String,
    /// `TXT`, `SOA`; `AXFR` is a secondary's transfer.
    pub kind: String,
    /// Over TCP, not UDP.
    pub tcp: bool,
}

impl BindBuilder {
    /// Listens on this address, not on any free one: for a server that another one's zones name.
    pub fn address(mut self, address: Address) -> Self {
        self.address = Some(address);
        self
    }

    /// Is the primary of this zone.
    pub fn zone(mut self, zone: impl Into<Zone>) -> Self {
        self.config.zones.push(zone.into());
        self
    }

    /// Knows this key. Zones may be changed with it, unless they name others.
    pub fn tsig_key(mut self, key: &TsigKey) -> Self {
        self.config.keys.push(key.clone());
        self
    }

    /// Is a secondary of this zone. It has the zone as it is when it starts, and follows only when told, by
    /// [`Bind::catch_up`].
    pub fn secondary_of(mut self, primary: &NameServer, zone: &str) -> Self {
        self.config.secondaries.push((zone.into(), primary.ip().into()));
        self
    }

    /// Of a resolver: asks this server about names in this zone. All other names it looks up at the cluster's
    /// [`Dns`](crate::Dns).
    pub fn zone_at(mut self, zone: &str, server: &NameServer) -> Self {
        self.config.recursive = true;
        self.config.stubs.push((zone.into(), server.ip().into()));
        self
    }

    /// Of a resolver: remembers answers, also that there are none, for as long as they say.
    pub fn caching(mut self) -> Self {
        self.config.caching = true;
        self
    }

    /// Answers over HTTPS too, at [`Bind::https_url`].
    pub fn https(mut self) -> Self {
        self.config.https = true;
        self
    }

    /// Sets anything else among the `options` of its configuration file: `max-udp-size 512;`.
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
        if self.config.https {
            cluster.ca()?.sign("bind", &[address.ip()])?.write(&directory, "tls")?;
        }
        self.config.write(&directory, address.ip(), cluster.description.dns)?;

        let mut bind = Bind {
            server: NameServer::new(address.ip()),
            config: self.config,
            name,
            directory,
            logs: state.join("logs"),
            process: None,
            forgotten: AtomicUsize::new(0),
            _address: address,
        };
        bind.start().await?;
        Ok(bind)
    }
}

impl Bind {
    /// An authoritative server. With no zone it refuses every question.
    pub fn builder() -> BindBuilder {
        BindBuilder::default()
    }

    /// A server that looks names up for others, each time anew: at the servers named by [`BindBuilder::zone_at`], and
    /// otherwise at the cluster's [`Dns`](crate::Dns). Good for an ACME server, and for an operator that may ask no
    /// authoritative server.
    pub fn resolver() -> BindBuilder {
        let mut builder = Self::builder();
        builder.config.recursive = true;
        builder
    }

    /// Starts it again on the same address, after [`Bind::stop`], with its zones as they were.
    pub async fn start(&mut self) -> Result<()> {
        let mut process = Process::start(&self.name, self.command()?, &self.logs)?;
        let zones = self.config.zone_names();
        process.wait_ready(START_LIMIT, || self.server.serves(&zones)).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it; questions get no answer from now on.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Of a secondary: takes over its zones as their primaries have them now.
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

    /// Of a caching resolver: forgets every answer.
    pub async fn forget_answers(&self) -> Result<()> {
        self.rndc(&["flush"]).await
    }

    /// The URL for DNS over HTTPS (RFC 8484), with a certificate of the run's own authority
    /// ([`Cluster::ca`](crate::Cluster::ca)).
    pub fn https_url(&self) -> String {
        format!("https://{}/dns-query", self.server.ip())
    }

    /// Every question so far, but for those of the test itself ([`NameServer::query`]).
    pub fn queries(&self) -> Result<Vec<DnsQuery>> {
        let queries = self.read_queries()?;
        let new = queries.into_iter().skip(self.forgotten.load(Ordering::Relaxed));
        Ok(new.filter(|query| !is_test(query.client)).collect())
    }

    /// Forgets the questions so far.
    pub fn forget_queries(&self) -> Result<()> {
        self.forgotten.store(self.read_queries()?.len(), Ordering::Relaxed);
        Ok(())
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.as_ref().map(|process| process.log_tail(lines)).unwrap_or_default()
    }

    fn command(&self) -> Result<Command> {
        let named = packages::find("named").context("named is missing. Run `make tools`")?;
        // Where AppArmor runs, it keeps the program out of this directory, but not a copy that is in it.
        let program = self.directory.join("named");
        fs::copy(named, &program)?;
        let mut command = Command::new(program);
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

    fn read_queries(&self) -> Result<Vec<DnsQuery>> {
        read_queries(&self.directory.join("queries.log"))
    }
}

impl Deref for Bind {
    type Target = NameServer;

    fn deref(&self) -> &NameServer {
        &self.server
    }
}

fn read_queries(path: &Path) -> Result<Vec<DnsQuery>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // What is being written is left for the next time.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Ok(whole.lines().filter_map(DnsQuery::parse).collect())
}

impl DnsQuery {
    /// Reads a line like `client @0x7f37452de098 192.0.2.70#45003 (t.a.test): query: t.a.test IN TXT +E(0)K
    /// (192.0.2.70)`.
    fn parse(line: &str) -> Option<Self> {
        let (from, question) = line.split_once(": query: ")?;
        let client = from.split(' ').find(|word| word.contains('#'))?.split('#').next()?.parse().ok()?;
        let mut words = question.split(' ');
        let name = words.next()?.to_ascii_lowercase();
        let kind = words.nth(1)?.into();
        let tcp = words.next()?.contains('T');
        Some(Self { client, name, kind, tcp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_from_the_log() {
        let line = "client @0x7f3 192.0.2.70#59537/key k (T.a.test): query: T.a.test IN SOA -ST (192.0.2.70)";
        let query = DnsQuery::parse(line).unwrap();
        let (name, kind) = ("t.a.test".into(), "SOA".into());
        assert_eq!(query, DnsQuery { client: "192.0.2.70".parse().unwrap(), name, kind, tcp: true });
        assert_eq!(DnsQuery::parse("something else"), None);
    }
}
