//! Queries name servers, and distinguishes the ways that can fail.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CAA, SOA};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use reqwest::Url;
use tracing::debug;

use super::name_server::{DNS_PORT, shown};
use super::transport::{NoAnswer, Request, TimeLimits, ask};
use super::{NameServer, doh, http};
use certwright_egress::{Egress, HttpClient, Purpose};

/// Looks up names, without a cache. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Resolver {
    servers: Arc<[Recursive]>,
    /// The egress rules for recursive servers.
    recursive: Egress,
    /// The egress rules for the servers of zones.
    authoritative: Egress,
    authoritative_port: u16,
    limits: TimeLimits,
}

/// Who configured the name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The administrator, by flags: they may be anywhere.
    Administrators,
    /// A tenant, in an issuer: they may be where the egress rules permit it.
    Tenants,
}

/// Why a [`Resolver`] could not be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolverSetupError {
    /// `/etc/resolv.conf` cannot be read or contains no server.
    #[error("the system's configuration has no usable name server: {0}; configure some for dns-01")]
    System(String),
    /// The client for DNS over HTTPS could not be created.
    #[error("DNS over HTTPS cannot be set up: {0}")]
    Https(#[from] http::ClientError),
}

impl Resolver {
    /// A resolver that queries `servers`, which must be recursive, or those in the system's configuration if there are none.
    /// `whose` determines whether `egress` applies to them; it always applies to servers that are found on the way.
    pub fn new(servers: &[NameServer], whose: Whose, egress: &Egress) -> Result<Self, ResolverSetupError> {
        let recursive = match whose {
            Whose::Tenants if !servers.is_empty() => egress.clone(),
            Whose::Tenants | Whose::Administrators => Egress::unrestricted(),
        };
        let servers = if servers.is_empty() { system_servers()? } else { servers.to_vec() };
        let servers =
            servers.into_iter().map(|server| Recursive::new(server, &recursive)).collect::<Result<_, _>>()?;
        let authoritative = egress.clone();
        Ok(Self {
            servers,
            recursive,
            authoritative,
            authoritative_port: DNS_PORT,
            limits: TimeLimits::USUAL,
        })
    }

    #[cfg(test)]
    pub(super) fn with_authoritative_port(self, port: u16) -> Self {
        Self { authoritative_port: port, ..self }
    }

    #[cfg(test)]
    pub(super) fn with_limits(self, limits: TimeLimits) -> Self {
        Self { limits, ..self }
    }

    pub(super) fn time_limit(&self) -> Duration {
        self.limits.call
    }

    pub(super) fn servers(&self) -> &[Recursive] {
        &self.servers
    }

    /// Queries the recursive servers for `name`. All are queried at once, but the answer of the first configured one counts:
    /// with a race, the result would vary.
    pub(super) async fn recurse(&self, name: &Name, kind: RecordType) -> Result<DnsResponse, ServerFailures> {
        let ask = |server| async move { (server, self.ask_recursive(server, name, kind).await) };
        let mut answers = self.servers.iter().map(ask).collect::<FuturesOrdered<_>>();
        let mut failures = Vec::new();
        while let Some((server, answer)) = answers.next().await {
            match answer {
                Ok(answer) => return Ok(answer),
                Err(failure) => failures.push((format!("name server {server}"), failure)),
            }
        }
        Err(ServerFailures(failures))
    }

    /// Queries one recursive server for `name`.
    pub(super) async fn ask_recursive(
        &self,
        server: &Recursive,
        name: &Name,
        kind: RecordType,
    ) -> Result<DnsResponse, ServerFailure> {
        self.ask_recursive_with(server, Request::query(name, kind, true))
            .await
            .inspect_err(|failure| debug!(%server, %name, %kind, %failure, "a DNS lookup failed"))
    }

    /// Sends a request to a recursive server.
    pub(super) async fn ask_recursive_with(
        &self,
        server: &Recursive,
        request: Result<Request, NoAnswer>,
    ) -> Result<DnsResponse, ServerFailure> {
        let request = request.map_err(ServerFailure::NoAnswer)?;
        let reply = match server {
            Recursive::Plain(address) => ask(&self.recursive, *address, &request, self.limits).await,
            Recursive::Https(url, client) => doh::ask(client, url, &request).await,
        };
        DnsResponse::judge(reply.map(|reply| reply.message))
    }

    /// Queries an authoritative server for `name`.
    pub(super) async fn ask_authoritative(
        &self,
        server: IpAddr,
        name: &Name,
        kind: RecordType,
    ) -> Result<DnsResponse, ServerFailure> {
        let request = Request::query(name, kind, false).map_err(ServerFailure::NoAnswer)?;
        let server = SocketAddr::new(server, self.authoritative_port);
        let reply = ask(&self.authoritative, server, &request, self.limits).await;
        DnsResponse::judge(reply.map(|reply| reply.message))
            .inspect_err(|failure| debug!(%server, %name, %kind, %failure, "a name server failed"))
    }
}

/// A recursive name server, with its client.
#[derive(Debug)]
pub(super) enum Recursive {
    Plain(SocketAddr),
    Https(Url, HttpClient),
}

