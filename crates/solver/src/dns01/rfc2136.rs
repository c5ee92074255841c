//! TXT records through dynamic updates (RFC 2136), signed with a shared key (TSIG, RFC 8945).
//!
//! Values are added and deleted individually, so that other values at the same name remain. Doing either twice is the same as
//! doing it once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode, update_message};
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{Name, RData, Record as DnsRecord, RecordSet};
use jiff::Timestamp;
use tokio::time::timeout;

use self::tsig::Signed;
use super::name_server::DNS_PORT;
use super::resolver::fully_qualified;
use super::transport::{NoAnswer, Reply, Request, TimeLimits, ask, over_tcp};
use super::{Record, undotted};
use certwright_api::DnsProtocol;
use certwright_egress::Egress;

mod algorithm;
mod clock;
mod error;
mod key;
#[cfg(test)]
mod tests;
mod tsig;

pub use self::algorithm::{Algorithm, AlgorithmError};
pub use self::clock::ClockDifference;
pub use self::error::{Error, Operation};
pub use self::key::{KeyError, TsigKey};
#[cfg(feature = "fuzzing")]
pub(super) use self::tsig::fuzzing;

/// The default TTL of the record, in seconds.
pub const DEFAULT_TTL: u32 = 60;
const HOST_LOOKUP_LIMIT: Duration = Duration::from_secs(5);
/// The maximum number of addresses of a host name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Where to send updates, and how to sign them.
///
/// Unlike [`Dns01Rfc2136`](certwright_api::Dns01Rfc2136), this has the parsed server, and the key instead of its Secret.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The primary name server of the zones, or one that forwards updates to it.
    pub nameserver: Server,
    /// The key to sign with. Without one, updates are unsigned, and anyone who can send from our address can send them, too.
    pub key: Option<TsigKey>,
    /// The protocol for updates.
    pub protocol: DnsProtocol,
    /// The TTL of the record, in seconds; see [`DEFAULT_TTL`].
    pub ttl: u32,
    /// The clock. The time is signed along with the message.
    pub clock: fn() -> Timestamp,
    /// The egress rules for the server.
    pub egress: Egress,
    pub(super) limits: TimeLimits,
}

impl Settings {
    /// Settings with UDP first, the default TTL, and the default egress rules.
    pub fn new(nameserver: Server, key: Option<TsigKey>, clock: fn() -> Timestamp) -> Self {
        let (egress, limits) = (Egress::default(), TimeLimits::USUAL);
        Self { nameserver, key, protocol: DnsProtocol::Udp, ttl: DEFAULT_TTL, clock, egress, limits }
    }
}

/// A name server to update: an IP address or a host name, with an optional port (default 53). IPv6 addresses with a port are in
/// brackets.
///
/// The solver's field is a text, so that one that cannot be parsed does not make the whole issuer unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    host: String,
    port: u16,
}

/// The text is not a name server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name server; write a host name or an IP address, with :<port> if that is not 53")]
pub struct ServerError(pub String);

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let text = text.trim();
        let error = || ServerError(text.to_owned());
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self { host: address.to_string(), port: DNS_PORT });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| error())?),
            None => (text, DNS_PORT),
        };
        let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = !host.is_empty() && host.chars().all(usual) && Name::from_ascii(host).is_ok();
        is_name.then(|| Self { host: host.to_ascii_lowercase(), port }).ok_or_else(error)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.contains(':')) {
            (DNS_PORT, _) => f.write_str(&self.host),
            (port, true) => write!(f, "[{}]:{port}", self.host),
            (port, false) => write!(f, "{}:{port}", self.host),
        }
    }
}

impl Server {
    async fn addresses(&self) -> Option<Vec<SocketAddr>> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Some(vec![SocketAddr::new(address, self.port)]);
        }
        let found =
            timeout(HOST_LOOKUP_LIMIT, tokio::net::lookup_host((self.host.as_str(), self.port))).await;
        let addresses = found.ok()?.ok()?.take(MAX_ADDRESSES).collect::<Vec<_>>();
        (!addresses.is_empty()).then_some(addresses)
    }
}

/// Adds the record's value to those at its name (RFC 2136 section 2.5.1).
pub async fn present(settings: &Settings, record: &Record) -> Result<(), Error> {
    update(settings, record, Operation::Present).await
}

/// Deletes only the record's value (RFC 2136 section 2.5.4). It is not an error if the value does not exist.
pub async fn clean_up(settings: &Settings, record: &Record) -> Result<(), Error> {
    update(settings, record, Operation::CleanUp).await
}

async fn update(settings: &Settings, record: &Record, operation: Operation) -> Result<(), Error> {
    let message = message(settings, record, operation)?;
    let signed = match &settings.key {
        Some(key) => Signed::new(message, key, (settings.clock)()),
        None => Request::new(message).map(Signed::without_key),
    }
    .map_err(|_| Error::TooLong { fqdn: undotted(&record.fqdn).to_owned() })?;
    let reply = exchange(settings, &signed.request, operation).await?;
    let code = match &settings.key {
        Some(key) => signed.verify(&reply, key, (settings.clock)()),
        None => Ok(reply.message.metadata.response_code),
    }
    .map_err(|failure| Error::tsig(failure, settings, operation))?;
    match (code, operation) {
        (ResponseCode::NoError, _)
        | (ResponseCode::YXRRSet, Operation::Present)
        | (ResponseCode::NXRRSet | ResponseCode::NXDomain, Operation::CleanUp) => Ok(()),
        (code, _) => Err(Error::refusal(code, settings, record, operation)),
    }
}

fn message(settings: &Settings, record: &Record, operation: Operation) -> Result<Message, Error> {
    let name = |text: &str| {
        let parsed = Name::from_ascii(text).map_err(|_| Error::NotAName { name: text.to_owned() });
        parsed.map(fully_qualified)
    };
    let (fqdn, zone) = (name(&record.fqdn)?, name(&record.zone)?);
    if !zone.zone_of(&fqdn) {
        let (fqdn, zone) = (undotted(&record.fqdn).to_owned(), undotted(&record.zone).to_owned());
        return Err(Error::OutsideZone { fqdn, zone });
    }
    let value = RData::TXT(TXT::new(vec![record.value.clone()]));
    let records = RecordSet::from(DnsRecord::from_rdata(fqdn, settings.ttl, value));
    Ok(match operation {
        Operation::Present => update_message::append(records, zone, false, false),
        Operation::CleanUp => update_message::delete_by_rdata(records, zone, false),
    })
}

/// Sends the update to the server's addresses, one after the other, until one answers. Sending it twice does no harm.
async fn exchange(settings: &Settings, request: &Request, operation: Operation) -> Result<Reply, Error> {
    let server = &settings.nameserver;
    let addresses = server
        .addresses()
        .await
        .ok_or_else(|| Error::NoSuchServer { operation, server: server.to_string() })?;
    let mut first_failure = None;
    for address in addresses {
        let reply = match settings.protocol {
            DnsProtocol::Tcp => over_tcp(&settings.egress, address, request, settings.limits.tcp).await,
            DnsProtocol::Udp => ask(&settings.egress, address, request, settings.limits).await,
        };
        match reply {
            Ok(reply) => return Ok(reply),
            Err(failure) => first_failure = first_failure.or(Some(failure)),
        }
    }
    let failure = first_failure.unwrap_or(NoAnswer::NoRoute);
    Err(Error::NoAnswer { operation, server: server.to_string(), failure })
}
