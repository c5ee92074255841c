//! How long to wait: after a failure, and between two looks at something that takes its time.

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

/// A wait is made longer by at most this part of it, so that what failed together is not tried again together.
const JITTER: f64 = 0.2;

impl Backoff {
    /// When to try again after `failures` failures in a row, the last at `now`; never before `at_least` has passed.
    /// In whole seconds, rounded up.
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

    /// The same bounds for what only a human can mend: no sooner than an hour, unless the longest wait is shorter.
    pub fn slow(&self) -> Self {
        Self { first: self.first.saturating_mul(60).min(self.longest), longest: self.longest }
    }
}

/// When to ask a CA once more that has stumbled for the `stumbles`th time in a row (from 1): soon, for a database conflict
/// or a broken connection is over in a moment. `None` once it has stumbled too often for that; then it is a failure.
pub fn ask_once_more(stumbles: u32, now: Timestamp) -> Option<Timestamp> {
    const WAITS: [SignedDuration; 2] = [SignedDuration::from_millis(200), SignedDuration::from_millis(1500)];
    let wait = WAITS.get(usize::try_from(stumbles.checked_sub(1)?).ok()?)?;
    now.checked_add(*wait).ok()
}

/// How long to wait after the `failures`th error in a row (from 1) of a reconcile. One that `may_pass` is an error of the API
/// server: it is tried again within seconds, so that all go on soon after it does.
pub fn after_error(failures: u32, may_pass: bool, seed: &str) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    let longest = Duration::from_secs(if may_pass { 10 } else { 60 });
    let wait = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    wait.mul_f64(1.0 + JITTER * stable_fraction(&format!("{seed}/{failures}")))
}

/// When to look again at something that began at `since` and was last looked at just now: the older it is, the
/// longer the wait, within `bounds`. `retry_after`, if the other side gave one, is what counts, but no less than the
/// shorter bound.
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
