//! How urgently a Certificate needs an order slot.

use jiff::{SignedDuration, Timestamp};

use super::{Current, due};
use certwright_api::certificate_reason as reason;

/// A CA that wants a certificate replaced before its normal renewal time may revoke it this long after the window that it
/// suggests. In the worst case, CAs have to revoke within a day.
const UNTIL_REVOKED: SignedDuration = SignedDuration::from_hours(24);

/// How urgently a Certificate needs an order slot. The most urgent one comes first in the order of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// It has no usable certificate: none at all, one that is expired or revoked, or one that lacks a name.
    Unusable,
    /// Its certificate can be used until this time: it expires, or the CA may revoke it.
    UsableUntil(Timestamp),
}

impl Urgency {
    /// The urgency of the next issuance.
    pub fn of(current: &Current<'_>) -> Self {
        let unusable = due(current).is_some_and(|due| {
            matches!(
                due.reason,
                reason::SECRET_MISSING
                    | reason::SECRET_INVALID
                    | reason::KEY_MISMATCH
                    | reason::REVOKED
                    | reason::NAMES_CHANGED
                    | reason::EXPIRED
            )
        });
        match current.secret.leaf() {
            Some(leaf) if !unusable => {
                let insisted = current.renewal().and_then(|plan| plan.insisted);
                let revoked = insisted.map(|end| end.saturating_add(UNTIL_REVOKED).unwrap_or(end));
                Self::UsableUntil(revoked.map_or(leaf.not_after, |revoked| revoked.min(leaf.not_after)))
            }
            _ => Self::Unusable,
        }
    }
}
