//! How long to wait: after a failure, and between two checks of something slow.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::naming::stable_fraction;
use crate::renewal::whole_seconds_up;

/// Bounds of the wait after failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure; it doubles with each further one.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(60), longest: Duration::from_secs(8 * 3600) }
    }
}

/// Each wait is extended by at most this part of it, so that simultaneous failures are not retried simultaneously.
const JITTER: f64 = 0.2;

impl Backoff {
    /// When to retry after `failures` failures in a row, the last at `now`; not before `at_least` has passed. In whole seconds,
    /// rounded up.
    pub fn next_attempt(
        &self,
        failures: u32,
        at_least: Option<Duration>,
        now: Timestamp,
        seed: &str,
    ) -> Timestamp {
        let doubled =
            self.first.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let wait = doubled.min(self.longest).max(at_least.unwrap_or_default());
        let jitter = wait.mul_f64(JITTER * stable_fraction(&format!("{seed}/{failures}")));
        let wait = SignedDuration::try_from(wait.saturating_add(jitter)).unwrap_or(SignedDuration::MAX);
        whole_seconds_up(now.saturating_add(wait).unwrap_or(now))
    }

    /// The bounds for failures that people fix at the CA, where nothing can be noticed but by asking: each hour, unless the
    /// longest wait is shorter.
    pub fn hourly(&self) -> Self {
        let wait = self.slow().first;
        Self { first: wait, longest: wait }
    }

    /// The bounds for failures that only a person can fix: at least an hour, unless the longest wait is shorter.
    pub fn slow(&self) -> Self {
        Self { first: self.first.saturating_mul(60).min(self.longest), longest: self.longest }
    }

    /// The bounds for failures that a person can fix, and that are found without asking a CA: at most a quarter of an hour.
    pub fn often(&self) -> Self {
        const LONGEST: Duration = Duration::from_secs(15 * 60);
        Self { first: self.first.min(LONGEST), longest: self.longest.min(LONGEST) }
    }
}

/// When to ask a CA again after its `stumbles`th temporary error in a row (from 1): soon, because a database conflict or a
/// broken connection usually passes quickly. `None` after too many errors; then it is a failure.
pub fn ask_once_more(stumbles: u32, now: Timestamp) -> Option<Timestamp> {
    const WAITS: [SignedDuration; 2] = [SignedDuration::from_millis(200), SignedDuration::from_millis(1500)];
    let wait = WAITS.get(usize::try_from(stumbles.checked_sub(1)?).ok()?)?;
    now.checked_add(*wait).ok()
}

/// How long to wait after the `failures`th error in a row (from 1) of a reconcile. An error that `may_pass` is one of the API
/// server: it is retried within seconds, so that everything continues soon after the API server recovers.
pub fn after_error(failures: u32, may_pass: bool, seed: &str) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    let longest = Duration::from_secs(if may_pass { 10 } else { 60 });
    let wait = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    wait.mul_f64(1.0 + JITTER * stable_fraction(&format!("{seed}/{failures}")))
}

/// When to check again something that started at `since` and was last checked at `now`: the older it is, the longer the wait,
/// within `bounds`. If the other side gave a `retry_after`, it is used instead, but not below the lower bound.
pub fn look_again(
    since: Timestamp,
    now: Timestamp,
    retry_after: Option<Duration>,
    bounds: (Duration, Duration),
) -> Timestamp {
    let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let wait = retry_after.unwrap_or((age / 2).min(bounds.1)).max(bounds.0);
    now.saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)).unwrap_or(now)
}

#[cfg(test)]
mod tests;
