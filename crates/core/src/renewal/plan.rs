//! When a certificate is renewed: combines the rule of the spec, the CA's suggestion, and the windows.

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
    /// The rule of the spec.
    pub rule: RenewalRule,
    /// The CA's renewal information.
    pub suggestion: Option<&'a RenewalInfoStatus>,
    /// When a renewal may start.
    pub windows: &'a Result<Windows, InvalidWindow>,
    /// Whether a renewal has begun.
    pub under_way: bool,
    /// The Certificate's uid, which determines what is chosen by chance.
    pub uid: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// When a certificate is renewed, and why then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The time; if it has passed, now.
    pub time: Timestamp,
    /// Whether the CA suggested it.
    pub suggested: bool,
    /// The end of the window that the CA suggests, if that is before the normal renewal time: the CA wants the certificate
    /// replaced, and does not just spread its load.
    pub insisted: Option<Timestamp>,
    /// How the windows affect it.
    pub windows: Placement,
}

/// How the windows of a spec affect the time of a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// There are none.
    Anytime,
    /// It starts within a window.
    Within,
    /// Its planned window has passed without a renewal, and it starts within a later one.
    Missed,
    /// It starts outside of the windows: none is open between `due` and `latest`.
    NoneInTime {
        /// When it was due.
        due: Timestamp,
        /// The latest time that is safe.
        latest: Timestamp,
    },
    /// It starts outside of the windows: none is open between `due` and `latest`, the CA's deadline.
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
/// The CA's suggestion replaces the default rule. If the spec has a rule, the earlier of the two counts. The renewal then waits
/// for the next window, unless that is later than is safe, or later than the CA wants it. In that case it moves forward to the
/// last window before; if that would waste half of the certificate's use, the windows are ignored.
pub fn plan(reasons: &Reasons<'_>) -> Plan {
    let &Reasons { leaf, rule, suggestion, windows, uid, .. } = reasons;
    let by_lifetime = renewal_time(leaf.not_before, leaf.not_after, rule, uid);
    let otherwise = match rule {
        RenewalRule::Default => by_lifetime,
        _ => renewal_time(leaf.not_before, leaf.not_after, RenewalRule::Default, uid),
    };
    let suggested_time = suggested_time(leaf, suggestion, otherwise);
    let (due, suggested) = match suggested_time {
        // A suggestion that was postponed as long as possible has no effect.
        Some(time) if rule == RenewalRule::Default || time < by_lifetime => (time, time != otherwise),
        _ => (by_lifetime, false),
    };
    let window_end = suggestion.and_then(|status| Some(status.suggested_window.as_ref()?.end.0));
    let insisted = window_end.filter(|end| suggested && *end < otherwise);
    let windows = match windows {
        Ok(windows) if windows.is_empty() => {
            return Plan { time: due, suggested, insisted, windows: Placement::Anytime };
        }
        Ok(windows) => windows,
        Err(invalid) => {
            return Plan { time: due, suggested, insisted, windows: Placement::Invalid(invalid.clone()) };
        }
    };
    let latest = insisted.unwrap_or_else(|| latest(leaf.not_before, leaf.not_after)).max(due);
    // `notBefore` is often before the time of issuance, so the first check counts if there is one.
    let first_checked = suggestion.filter(|_| suggested).map(|status| status.first_checked.0);
    let begin = first_checked.map_or(leaf.not_before, |time| time.max(leaf.not_before));
    let (time, windows) = match place(reasons, windows, (begin, due, latest)) {
        Some(placed) => placed,
        None if insisted.is_some() => (due, Placement::CaInsists { due, latest }),
        None => (due, Placement::NoneInTime { due, latest }),
    };
    Plan { time, suggested, insisted, windows }
}

/// The time within a window; `None` if there is none in time.
fn place(
    reasons: &Reasons<'_>,
    windows: &Windows,
    (begin, due, latest): (Timestamp, Timestamp, Timestamp),
) -> Option<(Timestamp, Placement)> {
    let &Reasons { uid, now, .. } = reasons;
    let forward = |from: Timestamp| within(windows, from, latest, uid);
    let planned = forward(due).or_else(|| backward(windows, begin, due, uid));
    if let Some(time) = planned
        && (now < time || reasons.under_way || windows.open_at(now).is_some())
    {
        return Some((time, Placement::Within));
    }
    let time = forward(planned.map_or(due, |_| due.max(now)))?;
    Some((time, Placement::Missed))
}

/// The first moment within a window that is not before `from`, and not after `latest`. Renewals that waited for the window to
/// open are spread.
fn within(windows: &Windows, from: Timestamp, latest: Timestamp, uid: &str) -> Option<Timestamp> {
    if windows.open_at(from).is_some() {
        return Some(from);
    }
    windows.next(from).filter(|opening| opening.opens <= latest).map(|opening| spread(opening, latest, uid))
}

/// A time in the last window before `due`, unless that would waste half of the time from `begin` to `due`.
fn backward(windows: &Windows, begin: Timestamp, due: Timestamp, uid: &str) -> Option<Timestamp> {
    let time = spread(windows.last(due)?, due, uid);
    (time.duration_since(begin) >= due.duration_since(begin) / 2).then_some(time)
}

/// A time in the first half of `opening`, not after `latest`.
fn spread(opening: Opening, latest: Timestamp, uid: &str) -> Timestamp {
    let room = opening.closes.duration_since(opening.opens) / 2;
    let room = room.min(latest.duration_since(opening.opens)).as_secs_f64();
    let into = SignedDuration::try_from_secs_f64(room * stable_fraction(&format!("{uid}/window")));
    let time = opening.opens.saturating_add(into.unwrap_or_default()).unwrap_or(opening.opens);
    // A window may open between two seconds in no time zone.
    whole_seconds(time).max(opening.opens)
}

#[cfg(test)]
mod tests;
