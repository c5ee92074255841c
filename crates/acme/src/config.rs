use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::Operation;
use certwright_egress::Egress;

/// Told of each request: what was tried, the HTTP status if an answer came, and how long that took.
pub type Observe = Arc<dyn Fn(Operation, Option<u16>, Duration) + Send + Sync>;

/// How to reach a CA.
#[derive(Clone)]
pub struct ServerConfig {
    /// Where its directory is (RFC 8555 section 7.1.1).
    pub directory_url: String,
    /// Which certificates of the server itself to trust.
    pub trust: Trust,
    /// What to call ourselves; see [`ServerConfig::USER_AGENT`].
    pub user_agent: String,
    /// How long a request may take from the first packet to the last; see [`ServerConfig::TIMEOUT`]. To
    /// connect may take 10 s of it.
    pub timeout: Duration,
    /// The present. It measures pauses and the age of the directory.
    pub clock: fn() -> Timestamp,
    /// Told of each request.
    pub observe: Observe,
    /// Where it may be, and where the URLs in its answers may lead.
    pub egress: Egress,
}

impl ServerConfig {
    /// Our name and version (RFC 8555 section 6.1).
    pub const USER_AGENT: &str = certwright_egress::USER_AGENT;
    /// How long a request may take.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// With the system's roots, our name, the usual timeout, and the egress rules that hold without flags.
    pub fn new(directory_url: impl Into<String>, clock: fn() -> Timestamp) -> Self {
        Self {
            directory_url: directory_url.into(),
            trust: Trust::SystemRoots,
            user_agent: Self::USER_AGENT.to_owned(),
            timeout: Self::TIMEOUT,
            clock,
            observe: Arc::new(|_, _, _| {}),
            egress: Egress::default(),
        }
    }
}

/// Which certificates of an ACME server to trust.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Those that the system trusts.
    SystemRoots,
    /// Those that lead to one of these, in PEM, and no others.
    Bundle(Vec<u8>),
    /// Any: for tests.
    SkipVerify,
}
