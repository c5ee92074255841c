//! What an issuance learns on the way. All of it may be lost with the process, and can be learned again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Challenged, Ending};
use certwright_acme::{AcmeError, Authorization, ChallengeType, Order, OrderStatus};
use certwright_pki::Chain;

/// What was learned on the way.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Whether this issuance has one of the account's order slots.
    pub place: bool,
    /// How many temporary errors of the CA occurred in a row without a recorded failure. Only calls that advance the order
    /// reset this: reads can succeed again and again.
    pub stumbles: u32,
    /// When the message of a wait was last written into the status.
    pub reported_at: Option<Timestamp>,
    /// An error whose meaning depends on the state of the account, which is read from the CA first.
    pub doubted: Option<Box<AcmeError>>,
    /// The issuance has ended, and its leftovers are being removed.
    pub ending: Option<Ending>,
    /// What was learned about one order, with the URL of that order.
    learned: Option<(String, Learned)>,
}

impl Progress {
    /// What was learned about `order`, and about no other.
    pub fn of(&self, order: Option<&certwright_api::OrderStatus>) -> &Learned {
        static NOTHING: Learned = Learned::NOTHING;
        let url = url(order);
        self.learned.as_ref().filter(|(of, _)| of == url).map_or(&NOTHING, |(_, learned)| learned)
    }

    /// The same, for writing. Forgets what was learned about another order.
    pub fn about(&mut self, order: Option<&certwright_api::OrderStatus>) -> &mut Learned {
        let url = url(order);
        if self.learned.as_ref().is_some_and(|(of, _)| of != url) {
            self.learned = None;
        }
        &mut self.learned.get_or_insert_with(|| (url.to_owned(), Learned::NOTHING)).1
    }

    /// After a failure that does not end the order: forgets everything except what is presented. The rest is read again.
    pub fn start_over(&mut self) {
        let learned = self.learned.take().map(|(url, learned)| {
            let Learned { presented, presented_for, withdrawing, .. } = learned;
            (url, Learned { presented, presented_for, withdrawing, ..Learned::NOTHING })
        });
        *self = Self { learned, ..Self::default() };
    }
}

fn url(order: Option<&certwright_api::OrderStatus>) -> &str {
    order.map_or("", |order| order.url.as_str())
}

/// What was learned about one order.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The order as the CA last returned it.
    pub order: Option<Order>,
    /// The authorizations, by URL, as the CA last returned them.
    pub authorizations: Option<Vec<(String, Authorization)>>,
    /// When it returned them.
    pub authorizations_at: Option<Timestamp>,
    /// Why the answers could not be presented.
    pub present_failed: Option<PresentFailed>,
    /// Whether the answers are presented.
    pub presented: bool,
    /// Since when.
    pub presented_at: Option<Timestamp>,
    /// The challenges they were presented for, and how.
    pub presented_for: Vec<Challenged>,
    /// Whether all of them are being removed, and that is not known to be finished.
    pub withdrawing: bool,
    /// What the last self-check saw.
    pub self_check: Option<SelfCheckResult>,
    /// The challenges that the CA was told to validate, by URL.
    pub told: BTreeMap<String, Told>,
    /// When the CSR was sent.
    pub finalized: Option<Timestamp>,
    /// When the CA was last asked for the order.
    pub asked_at: Option<Timestamp>,
    /// How long the CA said to wait.
    pub retry_after: Option<Duration>,
    /// The certificate, downloaded and checked.
    pub chain: Option<Chain>,
    /// Why the issuance of the certificate in the Secret was due.
    pub stored_for: Option<&'static str>,
}

/// When the CA was told to validate a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// For the first time.
    pub first: Timestamp,
    /// For the last time; a CA that could not validate it may have to be told again.
    pub last: Timestamp,
}

impl Learned {
    const NOTHING: Self = Self {
        order: None,
        authorizations: None,
        authorizations_at: None,
        present_failed: None,
        presented: false,
        presented_at: None,
        presented_for: Vec::new(),
        withdrawing: false,
        self_check: None,
        told: BTreeMap::new(),
        finalized: None,
        asked_at: None,
        retry_after: None,
        chain: None,
        stored_for: None,
    };

    /// Records the order as the CA returned it at `now`, and how long the CA said to wait.
    ///
    /// The authorizations of an order that has become invalid are forgotten, so that they are read again: they say why.
    pub fn saw_order(&mut self, order: Order, retry_after: Option<Duration>, now: Timestamp) {
        if order.status == OrderStatus::Invalid {
            self.authorizations = None;
        }
        self.order = Some(order);
        self.asked_at = Some(now);
        self.retry_after = retry_after;
    }

    /// Records the authorizations as the CA returned them at `now`.
    pub fn saw_authorizations(&mut self, authorizations: Vec<(String, Authorization)>, now: Timestamp) {
        self.authorizations = Some(authorizations);
        self.authorizations_at = Some(now);
        self.asked_at = Some(now);
    }

    /// A call to the CA failed, or its answer was lost. The CA may have processed it: the next read will tell.
    pub fn lost_answer(&mut self) {
        self.order = None;
        self.authorizations = None;
    }

    /// Records that the CA was told at `now` to validate the challenge with this URL.
    pub fn saw_told(&mut self, challenge: &str, now: Timestamp) {
        self.told.entry(challenge.to_owned()).or_insert(Told { first: now, last: now }).last = now;
        (self.authorizations_at, self.asked_at) = (Some(now), Some(now));
    }

    /// When the CA was first told to validate a challenge.
    pub fn answered(&self) -> Option<Timestamp> {
        self.told.values().map(|told| told.first).min()
    }

    /// Records that the answers to `challenged` were presented at `now`, or why not.
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

    /// What was presented is about to be removed: from now on, it is unknown how much of it still exists.
    pub fn will_withdraw(&mut self) {
        self.withdrawing = true;
        self.presented = false;
        self.presented_at = None;
        self.present_failed = None;
        self.self_check = None;
    }

    /// What was presented has been removed.
    pub fn saw_withdrawn(&mut self) {
        self.will_withdraw();
        self.withdrawing = false;
        self.presented_for.clear();
    }
}
/// Answers could not be presented.
#[derive(Clone, Debug, PartialEq)]
pub struct PresentFailed {
    /// The challenges, and how they were to be answered.
    pub challenged: Vec<Challenged>,
    /// When the first attempt failed.
    pub since: Timestamp,
    /// When the last attempt failed.
    pub at: Timestamp,
    /// The cause, for each challenge.
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

/// A challenge whose answer is not visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// URL of the challenge.
    pub challenge: String,
    /// Its type.
    pub typ: ChallengeType,
    /// What was seen instead, or the cause.
    pub words: String,
}

impl PresentFailed {
    /// The cause, as a message.
    pub fn message(&self) -> String {
        format!("The answer cannot be presented yet: {}", joined(&self.failures))
    }
}

impl SelfCheckResult {
    /// What was seen, as a message.
    pub fn message(&self) -> String {
        format!("The self-check does not see the answer yet: {}", joined(&self.failures))
    }

    /// Whether a TXT record was not seen.
    pub fn lacks_record(&self) -> bool {
        self.failures.iter().any(|failure| failure.typ == ChallengeType::Dns01)
    }
}

fn joined(failures: &[Unseen]) -> String {
    // A wildcard and its apex may have the same text.
    let mut words: Vec<&str> = failures.iter().map(|failure| failure.words.as_str()).collect();
    words.dedup();
    words.join("; ")
}
