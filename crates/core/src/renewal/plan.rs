//! When a certificate is renewed, all things considered.

use jiff::{SignedDuration, Timestamp};

use super::suggestion::suggested_time;
use super::windows::{InvalidWindow, Opening, Windows};
use super::{RenewalRule, latest, renewal_time, whole_seconds};
use crate::naming::stable_fraction;
use certwright_api::RenewalInfoStatus;
use certwright_pki::Leaf;

/// What decides when a certificate is renewed.
#[derive(Clone, Copy, Debug)]
pub struct Reasons<'a> {
    /// The certificate.
    pub leaf: &'a Leaf,
    /// What the spec says of its lifetime.
    pub rule: RenewalRule,
    /// What the CA suggests.
    pub suggestion: Option<&'a RenewalInfoStatus>,
    /// When a renewal may begin.
    pub windows: &'a Result<Windows, InvalidWindow>,
    /// Whether a renewal has begun.
    pub under_way: bool,
    /// Seed of what is chosen by chance.
    pub seed: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// When a certificate is renewed, and why then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When; if that is not in the future, now.
    pub time: Timestamp,
    /// Whether the CA suggested it.
    pub suggested: bool,
    /// What the windows have to do with it.
    pub windows: Placement,
}

/// What the windows of a spec have to do with the time of a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// There are none.
    Anytime,
    /// It begins within one.
    Within,
    /// The one in which it was to begin has passed without it, and it begins within another.
    Missed,
    /// It begins outside of them: none is open between `due` and `latest`.
    NoneInTime {
        /// When it was due.
        due: Timestamp,
        /// The latest time that is safe.
        latest: Timestamp,
    },
    /// It begins outside of them: none is open between `due` and `latest`, when the CA wants it to have begun.
    CaInsists {
        /// When it was due.
        due: Timestamp,
        /// The end of the window that the CA suggests.
        latest: Timestamp,
    },
    /// They cannot be read.
    Invalid(InvalidWindow),
}

/// When a certificate is renewed.
///
/// What the CA suggests comes in the place of the default rule; a rule of the spec is followed as well, and the earlier of the
/// two counts. The renewal then waits for the next window, unless that is later than is safe, or than the CA wants it; then it
/// comes forward to the last one before, and if that would leave half of the use unused, no window counts.
pub fn plan(reasons: &Reasons<'_>) -> Plan {
    let &Reasons { leaf, rule, suggestion, windows, seed, .. } = reasons;
    let by_lifetime = renewal_time(leaf.not_before, leaf.not_after, rule, seed);
    let otherwise = renewal_time(leaf.not_before, leaf.not_after, RenewalRule::Default, seed);
    let suggested_time = suggested_time(leaf, suggestion, otherwise);
    let (due, suggested) = match suggested_time {
        // One that is put off for as long as it can be is renewed as without a suggestion.
        Some(time) if rule == RenewalRule::Default || time < by_lifetime => (time, time != otherwise),
        _ => (by_lifetime, false),
    };
    let windows = match windows {
        Ok(windows) if windows.is_empty() => {
            return Plan { time: due, suggested, windows: Placement::Anytime };
        }
        Ok(windows) => windows,
        Err(invalid) => {
            return Plan { time: due, suggested, windows: Placement::Invalid(invalid.clone()) };
        }
    };
    // One that ends before the certificate would be renewed anyway is more than advice on the load of the CA.
    let window_end = suggestion.and_then(|status| Some(status.suggested_window.as_ref()?.end.0));
    let insisted = window_end.filter(|end| suggested && *end < otherwise);
    let latest = insisted.unwrap_or_else(|| latest(leaf.not_before, leaf.not_after)).max(due);
    // Certificates begin before they are issued; the wait that a CA is given does not.
    let first_checked = suggestion.filter(|_| suggested).map(|status| status.first_checked.0);
    let begin = first_checked.map_or(leaf.not_before, |time| time.max(leaf.not_before));
    let (time, windows) = match place(reasons, windows, (begin, due, latest)) {
        Some(placed) => placed,
        None if insisted.is_some() => (due, Placement::CaInsists { due, latest }),
        None => (due, Placement::NoneInTime { due, latest }),
    };
    Plan { time, suggested, windows }
}

/// The time within a window; `None` if there is none in time.
fn place(
    reasons: &Reasons<'_>,
    windows: &Windows,
    (begin, due, latest): (Timestamp, Timestamp, Timestamp),
) -> Option<(Timestamp, Placement)> {
    let &Reasons { seed, now, .. } = reasons;
    let forward = |from: Timestamp| within(windows, from, latest, seed);
    let planned = forward(due).or_else(|| backward(windows, begin, due, seed));
    if let Some(time) = planned
        && (now < time || reasons.under_way || windows.open_at(now).is_some())
    {
        return Some((time, Placement::Within));
    }
    let time = forward(planned.map_or(due, |_| due.max(now)))?;
    Some((time, Placement::Missed))
}

/// The first moment within a window that is not before `from`, and not after `latest`. Those who waited for the window to open
/// do not begin all at once.
fn within(windows: &Windows, from: Timestamp, latest: Timestamp, seed: &str) -> Option<Timestamp> {
    if from > latest {
        return None;
    }
    if windows.open_at(from).is_some() {
        return Some(from);
    }
    windows.next(from).filter(|opening| opening.opens <= latest).map(|opening| spread(opening, latest, seed))
}

/// A moment in the last window before `due`, unless half of the time from `begin` to `due` would be lost by it.
fn backward(windows: &Windows, begin: Timestamp, due: Timestamp, seed: &str) -> Option<Timestamp> {
    let time = spread(windows.last(due)?, due, seed);
    (time.duration_since(begin) >= due.duration_since(begin) / 2).then_some(time)
}

/// A moment in the first half of `opening`, not after `latest`.
fn spread(opening: Opening, latest: Timestamp, seed: &str) -> Timestamp {
    let room = opening.closes.duration_since(opening.opens) / 2;
    let room = room.min(latest.duration_since(opening.opens)).as_secs_f64();
    let into = SignedDuration::try_from_secs_f64(room * stable_fraction(&format!("{seed}/window")));
    let time = opening.opens.saturating_add(into.unwrap_or_default()).unwrap_or(opening.opens);
    // A window may open between two seconds in no time zone.
    whole_seconds(time).max(opening.opens)
}

#[cfg(test)]
mod tests;
