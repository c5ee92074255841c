//! When to look, as fractions of the interval.

use std::time::Duration;

/// How long to wait after a change of the Secret, until consumers can have read it.
#[must_use]
pub fn settles_after(interval: Duration) -> Duration {
    interval / 180
}

/// How long to wait for the first look after a start. Those whose certificate was served when somebody looked last are spread over a
/// sixth of the interval, the others over a shorter time. `fraction` is from 0 to 1.
#[must_use]
pub fn first_look(interval: Duration, was_served: bool, fraction: f64) -> Duration {
    match was_served {
        true => (interval / 6).mul_f64(fraction),
        false => settles_after(interval) + (interval / 36).mul_f64(fraction),
    }
}

/// When to look again, after `wrong` looks in a row did not find the certificate served. Whoever repairs it wants to see that
/// soon; after that, less and less often.
#[must_use]
pub fn next_look(interval: Duration, wrong: u32) -> Duration {
    match wrong.checked_sub(1) {
        None => interval,
        Some(before) => (interval / 72).saturating_mul(2_u32.saturating_pow(before)).min(interval),
    }
}
