//! Where in the cycle of its renewals a Certificate is renewed, so that Certificates issued together are not renewed together
//! forever.

use jiff::{SignedDuration, Timestamp};

use super::{part, whole_seconds};
use crate::naming::stable_fraction;

/// The distance between the renewals of a Certificate is shorter than the longest one by this part of the lifetime. This makes up
/// for certificates that start before they are issued, and for renewals that take a while.
const SLACK: f64 = 0.015;

/// A time from `earliest` to `latest` to renew a certificate that is valid since `not_before` for `lifetime`.
///
/// The `uid` gives each Certificate a phase, which is a point in the cycle of its renewals. A Certificate that can reach its
/// phase is renewed there, each time. One that cannot moves towards it with each renewal, at a pace that also depends on its uid.
/// So the renewals of Certificates that were issued together spread at once over the time between `earliest` and `latest`, and
/// after some renewals over the whole cycle.
pub(super) fn in_phase(
    (not_before, lifetime): (Timestamp, SignedDuration),
    (earliest, latest): (Timestamp, Timestamp),
    uid: &str,
) -> Timestamp {
    let reach = latest.duration_since(earliest).as_secs().max(0);
    let slack = part(lifetime, SLACK).as_secs().min(reach / 2);
    let cycle = latest.duration_since(not_before).as_secs() - slack;
    if reach == 0 || cycle <= 0 {
        return whole_seconds(latest);
    }
    let phase = (cycle as f64 * stable_fraction(uid)) as i64;
    let beyond = (latest.as_second() - phase).rem_euclid(cycle);
    let sooner = match beyond <= reach {
        true => beyond,
        false => (reach as f64 * stable_fraction(&format!("{uid}/pace"))) as i64,
    };
    let time = latest.saturating_sub(SignedDuration::from_secs(sooner)).unwrap_or(latest);
    whole_seconds(time)
}
