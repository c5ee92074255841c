use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::Operation;
use certwright_egress::Egress;

/// Called for each request with the operation, the HTTP status if there was an answer, and the duration.
pub type Observe = Arc<dyn Fn(Operation, Option<u16>, Duration) + Send + Sync>;

/// How to reach a CA.
#[derive(Clone)]
pub struct ServerConfig {
    /// The URL of its directory (RFC 8555 section 7.1.1).
    pub directory_url: String,
    /// Which certificates to trust for the server itself.
    pub trust: Trust,
    /// The user agent; see [`ServerConfig::USER_AGENT`].
    pub user_agent: String,
    /// How long a request may take in total; see [`ServerConfig::TIMEOUT`]. Connecting may take 10 s of it.
    pub timeout: Duration,
    /// The clock, for pauses and the age of the directory.
    pub clock: fn() -> Timestamp,
    /// Called for each request.
    pub observe: Observe,
    /// The egress rules for the server and for URLs in its answers.
    pub egress: Egress,
}

impl ServerConfig {
    /// Our name and version (RFC 8555 section 6.1).
    pub const USER_AGENT: &str = certwright_egress::USER_AGENT;
    /// How long a request may take.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// A configuration with the system's roots, our user agent, the default timeout, and the default egress rules.
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
    /// Those that chain to the system's roots.
    SystemRoots,
    /// Only those that chain to one of these PEM certificates.
    Bundle(Vec<u8>),
    /// Any; for tests.
    SkipVerify,
}
