//! The CA's time, which is used if the local clock differs.

use std::sync::atomic::{AtomicI64, Ordering};

use http::HeaderMap;
use http::header::{AGE, DATE};
use jiff::{SignedDuration, Timestamp};

/// A smaller difference is ignored: a `Date` is in whole seconds, and the answer takes time to arrive.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);
/// Nothing is known yet.
const UNKNOWN: i64 = i64::MIN;

/// How far the clock of a CA is ahead of the local one, according to its answers.
pub(super) struct TimeDifference(AtomicI64);

impl Default for TimeDifference {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl TimeDifference {
    /// The difference according to the answers; `None` before the first one. A small difference counts as zero.
    pub(super) fn get(&self) -> Option<SignedDuration> {
        let seconds = self.0.load(Ordering::Relaxed);
        let ahead = (seconds != UNKNOWN).then(|| SignedDuration::from_secs(seconds))?;
        Some(if ahead.abs() < TOLERANCE { SignedDuration::ZERO } else { ahead })
    }

    /// Records an answer received at `now`. True if the clocks are newly found to differ. An answer from a cache or without a
    /// date only means that the CA gives no time.
    pub(super) fn see(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        let known = self.get();
        match sent_at(headers).filter(|_| !headers.contains_key(AGE)) {
            Some(sent) => self.0.store(sent.duration_since(now).as_secs(), Ordering::Relaxed),
            None if known.is_none() => self.0.store(0, Ordering::Relaxed),
            None => {}
        }
        let found = self.get();
        known.is_none_or(|known| known.is_zero()) && found.is_some_and(|found| !found.is_zero())
    }
}

/// The `Date` of an answer (RFC 9110 section 6.6.1).
pub(super) fn sent_at(headers: &HeaderMap) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Timestamp::try_from(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "1994-11-06T08:49:37Z".parse().unwrap()
    }

    fn headers(date: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        date.into_iter().for_each(|date| drop(headers.insert(DATE, date.parse().unwrap())));
        headers
    }

    #[test]
    fn a_day_is_noticed_once_and_seconds_never() {
        let (difference, day) = (TimeDifference::default(), headers(Some("Mon, 07 Nov 1994 08:49:37 GMT")));
        assert_eq!(difference.get(), None);
        assert!(!difference.see(&headers(Some("Sun, 06 Nov 1994 08:49:57 GMT")), now()));
        assert_eq!(difference.get(), Some(SignedDuration::ZERO));
        assert!(difference.see(&day, now()));
        assert!(!difference.see(&day, now()), "it is no news any more");
        assert_eq!(difference.get(), Some(SignedDuration::from_hours(24)));
        difference.see(&headers(Some("Sun, 06 Nov 1994 06:49:37 GMT")), now());
        assert_eq!(difference.get(), Some(SignedDuration::from_hours(-2)));
    }

    #[test]
    fn an_answer_without_a_date_or_from_a_cache_leaves_the_local_clock_right() {
        let mut cached = headers(Some("Mon, 07 Nov 1994 08:49:37 GMT"));
        cached.insert(AGE, "86400".parse().unwrap());
        for headers in [headers(None), headers(Some("tomorrow")), cached] {
            let difference = TimeDifference::default();
            assert!(!difference.see(&headers, now()));
            assert_eq!(difference.get(), Some(SignedDuration::ZERO));
        }
    }
}
