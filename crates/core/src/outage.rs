//! Whether the API server is away, or only a single request has failed.
//!
//! Single requests fail while it is upgraded or overloaded, and are retried. It counts as away when no request has succeeded
//! for a while; then only one task polls it until it is back.

use jiff::{SignedDuration, Timestamp};

/// It is away if no request has succeeded for this long
const PATIENCE: SignedDuration = SignedDuration::from_secs(1);
/// and at least this many requests have failed.
const LEAST_FAILURES: u32 = 3;

/// What is known of the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// Since when no request has succeeded.
    failing: Option<Timestamp>,
    failures: u32,
    away: bool,
}

impl Outage {
    /// Whether it is away.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// A request has failed at `now`: there was no answer, or a server error. Returns true if that newly shows that the server
    /// is away.
    pub fn failed(&mut self, now: Timestamp) -> bool {
        let since = *self.failing.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        let shows = self.failures >= LEAST_FAILURES && now.duration_since(since) >= PATIENCE;
        shows && !std::mem::replace(&mut self.away, true)
    }

    /// A request has succeeded. While the server is away, that does not mean that it is back: some of it may still be down.
    pub fn succeeded(&mut self) {
        if !self.away {
            *self = Self::default();
        }
    }

    /// The server reports that it is ready. If it was away, returns since when no request had succeeded.
    pub fn is_ready(&mut self) -> Option<Timestamp> {
        let before = std::mem::take(self);
        before.failing.filter(|_| before.away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    #[test]
    fn failures_between_successful_requests_are_not_an_outage() {
        let mut outage = Outage::default();
        for second in 0..100 {
            assert!(!outage.failed(at(second * 1000)));
            assert!(!outage.failed(at(second * 1000 + 900)));
            outage.succeeded();
        }
        assert!(!outage.is_away());
    }

    #[test]
    fn an_outage_is_noticed_once_and_ends_when_the_server_says_that_it_is_ready() {
        let mut outage = Outage::default();
        assert!(!outage.failed(at(0)), "two hundred at once may be one connection");
        assert!((0..200).all(|_| !outage.failed(at(10))));
        assert!(outage.failed(at(1000)));
        assert!(!outage.failed(at(1001)), "once");
        outage.succeeded();
        assert!(outage.is_away(), "one answer is not all of them");
        assert_eq!(outage.is_ready(), Some(at(0)));
        assert!(!outage.is_away());
        assert_eq!(outage.is_ready(), None);
        assert!(!outage.failed(at(5000)), "what was before does not count");
    }
}
