//! Where the operator may connect.
//!
//! Tenants can name servers, and the answers of these can name more: an issuer's `server` and the URLs in a CA's answers,
//! providers of TXT records, name servers, redirects. All such connections are made here, after the address is checked. Names
//! are resolved first, so the checked address is the one that is connected to. The rules do not apply to connections that the
//! administrator configures (the API server, the system's name servers, `--http01-nameservers`,
//! `--dns01-recursive-nameservers`, a proxy, a trace collector).
//!
//! `clippy.toml` forbids other ways to connect.

pub mod excerpt;
mod http;
mod no_answer;
pub mod recent;
mod rules;
mod sockets;
pub mod tls;

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use strum::IntoStaticStr;
use tracing::warn;

pub use self::http::{HttpClient, SendError};
pub use self::no_answer::NoAnswer;
pub use self::rules::{Network, NetworkError, Rules};
pub use self::sockets::is_forbidden;

/// The product and its version, sent with every request (RFC 8555 section 6.1).
pub const USER_AGENT: &str = concat!("certwright/", env!("CARGO_PKG_VERSION"));

/// The purpose of a connection, for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Purpose {
    /// An ACME server.
    Acme,
    /// A provider of TXT records that uses HTTP.
    Provider,
    /// A name server.
    Dns,
    /// The self-check of http-01 or tls-alpn-01.
    SelfCheck,
    /// A CA's revocation list.
    RevocationList,
    /// A server that is to show a certificate.
    Served,
}

impl Purpose {
    /// The value of a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A connection that the rules forbid. `Display` continues a sentence that begins with the host. It does not contain the
/// address, which may belong to a name that only the operator can resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not allowed: the operator's egress rules forbid its address; an administrator can allow it with --egress-allow"
)]
pub struct Forbidden;

/// The rules in effect, and a callback for connections that they forbid. Clones share both.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    /// Without rules, everything is permitted.
    rules: Option<Rules>,
    observe: Box<dyn Fn(Purpose) + Send + Sync>,
    said: Mutex<HashSet<(Purpose, String, IpAddr)>>,
}

/// The maximum number of forbidden connections that are logged: a tenant can invent any number of names.
const MAX_SAID: usize = 500;

impl Egress {
    /// Connections that `rules` permit. `observe` is called for each forbidden one.
    pub fn new(rules: Rules, observe: impl Fn(Purpose) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { rules: Some(rules), observe: Box::new(observe), said: Mutex::default() }))
    }

    /// Connections to any address, for servers that the administrator configures.
    #[must_use]
    pub fn unrestricted() -> Self {
        Self(Arc::new(Inner { rules: None, observe: Box::new(|_| {}), said: Mutex::default() }))
    }

    /// Whether a connection to this address may be made.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        self.0.rules.as_ref().is_none_or(|rules| rules.permits(address))
    }

    fn check(&self, purpose: Purpose, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        if self.permits(address) {
            return Ok(());
        }
        self.refuse(purpose, host, address);
        Err(Forbidden)
    }

    /// Counts a forbidden connection, and logs it the first time.
    fn refuse(&self, purpose: Purpose, host: &str, address: IpAddr) {
        (self.0.observe)(purpose);
        let mut said = self.0.said.lock();
        if said.len() >= MAX_SAID || !said.insert((purpose, host.to_owned(), address)) {
            return;
        }
        let purpose = purpose.as_str();
        warn!(purpose, host = ?host, %address, "the egress rules forbid a connection; --egress-allow would allow it");
        if said.len() == MAX_SAID {
            warn!("further connections that the egress rules forbid are counted, but not logged");
        }
    }
}

impl Default for Egress {
    /// The rules without any flags.
    fn default() -> Self {
        Self::new(Rules::default(), |_| {})
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Egress").field(&self.0.rules).finish()
    }
}
