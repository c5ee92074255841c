//! Fetches a challenge as a CA would, before the CA is told to validate.
//!
//! A failed validation counts against the CA's rate limits and gives little information. The self-check costs nothing and
//! reports the cause.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::Url;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use self::answer::HttpResponse;
use self::dns::NameServers;
use super::challenge_path;
use certwright_egress::tls::TlsError;
use certwright_egress::{Egress, Purpose};
use certwright_text::clean;

mod answer;
mod dns;
mod failure;
mod fetch;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;

pub use self::failure::{ConnectFailure, DnsFailure, NameServerFailure, OtherAddresses, SelfCheckFailure};

/// The same number as Let's Encrypt.
const MAX_REDIRECTS: usize = 10;
const TIME_LIMIT: Duration = Duration::from_secs(10);
const ADDRESSES_PER_FAMILY: usize = 2;
/// A DNS name has at most 253 characters.
const MAX_SHOWN: usize = 280;

/// Fetches challenges, with its own name servers and without a proxy. There is one for the whole process.
pub struct SelfCheck {
    name_servers: NameServers,
    tls: TlsConnector,
    egress: Egress,
    ports: Ports,
    time_limit: Duration,
}

/// Why a [`SelfCheck`] could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SelfCheckSetupError {
    /// The system's resolver configuration cannot be used.
    #[error("the name servers for self-checks cannot be set up: {0}")]
    NameServers(#[source] hickory_resolver::net::NetError),
    /// The TLS library rejected its own defaults.
    #[error("TLS for self-checks cannot be set up: {0}")]
    Tls(#[source] TlsError),
}

impl SelfCheck {
    /// Creates a self-check that looks up names at `nameservers`, over UDP and TCP, or with the system's configuration if
    /// empty, and connects where `egress` permits it.
    pub fn new(nameservers: Vec<SocketAddr>, egress: Egress) -> Result<Self, SelfCheckSetupError> {
        Ok(Self {
            name_servers: NameServers::new(&nameservers).map_err(SelfCheckSetupError::NameServers)?,
            tls: fetch::tls_without_verification().map_err(SelfCheckSetupError::Tls)?,
            egress,
            ports: Ports { http: 80, redirects_to_any: false },
            time_limit: TIME_LIMIT,
        })
    }

    /// The same, but it looks up names at `nameservers`.
    pub fn with_name_servers(&self, nameservers: &[SocketAddr]) -> Result<Self, SelfCheckSetupError> {
        Ok(Self {
            name_servers: NameServers::new(nameservers).map_err(SelfCheckSetupError::NameServers)?,
            tls: self.tls.clone(),
            egress: self.egress.clone(),
            ports: self.ports,
            time_limit: self.time_limit,
        })
    }

    /// Fetches `http://<identifier>/.well-known/acme-challenge/<token>` once and compares the answer with `expected`, the key
    /// authorization. `identifier` is a DNS name or an IP address.
    ///
    /// Takes at most 10 seconds. Addresses are tried as CAs do, IPv6 first: one that does not accept a connection is skipped,
    /// and the first that accepts is used.
    pub async fn check(&self, identifier: &str, token: &str, expected: &str) -> Result<(), SelfCheckFailure> {
        let url = self.url(identifier, token)?;
        let mut progress = Progress::new(identifier);
        let followed =
            tokio::time::timeout(self.time_limit, self.follow(url, token, expected, &mut progress)).await;
        let result = followed.unwrap_or_else(|_| Err(progress.unfinished.clone()));
        result.map_err(|failure| match progress.redirected_to {
            Some(to) => SelfCheckFailure::AfterRedirect { to, failure: Box::new(failure) },
            None => failure,
        })
    }

    async fn follow(
        &self,
        mut url: Url,
        token: &str,
        expected: &str,
        progress: &mut Progress,
    ) -> Result<(), SelfCheckFailure> {
        let mut visited = Vec::new();
        loop {
            let answer = self.fetch(&url, progress).await?;
            if !answer.is_redirect() {
                return answer.judge(token, expected);
            }
            let next = self.redirect(&url, &answer)?;
            visited.push(url);
            let looping = match () {
                () if visited.contains(&next) => Some("which was already visited"),
                () if visited.len() > MAX_REDIRECTS => Some("the eleventh in a row"),
                () => None,
            };
            if let Some(why) = looping {
                progress.redirected_to = None;
                return Err(SelfCheckFailure::RedirectLoop { to: shown(&next), why });
            }
            progress.redirected_to = Some(shown(&next));
            url = next;
        }
    }

    async fn fetch(&self, url: &Url, progress: &mut Progress) -> Result<HttpResponse, SelfCheckFailure> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(self.ports.http);
        let (stream, at) = self.connect(host, port, progress).await?;
        progress.unfinished = SelfCheckFailure::NoAnswer { at };
        fetch::get(stream, at, url, &self.tls).await
    }

    /// Connects to `port` of `identifier`, a DNS name or an IP address, as a CA would.
    ///
    /// Takes at most 10 seconds.
    pub(crate) async fn reach(
        &self,
        identifier: &str,
        port: u16,
    ) -> Result<(TcpStream, SocketAddr), SelfCheckFailure> {
        let mut progress = Progress::new(identifier);
        let connected = self.connect(identifier, port, &mut progress);
        let connected = tokio::time::timeout(self.time_limit, connected).await;
        connected.unwrap_or_else(|_| Err(progress.unfinished.clone()))
    }

    /// All addresses of `host`, a DNS name or an IP address, IPv6 first.
    pub(crate) async fn addresses_of(&self, host: &str) -> Result<Vec<IpAddr>, SelfCheckFailure> {
        match ip(host) {
            Some(address) => Ok(vec![address]),
            None => self.name_servers.addresses(host).await,
        }
    }

    /// Connects to one address of `host`. The error is `None` if the egress rules forbid it.
    pub(crate) async fn connect_to(
        &self,
        purpose: Purpose,
        host: &str,
        at: SocketAddr,
    ) -> Result<TcpStream, Option<ConnectFailure>> {
        fetch::connect_to(&self.egress, purpose, host, at).await
    }

    async fn connect(
        &self,
        host: &str,
        port: u16,
        progress: &mut Progress,
    ) -> Result<(TcpStream, SocketAddr), SelfCheckFailure> {
        let addresses = self.addresses(host, port, progress).await?;
        fetch::connect(&self.egress, host, &addresses, progress).await
    }

    /// The addresses to connect to. Like a CA, we use one or two of many.
    async fn addresses(
        &self,
        host: &str,
        port: u16,
        progress: &mut Progress,
    ) -> Result<Vec<SocketAddr>, SelfCheckFailure> {
        if let Some(address) = ip(host) {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        progress.unfinished = SelfCheckFailure::Dns { name: host.to_owned(), failures: Vec::new() };
        let found = self.name_servers.addresses(host).await?;
        let (six, four) = found.into_iter().partition::<Vec<_>, _>(IpAddr::is_ipv6);
        let some = |family: Vec<IpAddr>| family.into_iter().take(ADDRESSES_PER_FAMILY);
        Ok(some(six).chain(some(four)).map(|address| SocketAddr::new(address, port)).collect())
    }

    fn url(&self, identifier: &str, token: &str) -> Result<Url, SelfCheckFailure> {
        let host = match ip(identifier) {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => identifier.to_owned(),
        };
        let path = challenge_path(token);
        // Parsing removes port 80, so that the Host header has none.
        Url::parse(&format!("http://{host}:{}{path}", self.ports.http))
            .ok()
            .filter(|url| url.path() == path && url.username().is_empty() && url.query().is_none())
            .ok_or_else(|| SelfCheckFailure::NotAnAddressOrName { identifier: identifier.to_owned() })
    }

    fn redirect(&self, from: &Url, answer: &HttpResponse) -> Result<Url, SelfCheckFailure> {
        let bad = |to: String, why| SelfCheckFailure::BadRedirect {
            at: answer.at,
            status: answer.status.as_u16(),
            to,
            why,
        };
        let Some(location) = &answer.location else {
            return Err(bad("nowhere".into(), "because it has no Location header"));
        };
        let Ok(mut to) = from.join(location) else {
            return Err(bad("something".into(), "which is not a URL"));
        };
        to.set_fragment(None);
        if !matches!(to.scheme(), "http" | "https") {
            return Err(bad(
                clean(&format!("{}:", to.scheme()), MAX_SHOWN),
                "which is neither http nor https",
            ));
        }
        if !self.ports.redirects_to_any && !matches!(to.port_or_known_default(), Some(80 | 443)) {
            return Err(bad(shown(&to), "but CAs follow redirects only to ports 80 and 443"));
        }
        Ok(to)
    }
}

/// The ports that a check may use. They differ from the standard ports only in tests.
#[derive(Clone, Copy, Debug)]
struct Ports {
    http: u16,
    redirects_to_any: bool,
}

/// The progress of a check, for a message when it times out.
struct Progress {
    /// Set once a redirect has been followed.
    redirected_to: Option<String>,
    /// What to report if the current step never ends.
    unfinished: SelfCheckFailure,
}

impl Progress {
    fn new(identifier: &str) -> Self {
        let name = identifier.to_owned();
        Self { redirected_to: None, unfinished: SelfCheckFailure::Dns { name, failures: Vec::new() } }
    }
}

fn ip(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// `url` without its path and query: the server may have intended them only for the operator.
fn shown(url: &Url) -> String {
    clean(&url.origin().ascii_serialization(), MAX_SHOWN)
}
