//! When a certificate is renewed.

mod phase;
mod plan;
mod suggestion;
mod windows;

pub use plan::{Placement, Plan, Reasons, plan};
pub(crate) use suggestion::early_wait;
pub use suggestion::{NoSuggestion, RenewalInfoPoll, RenewalInfoPolling, RenewalInfoRequest};
pub use windows::{InvalidWindow, Windows};

use jiff::{SignedDuration, Timestamp};

use self::phase::in_phase;
use certwright_pki::Leaf;

/// The renewal rule of the spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenewalRule {
    /// After two thirds of the lifetime, or after half of it if it is shorter than ten days.
    #[default]
    Default,
    /// This long before the certificate expires.
    Before(SignedDuration),
    /// When this percentage of the lifetime is left.
    BeforePercentage(u8),
}

/// Certificates with a shorter lifetime are renewed after half of it instead of two thirds.
const SHORT_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 24);
/// Renewals are moved forward by at most this part of the lifetime, to spread them.
const REACH: f64 = 0.1;
/// A rule that renews before this part of the lifetime has passed would order without end, and is ignored.
const LEAST_USE: f64 = 0.1;

/// The part of the lifetime that is reserved for retries, and its maximum.
const MARGIN: f64 = 0.1;
const LONGEST_MARGIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// When a certificate that is valid from `not_before` to `not_after` is renewed, in whole seconds.
///
/// The time given by the rule is moved forward by up to a tenth of the lifetime; `uid` and the validity determine how much, so the
/// result is always the same. A rule that would renew before a tenth of the lifetime has passed is replaced by the default rule.
pub fn renewal_time(not_before: Timestamp, not_after: Timestamp, rule: RenewalRule, uid: &str) -> Timestamp {
    let lifetime = not_after.duration_since(not_before).max(SignedDuration::ZERO);
    let used = match rule {
        RenewalRule::Default => None,
        RenewalRule::Before(before) => Some(lifetime - before.clamp(SignedDuration::ZERO, lifetime)),
        RenewalRule::BeforePercentage(left) => Some(part(lifetime, 1.0 - f64::from(left.min(100)) / 100.0)),
    };
    let least = part(lifetime, LEAST_USE);
    let used = used.filter(|used| *used >= least).unwrap_or_else(|| default_use(lifetime));
    let after = |used| not_before.saturating_add(used).unwrap_or(not_after);
    let earliest = after((used - part(lifetime, REACH)).max(least));
    in_phase((not_before, lifetime), (earliest, after(used)), uid).min(not_after)
}

/// The latest time at which a renewal can start and still leave time for retries: a tenth of the lifetime before expiry, but at
/// most a week.
fn latest(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let lifetime = not_after.duration_since(not_before).max(SignedDuration::ZERO);
    let margin = part(lifetime, MARGIN).min(LONGEST_MARGIN);
    whole_seconds(not_after.saturating_sub(margin).unwrap_or(not_after))
}

/// Whether `time` is within the first tenth of the lifetime of a certificate.
pub(crate) fn is_early(leaf: &Leaf, time: Timestamp) -> bool {
    let lifetime = leaf.not_after.duration_since(leaf.not_before);
    time.duration_since(leaf.not_before) < part(lifetime, LEAST_USE)
}

fn default_use(lifetime: SignedDuration) -> SignedDuration {
    if lifetime < SHORT_LIFETIME { lifetime / 2 } else { part(lifetime, 2.0 / 3.0) }
}

fn part(lifetime: SignedDuration, fraction: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(lifetime.as_secs_f64() * fraction).unwrap_or(lifetime)
}

/// `time` without its fraction of a second, as in a status field.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// `time` rounded up to a whole second, so that a wait does not end too early.
pub fn whole_seconds_up(time: Timestamp) -> Timestamp {
    whole_seconds(time.saturating_add(SignedDuration::from_nanos(999_999_999)).unwrap_or(time))
}

#[cfg(test)]
mod fleet;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod tests;
