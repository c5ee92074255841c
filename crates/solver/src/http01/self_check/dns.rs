//! Looks up the addresses of a name, without a cache, and distinguishes the ways that can fail.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::failure::{DnsFailure, NameServerFailure, SelfCheckFailure};

const TRY_TIMEOUT: Duration = Duration::from_millis(1500);
const TRIES_AFTER_THE_FIRST: usize = 1;

/// The name servers, each queried separately, so that a failure can name its server.
pub(super) struct NameServers(Vec<NameServer>);

struct NameServer {
    address: String,
    resolver: TokioResolver,
}

impl NameServers {
    /// Queries `addresses`, or the servers in the system's configuration if there are none.
    pub(super) fn new(addresses: &[SocketAddr]) -> Result<Self, NetError> {
        let servers = if addresses.is_empty() { system_servers()? } else { given_servers(addresses) };
        // The hosts file applies together with the system's name servers. If other servers are configured, only they count.
        let hosts = if addresses.is_empty() { ResolveHosts::Auto } else { ResolveHosts::Never };
        servers.into_iter().map(|server| NameServer::new(server, hosts)).collect::<Result<_, _>>().map(Self)
    }

    /// The addresses of `host`: IPv6 before IPv4, each in ascending order, because servers shuffle them.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, SelfCheckFailure> {
        let mut name = Name::from_ascii(host)
            .map_err(|_| SelfCheckFailure::NotAnAddressOrName { identifier: host.to_owned() })?;
        // Fully qualified, so that a pod's search domains do not turn one lookup into six.
        name.set_fqdn(true);
        let (six, four) =
            tokio::join!(self.lookup(&name, RecordType::AAAA), self.lookup(&name, RecordType::A));
        match (six, four) {
            // CAs continue with one family if only the other's lookup fails.
            (Ok(six), Ok(four)) => Ok([six, four].concat()),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
            (_, Err(failure)) | (Err(failure), _) => Err(failure.of(host)),
        }
        .and_then(|found| match found.is_empty() {
            true => Err(SelfCheckFailure::NoAddress { name: host.to_owned() }),
            false => Ok(found),
        })
    }

    /// All servers are queried at once, but the answer of the first configured one counts: with a race, the result would vary.
    async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Vec<IpAddr>, LookupFailure> {
        let mut answers =
            self.0.iter().map(|server| server.lookup(name, kind)).collect::<FuturesOrdered<_>>();
        let mut failures = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Err(LookupFailure::Servers(failure)) => failures.extend(failure),
                conclusive => return conclusive,
            }
        }
        Err(LookupFailure::Servers(failures))
    }
}

enum LookupFailure {
    NoSuchName,
    Servers(Vec<NameServerFailure>),
}

impl LookupFailure {
    fn of(self, host: &str) -> SelfCheckFailure {
        let name = host.to_owned();
        match self {
            Self::NoSuchName => SelfCheckFailure::NoSuchName { name },
            Self::Servers(failures) => SelfCheckFailure::Dns { name, failures },
        }
    }
}

impl NameServer {
    fn new(config: NameServerConfig, hosts: ResolveHosts) -> Result<Self, NetError> {
        let port = config.connections.first().map_or(53, |connection| connection.port);
        let address = SocketAddr::new(config.ip, port).to_string();
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![config]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        // A name that was just created must be visible immediately, so "no such name" must not be cached either.
        options.cache_size = 0;
        options.timeout = TRY_TIMEOUT;
        options.attempts = TRIES_AFTER_THE_FIRST;
        options.try_tcp_on_error = true;
        options.use_hosts_file = hosts;
        Ok(Self { address, resolver: builder.build()? })
    }

    async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Vec<IpAddr>, LookupFailure> {
        match self.resolver.lookup(name.clone(), kind).await {
            Ok(lookup) => {
                let mut found = lookup
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RData::A(address) => Some(IpAddr::V4(address.0)),
                        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                        _ => None,
                    })
                    .collect::<Vec<_>>();
                found.sort_unstable();
                found.dedup();
                Ok(found)
            }
            Err(error) if error.is_nx_domain() => Err(LookupFailure::NoSuchName),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => {
                tracing::debug!(server = self.address, %name, %kind, %error, "a DNS lookup failed");
                let failure = classify(&error);
                Err(LookupFailure::Servers(vec![NameServerFailure { server: self.address.clone(), failure }]))
            }
        }
    }
}

/// The error's own message is not used, because it can contain a local port.
fn classify(error: &NetError) -> DnsFailure {
    match error {
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => DnsFailure::ServFail,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => DnsFailure::Refused,
        NetError::Dns(DnsError::ResponseCode(code)) => DnsFailure::Code(code.to_str()),
        NetError::Timeout | NetError::Busy => DnsFailure::Timeout,
        NetError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => DnsFailure::Timeout,
        NetError::Io(_) | NetError::NoConnections => DnsFailure::Unreachable,
        _ => DnsFailure::Garbled,
    }
}

fn given_servers(addresses: &[SocketAddr]) -> Vec<NameServerConfig> {
    addresses
        .iter()
        .map(|address| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = address.port();
                connection
            });
            NameServerConfig::new(address.ip(), true, connections.into())
        })
        .collect()
}

fn system_servers() -> Result<Vec<NameServerConfig>, NetError> {
    let (config, _) = hickory_resolver::system_conf::read_system_conf()?;
    Ok(config.name_servers)
}
