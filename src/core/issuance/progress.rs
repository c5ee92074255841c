//! What an issuance learns on the way. All of it can be lost at any moment and found out again.

use std::time::Duration;

use jiff::Timestamp;

use super::Challenged;
use crate::acme::{Authorization, ChallengeType, Order, OrderStatus};
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
    /// Why the answers could not be put where the CA will look.
    pub present_failed: Option<PresentFailed>,
    /// Whether the answers are where the CA will look.
    pub presented: bool,
    /// Since when.
    pub presented_at: Option<Timestamp>,
    /// What they were presented for, and how.
    pub presented_for: Vec<Challenged>,
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

    /// Takes note that the answers to `challenged` were presented at `now`, or of what stood in the way.
    pub fn saw_presented(&mut self, challenged: &[Challenged], failures: Vec<Unseen>, now: Timestamp) {
        self.self_check = None;
        self.presented = failures.is_empty();
        self.presented_for = challenged.to_vec();
        if failures.is_empty() {
            self.presented_at.get_or_insert(now);
            self.present_failed = None;
            return;
        }
        self.presented_at = None;
        let before = self.present_failed.take().filter(|before| before.challenged == challenged);
        let since = before.map_or(now, |before| before.since);
        self.present_failed =
            Some(PresentFailed { challenged: challenged.to_vec(), since, at: now, failures });
    }

    /// What was presented has been taken away.
    pub fn saw_withdrawn(&mut self) {
        self.presented = false;
        self.presented_at = None;
        self.presented_for.clear();
        self.present_failed = None;
        self.self_check = None;
    }
}

/// Answers could not be put where the CA will look.
#[derive(Clone, Debug, PartialEq)]
pub struct PresentFailed {
    /// What they were to be presented for, and how.
    pub challenged: Vec<Challenged>,
    /// When that was first so.
    pub since: Timestamp,
    /// When it was last tried.
    pub at: Timestamp,
    /// What stood in the way, for each challenge.
    pub failures: Vec<Unseen>,
}

/// What a self-check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCheckResult {
    /// When it ended.
    pub at: Timestamp,
    /// The challenges whose answer was not seen.
    pub failures: Vec<Unseen>,
}

/// A challenge whose answer is not where the CA will look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// URL of the challenge.
    pub challenge: String,
    /// Its type.
    pub typ: ChallengeType,
    /// What was seen instead, or what stands in the way.
    pub words: String,
}

impl PresentFailed {
    /// What stood in the way, for people.
    pub fn message(&self) -> String {
        format!("The answer cannot be presented yet: {}", joined(&self.failures))
    }
}

impl SelfCheckResult {
    /// What was seen, for people.
    pub fn message(&self) -> String {
        format!("The self-check does not see the answer yet: {}", joined(&self.failures))
    }

    /// Whether a TXT record was not seen.
    pub fn lacks_record(&self) -> bool {
        self.failures.iter().any(|failure| failure.typ == ChallengeType::Dns01)
    }
}

fn joined(failures: &[Unseen]) -> String {
    // A wildcard and its apex may say the same.
    let mut words: Vec<&str> = failures.iter().map(|failure| failure.words.as_str()).collect();
    words.dedup();
    words.join("; ")
}
