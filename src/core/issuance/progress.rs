//! What an issuance learns on the way. All of it can be lost at any moment and found out again.

use std::time::Duration;

use jiff::Timestamp;

use crate::acme::{Authorization, Order, OrderStatus};
use crate::pki::Chain;

/// What was learned on the way.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Whether one of the issuer's places for orders under way is taken.
    pub place: bool,
    /// The order as the CA last gave it.
    pub order: Option<Order>,
    /// The authorizations, by URL, as the CA last gave them.
    pub authorizations: Option<Vec<(String, Authorization)>>,
    /// Whether the answers are where the CA will look.
    pub presented: bool,
    /// Since when.
    pub presented_at: Option<Timestamp>,
    /// What the last self-check saw.
    pub self_check: Option<SelfCheckResult>,
    /// When the CA was told to look.
    pub answered: Option<Timestamp>,
    /// When it was last told; a CA that could not see the proof may want to be told again.
    pub answered_again: Option<Timestamp>,
    /// When the request was sent.
    pub finalized: Option<Timestamp>,
    /// When the CA was last asked for the order.
    pub asked_at: Option<Timestamp>,
    /// How long it said to wait.
    pub retry_after: Option<Duration>,
    /// How often in a row the CA has stumbled without a failure having been recorded.
    pub stumbles: u32,
    /// When the words of a wait were last written into the status.
    pub reported_at: Option<Timestamp>,
    /// The certificate, downloaded and checked.
    pub chain: Option<Chain>,
}

impl Progress {
    /// Takes in the order as the CA gave it at `now`, and how long the CA said to wait.
    ///
    /// The authorizations of an order that has become invalid are forgotten, to be asked for again: they say why.
    pub fn saw_order(&mut self, order: Order, retry_after: Option<Duration>, now: Timestamp) {
        if order.status == OrderStatus::Invalid {
            self.authorizations = None;
        }
        self.order = Some(order);
        self.asked_at = Some(now);
        self.retry_after = retry_after;
    }
}

/// What a self-check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCheckResult {
    /// When it ended.
    pub at: Timestamp,
    /// The names whose answer was not seen, and what was seen instead.
    pub failures: Vec<(String, String)>,
}

impl SelfCheckResult {
    /// What was seen, for people.
    pub fn message(&self) -> String {
        let seen: Vec<&str> = self.failures.iter().map(|(_, failure)| failure.as_str()).collect();
        format!("The self-check does not see the answer yet: {}", seen.join("; "))
    }
}
