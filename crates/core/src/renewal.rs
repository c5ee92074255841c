//! When a certificate is renewed.

mod plan;
mod suggestion;
mod windows;

pub use plan::{Placement, Plan, Reasons, plan};
pub use suggestion::{Asked, Asking, NoSuggestion, Question};
pub use windows::{InvalidWindow, Windows};

use jiff::{SignedDuration, Timestamp};

use crate::naming::stable_fraction;

/// What the spec says of the renewal time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenewalRule {
    /// Two thirds of the lifetime, or half of one under ten days.
    #[default]
    Default,
    /// So long before the end of the validity.
    Before(SignedDuration),
    /// When so many percent of the lifetime are left.
    BeforePercentage(u8),
}

/// A lifetime under this is halved instead of cut at two thirds.
const SHORT_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 24);
/// Renewals are moved forward by at most this part of the lifetime, so that certificates of one day do not renew
/// in one minute.
const JITTER: f64 = 0.03;
/// A rule that leaves less than this part of the lifetime to be used would order without end; it is not followed.
const LEAST_USE: f64 = 0.1;

/// The part of the lifetime that is kept for renewals that fail, and the most of it.
const MARGIN: f64 = 0.1;
const LONGEST_MARGIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// When a certificate that is valid from `not_before` to `not_after` is renewed, in whole seconds.
///
/// The time given by the rule is moved forward by up to 3 % of the lifetime; how much follows from `seed`, so that
/// the answer is always the same. A rule that would renew before a tenth of the lifetime is used gives way to the
/// default one.
pub fn renewal_time(not_before: Timestamp, not_after: Timestamp, rule: RenewalRule, seed: &str) -> Timestamp {
    let lifetime = not_after.duration_since(not_before).max(SignedDuration::ZERO);
    let used = match rule {
        RenewalRule::Default => None,
        RenewalRule::Before(before) => Some(lifetime - before.clamp(SignedDuration::ZERO, lifetime)),
        RenewalRule::BeforePercentage(left) => Some(part(lifetime, 1.0 - f64::from(left.min(100)) / 100.0)),
    };
    let least = part(lifetime, LEAST_USE);
    let used = used.filter(|used| *used >= least).unwrap_or_else(|| default_use(lifetime));
    let earlier = part(lifetime, JITTER * stable_fraction(seed));
    let used = (used - earlier).max(least);
    whole_seconds(not_before.saturating_add(used).unwrap_or(not_after)).min(not_after)
}

/// The latest moment at which a renewal may begin and still have time to fail and be tried again: a tenth of the lifetime
/// before its end, or a week.
fn latest(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let lifetime = not_after.duration_since(not_before).max(SignedDuration::ZERO);
    let margin = part(lifetime, MARGIN).min(LONGEST_MARGIN);
    whole_seconds(not_after.saturating_sub(margin).unwrap_or(not_after))
}

fn default_use(lifetime: SignedDuration) -> SignedDuration {
    if lifetime < SHORT_LIFETIME { lifetime / 2 } else { part(lifetime, 2.0 / 3.0) }
}

fn part(lifetime: SignedDuration, fraction: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(lifetime.as_secs_f64() * fraction).unwrap_or(lifetime)
}

/// `time` without its fraction of a second: what a status field holds.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// `time`, or the next whole second after it: what ends then is not looked at before.
pub fn whole_seconds_up(time: Timestamp) -> Timestamp {
    whole_seconds(time.saturating_add(SignedDuration::from_nanos(999_999_999)).unwrap_or(time))
}

#[cfg(test)]
mod lives;
#[cfg(test)]
mod tests;
