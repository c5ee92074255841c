//! ACME servers and the accounts at them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// The number of servers with time series of their own: whoever may create issuers chooses the names.
const MOST: usize = 50;
/// The label of all further servers.
const OTHER: &str = "other";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfServer {
    server: String,
    result: &'static str,
}

/// The requests to each server.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    pub(super) requests: Family<OfServer, Counter>,
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl Servers {
    pub(super) fn of(&self, host: &str) -> ServerRequests {
        let mut names = self.names.lock();
        let server = match names.contains(host) || names.len() < MOST {
            true => host,
            false => OTHER,
        };
        names.insert(server.to_owned());
        let counter =
            |result| self.requests.get_or_create_owned(&OfServer { server: server.to_owned(), result });
        ServerRequests { answered: counter("answered"), failed: counter("failed") }
    }
}

/// The requests to one server.
#[derive(Clone, Debug)]
pub struct ServerRequests {
    answered: Counter,
    failed: Counter,
}

impl ServerRequests {
    /// The server has answered with this HTTP status, or, without one, has failed to answer.
    pub fn count(&self, status: Option<u16>) {
        match status {
            Some(..500) => self.answered.inc(),
            _ => self.failed.inc(),
        };
    }
}

/// The facts about the accounts in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountFacts {
    /// How many are paused because of a rate limit.
    pub paused: usize,
    /// How far the clock of a CA is ahead of this node's, or behind it, at most.
    pub clock_difference_seconds: i64,
}

type Ask = Box<dyn Fn() -> AccountFacts + Send + Sync>;

/// The gauges about the accounts in use.
#[derive(Clone, Default)]
pub(super) struct Accounts(Arc<Mutex<Option<Ask>>>);

impl Accounts {
    pub(super) fn ask(&self, facts: impl Fn() -> AccountFacts + Send + Sync + 'static) {
        *self.0.lock() = Some(Box::new(facts));
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

impl Collector for Accounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let facts = self.0.lock().as_ref().map(|ask| ask()).unwrap_or_default();
        let help = "Accounts that send no request because of a rate limit";
        let family = encoder.encode_descriptor("accounts_paused", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(facts.paused).unwrap_or(i64::MAX)).encode(family)?;
        let help = "Largest difference between the clocks of this node and a CA";
        let unit = Some(&Unit::Seconds);
        let family = encoder.encode_descriptor("clock_difference", help, unit, MetricType::Gauge)?;
        ConstGauge::new(facts.clock_difference_seconds).encode(family)
    }
}
