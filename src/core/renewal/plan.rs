//! When a certificate is renewed, all things considered.

use jiff::Timestamp;

use super::suggestion::suggested_time;
use super::{RenewalRule, renewal_time};
use crate::api::RenewalInfoStatus;
use crate::pki::Leaf;

/// When a certificate is renewed, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When.
    pub time: Timestamp,
    /// Whether the CA suggested it.
    pub suggested: bool,
}

/// When `leaf` is renewed. What the CA suggests comes in the place of the default rule; a rule of the spec is followed as
/// well, and the earlier of the two counts.
pub fn plan(leaf: &Leaf, rule: RenewalRule, suggestion: Option<&RenewalInfoStatus>, seed: &str) -> Plan {
    let by_lifetime = renewal_time(leaf.not_before, leaf.not_after, rule, seed);
    let otherwise = renewal_time(leaf.not_before, leaf.not_after, RenewalRule::Default, seed);
    match suggested_time(leaf, suggestion, otherwise) {
        Some(time) if rule == RenewalRule::Default || time < by_lifetime => Plan { time, suggested: true },
        _ => Plan { time: by_lifetime, suggested: false },
    }
}
