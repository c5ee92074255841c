//! Whether the API server is away, or a single request has failed.
//!
//! Single requests fail while it is upgraded or overloaded, and are tried again. It is away once nothing has succeeded for a
//! while; then it is not asked by everybody, but by one who looks when it is back.

use jiff::{SignedDuration, Timestamp};

/// It is away when for so long nothing has succeeded.
const PATIENCE: SignedDuration = SignedDuration::from_secs(1);
/// And so many requests have failed.
const LEAST_FAILURES: u32 = 3;

/// What is known of the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// Since when nothing has succeeded.
    failing: Option<Timestamp>,
    failures: u32,
    away: bool,
}

impl Outage {
    /// Whether it is away.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// A request has failed at `now`, for want of an answer or because the server could not carry it out. True if that
    /// shows that it is away, and it was not known.
    pub fn failed(&mut self, now: Timestamp) -> bool {
        let since = *self.failing.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        let shows = self.failures >= LEAST_FAILURES && now.duration_since(since) >= PATIENCE;
        shows && !std::mem::replace(&mut self.away, true)
    }

    /// A request has succeeded. While the server is away, that says little: it may come back in parts.
    pub fn succeeded(&mut self) {
        if !self.away {
            *self = Self::default();
        }
    }

    /// It says that it is ready. Returns since when nothing had succeeded, if it was away.
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
    fn requests_that_fail_between_others_are_no_outage() {
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
