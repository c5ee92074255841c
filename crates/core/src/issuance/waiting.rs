//! Waiting for something in the cluster that is not watched.

use std::time::Duration;

use jiff::Timestamp;

use super::step::make_room;
use super::{IssuanceStep, Situation};
use crate::backoff::look_again;
use crate::conditions::condition;
use certwright_api::{CONDITION_ISSUING, certificate_reason as reason};

/// Bounds of the wait for something in the cluster that is not watched.
const CLUSTER_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Waits for a password that is required to write the Secret according to the spec.
pub(super) fn without_password(situation: &Situation<'_>, now: Timestamp) -> Option<IssuanceStep> {
    let message = situation.password_missing?.to_owned();
    let until = look_at_cluster_again(waiting_since(situation, reason::PASSWORD_NOT_FOUND, now), now);
    Some(make_room(Some(until), reason::PASSWORD_NOT_FOUND, message))
}

/// Since when the condition `Issuing` has had this reason.
pub(super) fn waiting_since(situation: &Situation<'_>, reason: &str, now: Timestamp) -> Timestamp {
    let issuing = condition(&situation.state.status.conditions, CONDITION_ISSUING);
    let same = issuing.filter(|issuing| issuing.reason == reason);
    same.map_or(now, |issuing| issuing.last_transition_time.0)
}

/// When to check again something in the cluster that is not watched, and that has been unchanged since `since`.
pub(super) fn look_at_cluster_again(since: Timestamp, now: Timestamp) -> Timestamp {
    look_again(since, now, None, CLUSTER_BOUNDS)
}
