//! Unbound: a resolver.

use std::{
    fs,
    net::SocketAddr,
    ops::Deref,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Result;
use tokio::process::Command;

use crate::{
    Cluster, NameServer,
    addresses::Address,
    packages,
    process::Process,
    query_log::{DnsQuery, QueryLog},
};

const START_LIMIT: Duration = Duration::from_secs(20);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// How a [`Resolver`] resolves names.
#[derive(Default)]
pub struct ResolverBuilder {
    zones: Vec<(String, String)>,
    signed: Vec<String>,
    caching: bool,
    https: bool,
}

/// A running resolver on port 53 of its own address, for an ACME server, or for an operator that cannot query authoritative
/// servers. It is stopped when this is dropped. Queries are methods of [`NameServer`].
pub struct Resolver {
    server: NameServer,
    name: String,
    directory: PathBuf,
    logs: PathBuf,
    queries: QueryLog,
    process: Option<Process>,
    _address: Address,
}

impl ResolverBuilder {
    /// Queries this server about names in this zone, and the cluster's [`Dns`](crate::Dns) about all others.
    pub fn zone_at(mut self, zone: &str, server: &NameServer) -> Self {
        self.zones.push((zone.into(), server.ip().into()));
        self
    }

    /// Expects this zone to be signed. If it is not, its answers are bogus (RFC 4035 section 4.3).
    pub fn signed(mut self, zone: &str) -> Self {
        self.signed.push(zone.into());
        self
    }

    /// Caches answers, including negative ones, for their time to live.
    pub fn caching(mut self) -> Self {
        self.caching = true;
        self
    }

    /// Also answers over HTTPS, at [`Resolver::https_url`].
    pub fn https(mut self) -> Self {
        self.https = true;
        self
    }

    /// Starts it, and returns when it answers.
    pub async fn start(self, cluster: &Cluster) -> Result<Resolver> {
        let address = Address::free(cluster)?;
        let state = &cluster.description.state;
        let name = format!("resolver-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = state.join(&name);
        fs::create_dir_all(&directory)?;
        if self.https {
            cluster.ca()?.sign("resolver", &[address.ip()])?.write(&directory, "tls")?;
        }
        let config = self.config(&directory, address.ip(), cluster.description.dns);
        fs::write(directory.join("unbound.conf"), config)?;

        let logs = state.join("logs");
        let mut resolver = Resolver {
            server: NameServer::new(address.ip()),
            queries: QueryLog::new(&logs.join(format!("{name}.log")), DnsQuery::of_unbound),
            name,
            directory,
            logs,
            process: None,
            _address: address,
        };
        resolver.restart().await?;
        Ok(resolver)
    }

    fn config(&self, directory: &Path, ip: &str, others: SocketAddr) -> String {
        let directory = directory.display();
        let memory = if self.caching { "" } else { "cache-max-ttl: 0\n    cache-max-negative-ttl: 0" };
        let https = if self.https {
            format!(
                "interface: {ip}@443\n    https-port: 443\n    http-endpoint: \"/dns-query\"\n    \
                 tls-service-pem: \"{directory}/tls.crt\"\n    tls-service-key: \"{directory}/tls.key\""
            )
        } else {
            String::new()
        };
        let modules = if self.signed.is_empty() { "iterator" } else { "validator iterator" };
        let anchors = self.signed.iter().map(|zone| {
            // The digest of no key.
            format!("trust-anchor: \"{zone}. DS 1 13 2 {}\"\n    ", "00".repeat(32))
        });
        let anchors: String = anchors.collect();
        // Zones below `test` are not its own here, and there is no trust anchor for them.
        let mut text = format!(
            r#"server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    log-queries: yes
    do-daemonize: no
    num-threads: 1
    interface: {ip}@53
    outgoing-interface: {ip}
    access-control: 0.0.0.0/0 allow
    do-ip6: no
    module-config: "{modules}"
    local-zone: "test." nodefault
    unblock-lan-zones: yes
    insecure-lan-zones: yes
    qname-minimisation: no
    infra-host-ttl: 0
    {memory}
    {anchors}
    {https}
forward-zone:
    name: "."
    forward-addr: {}@{}
"#,
            others.ip(),
            others.port()
        );
        for (zone, server) in &self.zones {
            text += &format!("stub-zone:\n    name: \"{zone}\"\n    stub-addr: {server}\n");
        }
        text
    }
}

impl Resolver {
    /// A resolver that caches nothing.
    pub fn builder() -> ResolverBuilder {
        ResolverBuilder::default()
    }

    /// Kills it if it runs, and starts it again on the same address. Its cache is empty.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let mut command = Command::new(packages::copy("unbound", &self.directory)?);
        command.args(["-d", "-c"]).arg(self.directory.join("unbound.conf"));
        let mut process = Process::start(&self.name, command, &self.logs)?;
        process.wait_ready(START_LIMIT, || self.server.serves(&[])).await?;
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

    /// The URL for DNS over HTTPS (RFC 8484), with a certificate of the run's own authority
    /// ([`Cluster::ca`](crate::Cluster::ca)).
    pub fn https_url(&self) -> String {
        format!("https://{}/dns-query", self.server.ip())
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
}

impl Deref for Resolver {
    type Target = NameServer;

    fn deref(&self) -> &NameServer {
        &self.server
    }
}
