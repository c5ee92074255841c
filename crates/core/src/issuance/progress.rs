//! What an issuance learns on the way. All of it can be lost with the process, and found out again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Challenged, Ending};
use certwright_acme::{AcmeError, Authorization, ChallengeType, Order, OrderStatus};
use certwright_pki::Chain;

/// What was learned on the way.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Whether one of the issuer's places for orders under way is taken.
    pub place: bool,
    /// How often in a row the CA has stumbled without a failure having been recorded. Only what brings the order on ends the row: what
    /// is read may be read again and again.
    pub stumbles: u32,
    /// When the words of a wait were last written into the status.
    pub reported_at: Option<Timestamp>,
    /// A refusal that depends on what has become of the account, which the CA is asked for first.
    pub doubted: Option<Box<AcmeError>>,
    /// The issuance has ended, and what it has left is being removed.
    pub ending: Option<Ending>,
    /// What was learned of one order, with the URL of that order.
    learned: Option<(String, Learned)>,
}

impl Progress {
    /// What was learned of `order`, and of no other.
    pub fn of(&self, order: Option<&certwright_api::OrderStatus>) -> &Learned {
        static NOTHING: Learned = Learned::NOTHING;
        let url = url(order);
        self.learned.as_ref().filter(|(of, _)| of == url).map_or(&NOTHING, |(_, learned)| learned)
    }

    /// The same, to be added to. What was learned of another order is forgotten.
    pub fn about(&mut self, order: Option<&certwright_api::OrderStatus>) -> &mut Learned {
        let url = url(order);
        if self.learned.as_ref().is_some_and(|(of, _)| of != url) {
            self.learned = None;
        }
        &mut self.learned.get_or_insert_with(|| (url.to_owned(), Learned::NOTHING)).1
    }

    /// Forgets what was learned but for what is presented, after a failure that the order outlives: all else is asked for
    /// anew.
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

/// What was learned of one order.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The order as the CA last gave it.
    pub order: Option<Order>,
    /// The authorizations, by URL, as the CA last gave them.
    pub authorizations: Option<Vec<(String, Authorization)>>,
    /// When it gave them.
    pub authorizations_at: Option<Timestamp>,
    /// Why the answers could not be put where the CA will look.
    pub present_failed: Option<PresentFailed>,
    /// Whether the answers are where the CA will look.
    pub presented: bool,
    /// Since when.
    pub presented_at: Option<Timestamp>,
    /// What they were presented for, and how.
    pub presented_for: Vec<Challenged>,
    /// Whether they are being taken away, all of them, and it is not known to be done.
    pub withdrawing: bool,
    /// What the last self-check saw.
    pub self_check: Option<SelfCheckResult>,
    /// The challenges of which the CA was told to look, by URL.
    pub told: BTreeMap<String, Told>,
    /// When the request was sent.
    pub finalized: Option<Timestamp>,
    /// When the CA was last asked for the order.
    pub asked_at: Option<Timestamp>,
    /// How long it said to wait.
    pub retry_after: Option<Duration>,
    /// The certificate, downloaded and checked.
    pub chain: Option<Chain>,
    /// Why the certificate was due that was written into the Secret.
    pub stored_for: Option<&'static str>,
}

/// When the CA was told to look at a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// For the first time.
    pub first: Timestamp,
    /// For the last time; a CA that could not see the proof may want to be told again.
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

    /// Takes in the authorizations as the CA gave them at `now`.
    pub fn saw_authorizations(&mut self, authorizations: Vec<(String, Authorization)>, now: Timestamp) {
        self.authorizations = Some(authorizations);
        self.authorizations_at = Some(now);
        self.asked_at = Some(now);
    }

    /// A call to the CA has come to nothing, or its answer was lost: what the CA did all the same, it tells when it is asked
    /// again.
    pub fn lost_answer(&mut self) {
        self.order = None;
        self.authorizations = None;
    }

    /// Takes note that the CA was told at `now` to look at the challenge with this URL.
    pub fn saw_told(&mut self, challenge: &str, now: Timestamp) {
        self.told.entry(challenge.to_owned()).or_insert(Told { first: now, last: now }).last = now;
        (self.authorizations_at, self.asked_at) = (Some(now), Some(now));
    }

    /// When the CA was first told to look at a challenge.
    pub fn answered(&self) -> Option<Timestamp> {
        self.told.values().map(|told| told.first).min()
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

    /// What was presented is about to be taken away: from now on, nobody knows how much of it is still there.
    pub fn will_withdraw(&mut self) {
        self.withdrawing = true;
        self.presented = false;
        self.presented_at = None;
        self.present_failed = None;
        self.self_check = None;
    }

    /// What was presented has been taken away.
    pub fn saw_withdrawn(&mut self) {
        self.will_withdraw();
        self.withdrawing = false;
        self.presented_for.clear();
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