impl Recursive {
    fn new(server: NameServer, egress: &Egress) -> Result<Self, http::ClientError> {
        Ok(match server {
            NameServer::Plain(address) => Self::Plain(address),
            NameServer::Https(url) => Self::Https(url, http::client(egress, Purpose::Dns, None)?),
        })
    }
}

impl fmt::Display for Recursive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => f.write_str(&shown(*address)),
            Self::Https(url, _) => url.fmt(f),
        }
    }
}

/// A meaningful answer: NOERROR or NXDOMAIN.
#[derive(Clone, Debug)]
pub(super) struct DnsResponse(Message);

impl DnsResponse {
    pub(super) fn judge(reply: Result<Message, NoAnswer>) -> Result<Self, ServerFailure> {
        let message = reply.map_err(ServerFailure::NoAnswer)?;
        match message.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(Self(message)),
            ResponseCode::ServFail => Err(ServerFailure::ServFail),
            ResponseCode::Refused => Err(ServerFailure::Refused),
            code => Err(ServerFailure::Code(rcode(code))),
        }
    }

    pub(super) fn is_nx_domain(&self) -> bool {
        self.0.metadata.response_code == ResponseCode::NXDomain
    }

    pub(super) fn is_authoritative(&self) -> bool {
        self.0.metadata.authoritative
    }

    /// The target of the CNAME at `name`.
    pub(super) fn cname(&self, name: &Name) -> Option<Name> {
        self.0.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *name => Some(fully_qualified(target.0.to_lowercase())),
            _ => None,
        })
    }

    /// The zone of `name`, if the answer contains its SOA record. The SOA of a CNAME target's zone does not count.
    pub(super) fn zone_of(&self, name: &Name) -> Option<Name> {
        let records = self.0.answers.iter().chain(&self.0.authorities);
        records
            .filter(|record| matches!(record.data, RData::SOA(_)) && record.name.zone_of(name))
            .map(|record| fully_qualified(record.name.to_lowercase()))
            .next()
    }

    /// The SOA record of a negative answer (RFC 2308).
    pub(super) fn negative_soa(&self) -> Option<&SOA> {
        self.0.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa),
            _ => None,
        })
    }

    /// The values of the TXT records, each joined from its character-strings (RFC 1464, RFC 7208 section 3.3).
    pub(super) fn txt_values(&self) -> impl Iterator<Item = Vec<u8>> {
        self.0.answers.iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        })
    }

    /// The CAA records of `name`.
    pub(super) fn caa(&self, name: &Name) -> impl Iterator<Item = &CAA> {
        self.0.answers.iter().filter_map(move |record| match &record.data {
            RData::CAA(caa) if record.name == *name => Some(caa),
            _ => None,
        })
    }

    /// The names of the name servers, in order.
    pub(super) fn name_servers(&self) -> Vec<Name> {
        let names = self.0.answers.iter().filter_map(|record| match &record.data {
            RData::NS(server) => Some(fully_qualified(server.0.to_lowercase())),
            _ => None,
        });
        let mut names = names.collect::<Vec<_>>();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The IP addresses, sorted, because servers shuffle them.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let addresses = self.0.answers.iter().filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0.into()),
            RData::AAAA(address) => Some(address.0.into()),
            _ => None,
        });
        let mut addresses = addresses.collect::<Vec<_>>();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

/// Why a server did not answer a query. `Display` continues a sentence that begins with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFailure {
    /// The response code SERVFAIL: it could not get an answer, or the answer's DNSSEC signatures are invalid.
    ServFail,
    /// The response code REFUSED: it does not serve us, or not this name.
    Refused,
    /// Another error response code.
    Code(String),
    /// No answer at all.
    NoAnswer(NoAnswer),
}

impl fmt::Display for ServerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServFail => f.write_str(
                "answered SERVFAIL (it cannot reach the zone's name servers, or DNSSEC signatures are wrong)",
            ),
            Self::Refused => {
                f.write_str("answered REFUSED (it does not serve this client, or not this name)")
            }
            Self::Code(code) => write!(f, "answered {code}"),
            Self::NoAnswer(failure) => failure.fmt(f),
        }
    }
}

/// Servers with their failures, in the configured order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFailures(pub Vec<(String, ServerFailure)>);

impl fmt::Display for ServerFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (server, failure)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{server} {failure}")?;
        }
        Ok(())
    }
}

/// The name of a response code as in the RFCs.
pub(super) fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::YXDomain => "YXDOMAIN".to_owned(),
        ResponseCode::YXRRSet => "YXRRSET".to_owned(),
        ResponseCode::NXRRSet => "NXRRSET".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        ResponseCode::NotZone => "NOTZONE".to_owned(),
        code => format!("the response code {}", u16::from(code)),
    }
}

pub(super) fn fully_qualified(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

fn system_servers() -> Result<Vec<NameServer>, ResolverSetupError> {
    let (config, _) = hickory_resolver::system_conf::read_system_conf()
        .map_err(|error| ResolverSetupError::System(error.to_string()))?;
    Ok(config
        .name_servers
        .iter()
        .map(|server| {
            let port = server.connections.first().map_or(DNS_PORT, |connection| connection.port);
            NameServer::Plain(SocketAddr::new(server.ip, port))
        })
        .collect())
}
