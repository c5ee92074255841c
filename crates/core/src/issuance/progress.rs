//! What an issuance learns on the way. All of it may be lost with the process, and can be learned again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{CaaQuestion, Ending, Proof, Way};
use crate::backoff::look_again;
use certwright_acme::{AcmeError, Authorization, Challenge, Order, OrderStatus};
use certwright_api::DnsPersist01Solver;
use certwright_pki::Chain;

/// What was learned on the way.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Whether this issuance has one of the account's order slots.
    pub slot: bool,
    /// When the wait for one is written, unless it ends before.
    pub report_queued: Option<Timestamp>,
    /// How many temporary errors of the CA occurred in a row without a recorded failure. Only calls that advance the order
    /// reset this: reads can succeed again and again.
    pub stumbles: u32,
    /// When the message of a wait was last written into the status.
    pub reported_at: Option<Timestamp>,
    /// An error whose meaning depends on the state of the account, which is read from the CA first.
    pub doubted: Option<Box<AcmeError>>,
    /// The order that CAA records allow, as they were looked up before it is placed.
    pub caa_allows: Option<Box<CaaQuestion>>,
    /// The CA rejected an order, perhaps because it said what it replaces: the next one does not.
    pub without_replaces: bool,
    /// The serial number of the certificate in the Secret, if its issuer's revocation list was fetched.
    pub list_seen_for: Option<String>,
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

    /// After a failure that does not end the order: forgets everything except what is presented, and how often the CA was told to
    /// validate it. The rest is read again.
    pub fn start_over(&mut self) {
        let learned = self.learned.take().map(|(url, learned)| {
            let mut proof = learned.proof;
            proof.forget_self_check();
            (url, Learned { proof, tries: learned.tries, ..Learned::NOTHING })
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
    /// Its authorizations.
    pub authorizations: Option<Authorizations>,
    /// The proof of control over its names.
    pub proof: Proof,
    /// The challenges that the CA was told to validate, by URL.
    pub told: BTreeMap<String, Told>,
    /// How often the CA was told to validate a challenge of each authorization, by its URL.
    pub tries: BTreeMap<String, u32>,
    /// When the CSR was sent.
    pub finalized: Option<Timestamp>,
    /// When the CA was last asked for any of this.
    pub poll: Poll,
    /// The certificate, downloaded and checked.
    pub chain: Option<Chain>,
    /// Why the issuance of the certificate in the Secret was due.
    pub stored_for: Option<&'static str>,
}

/// The authorizations of an order.
#[derive(Clone, Debug)]
pub struct Authorizations {
    /// The authorizations, by URL, as the CA last returned them.
    pub found: Vec<(String, Authorization)>,
    /// When it returned them, or a challenge of them.
    pub at: Timestamp,
}

/// When the CA was last asked, and how long it said to wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Poll {
    /// When it was asked; `None` if it is to be asked immediately.
    pub at: Option<Timestamp>,
    /// How long it said to wait.
    pub retry_after: Option<Duration>,
}

impl Poll {
    /// When to ask a CA again that has been working since `since`; `None` if immediately.
    pub(crate) fn next(&self, since: Timestamp, bounds: (Duration, Duration)) -> Option<Timestamp> {
        Some(look_again(since, self.at?, self.retry_after, bounds))
    }
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
        proof: Proof::Absent,
        told: BTreeMap::new(),
        tries: BTreeMap::new(),
        finalized: None,
        poll: Poll { at: None, retry_after: None },
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
        self.poll = Poll { at: Some(now), retry_after };
    }

    /// Records the authorizations as the CA returned them at `now`.
    pub fn saw_authorizations(&mut self, found: Vec<(String, Authorization)>, now: Timestamp) {
        self.authorizations = Some(Authorizations { found, at: now });
        self.poll.at = Some(now);
    }

    /// A call to the CA failed, or its answer was lost. The CA may have processed it: the next read will tell.
    pub fn lost_answer(&mut self) {
        self.order = None;
        self.authorizations = None;
    }

    /// Records that the CA was told at `now` to validate the challenge with this URL.
    pub fn saw_told(&mut self, challenge: &str, now: Timestamp) {
        self.told.entry(challenge.to_owned()).or_insert(Told { first: now, last: now }).last = now;
        let authorizations = self.authorizations.iter().flat_map(|authorizations| &authorizations.found);
        let mut of = authorizations.filter(|(_, one)| one.challenges.iter().any(|one| one.url == challenge));
        let of = of.next().map_or(challenge, |(url, _)| url).to_owned();
        *self.tries.entry(of).or_default() += 1;
        if let Some(authorizations) = &mut self.authorizations {
            authorizations.at = now;
        }
        self.poll.at = Some(now);
    }

    /// The challenge with this URL, if it is answered by a record that a person sets: the full name, what the CA offers, and the
    /// solver.
    pub fn persistent(&self, url: &str) -> Option<(String, &Challenge, &DnsPersist01Solver)> {
        let challenged = self.proof.challenged().iter().find(|challenged| challenged.url == url)?;
        let Way::Persistent(solver) = &challenged.way else { return None };
        let found = &self.authorizations.as_ref()?.found;
        let (_, authorization) = found.iter().find(|(of, _)| *of == challenged.authorization)?;
        let challenge = authorization.challenges.iter().find(|challenge| challenge.url == url)?;
        Some((authorization.name(), challenge, &**solver))
    }

    /// When the CA was first told to validate a challenge.
    pub fn answered(&self) -> Option<Timestamp> {
        self.told.values().map(|told| told.first).min()
    }
}
