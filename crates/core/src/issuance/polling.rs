//! Polling the order.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::step::wait;
use super::{IssuanceStep, Situation};

/// If a validation takes longer than this, the authorizations are read: they say more than the order.
pub const LONG_VALIDATION: SignedDuration = SignedDuration::from_secs(5);
/// Bounds of the interval at which an order is polled: short for a new order, long for an old one.
const ORDER_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(300));

/// Waits for the CA, or polls it again once the wait is over.
pub(super) fn poll(
    situation: &Situation<'_>,
    now: Timestamp,
    reason: &'static str,
    message: String,
) -> IssuanceStep {
    let since = processing_since(situation, now);
    match situation.learned().poll.next(since, ORDER_BOUNDS).filter(|until| *until > now) {
        Some(until) => wait(Some(until), reason, message),
        None => read_order(situation),
    }
}

/// Since when the CA has been processing the order.
pub(super) fn processing_since(situation: &Situation<'_>, now: Timestamp) -> Timestamp {
    let created = situation.state.status.order.as_ref().map_or(now, |order| order.created.0);
    let learned = situation.learned();
    learned.finalized.or_else(|| learned.answered()).unwrap_or(created)
}

/// Reads the current order from the CA.
pub(super) fn read_order(situation: &Situation<'_>) -> IssuanceStep {
    let order = situation.state.status.order.as_ref();
    IssuanceStep::ReadOrder(order.map(|order| order.url.clone()).unwrap_or_default())
}
