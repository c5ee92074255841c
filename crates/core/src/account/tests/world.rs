//! A world for the account state machine: a CA, the account key Secret, the status in the API server, and a process that is
//! killed, fails to write, and loses answers. It decides nothing: that is left to `next_step` and `apply`.

mod act;

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::super::deactivation::{LastStep, last_step};
use super::super::rollover::{self, Keys, NextKey};
use super::super::*;
use crate::conditions::condition;
use crate::deletion::Deletion;
use crate::fate::{Broken, Fate};
use certwright_acme::{AccountStatus, AcmeError, Operation, Problem};
use certwright_api::{AcmeIssuer, CONDITION_READY, IssuerStatus, PreviousAccount};
use certwright_pki::KeyAlgorithm;

pub(in crate::account) const SERVER: &str = "https://acme.test/dir";

/// An account at the CA.
#[derive(Clone, Debug)]
pub(in crate::account) struct Account {
    pub url: String,
    pub key: u32,
    pub key_id: Option<String>,
    pub contact: Vec<String>,
    pub deactivated: bool,
}

/// What a CA does when it is asked to change a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::account) enum KeyChanges {
    Made,
    /// It reports success, but keeps the old key.
    Pretended,
    Refused,
    NotOffered,
}

/// The account key Secret.
#[derive(Clone, Debug, Default)]
pub(in crate::account) struct Secret {
    pub key: u32,
    pub next: Option<(u32, Timestamp)>,
    pub account: Option<Recorded>,
    pub thumbprint_of: Option<u32>,
    pub created: Option<Timestamp>,
    pub last_rollover: Option<Timestamp>,
    /// The list of previous accounts, if it was ever written.
    pub history: Option<Vec<PreviousAccount>>,
    /// The keys of previous accounts, by their names in the data.
    pub kept: Vec<(String, u32)>,
}

pub(in crate::account) struct World {
    pub now: Timestamp,
    pub spec: AcmeIssuer,
    pub generation: i64,
    pub request: Option<String>,
    pub orders_per_account: usize,
    pub deactivate: Option<String>,
    pub rebind: Option<String>,
    pub deleted: Option<Timestamp>,
    pub has_finalizer: bool,
    /// Whether the next look at the authorizations adds a TXT record and removes it again.
    pub proves_a_name: bool,
    pub released: bool,
    pub status: IssuerStatus,
    pub secret: Option<Secret>,
    pub accounts: Vec<Account>,
    pub changes: KeyChanges,
    pub requires_binding: bool,
    /// Whether the CA rejects every external account binding.
    pub refuses_bindings: bool,
    /// The MAC key, once it is read.
    pub mac_key: MacKey,
    /// The CA's error when it is asked for the state of an account.
    pub says_of_account: Option<AcmeError>,
    /// The annotation that requests a retry.
    pub retry: Option<String>,
    /// The code with which the CA refuses every call.
    pub refuses: Option<&'static str>,
    /// What happens to the next effects. All later ones work.
    pub fates: VecDeque<Fate>,
    pub effects: usize,
    keys: u32,
    /// Whether this reconcile has read the MAC key.
    read_mac_key: bool,
    /// The account that this process uses, and its key.
    in_use: Option<(String, u32)>,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: "2026-11-22T03:00:00Z".parse().unwrap(),
            spec: AcmeIssuer { server: SERVER.to_owned(), ..AcmeIssuer::default() },
            generation: 1,
            request: None,
            orders_per_account: 50,
            deactivate: None,
            rebind: None,
            deleted: None,
            has_finalizer: false,
            proves_a_name: false,
            released: false,
            status: IssuerStatus::default(),
            secret: None,
            accounts: Vec::new(),
            changes: KeyChanges::Made,
            requires_binding: false,
            refuses_bindings: false,
            mac_key: MacKey::Usable,
            says_of_account: None,
            retry: None,
            refuses: None,
            fates: VecDeque::new(),
            effects: 0,
            keys: 0,
            read_mac_key: false,
            in_use: None,
        }
    }

    pub fn bind(&mut self, key_id: &str) {
        self.spec.external_account_binding = Some(super::binding(key_id));
        self.generation += 1;
    }

    pub fn ready(&self) -> Option<&Condition> {
        condition(&self.status.conditions, CONDITION_READY)
    }

    pub fn reason(&self) -> Option<String> {
        self.ready().map(|ready| ready.reason.clone())
    }

    pub fn is_ready(&self) -> bool {
        self.ready()
            .is_some_and(|ready| ready.status == "True" && ready.observed_generation == Some(self.generation))
    }

    /// Reconciles until nothing is due within nine hours, or the issuer is gone.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            let Some(next) = self.reconcile_or_break() else { return };
            // A failing account is tried again, however long that takes.
            let is_failing = self.status.failed_attempts.is_some();
            if self.released || (!is_failing && next > self.now + SignedDuration::from_hours(9)) {
                return;
            }
            self.now = self.now.max(next) + SignedDuration::from_secs(1);
        }
        panic!("it does not come to rest: {:?}", self.status);
    }

    /// Reconciles whenever something is due within this time.
    pub fn settle_for(&mut self, time: SignedDuration) {
        let end = self.now + time;
        for _ in 0..2000 {
            let next = self.reconcile_or_break().filter(|next| *next < end);
            self.now = next.map_or(end, |next| self.now.max(next) + SignedDuration::from_secs(1));
            if next.is_none() {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.status);
    }

    /// Reconciles so many times.
    pub fn reconcile_times(&mut self, times: usize) {
        for _ in 0..times {
            let Some(next) = self.reconcile_or_break() else { return };
            self.now = self.now.max(next.min(self.now + SignedDuration::from_hours(9)));
        }
    }

    /// Reconciles, and returns when the next reconcile is due. One that broke is repeated a second later.
    fn reconcile_or_break(&mut self) -> Option<Timestamp> {
        self.reconcile().unwrap_or_else(|Broken| Some(self.now + SignedDuration::from_secs(1)))
    }

    fn fate(&mut self) -> Result<Fate, Broken> {
        self.effects += 1;
        match self.fates.pop_front().unwrap_or(Fate::Works) {
            Fate::KilledBefore => Err(self.killed()),
            fate => Ok(fate),
        }
    }

    fn killed(&mut self) -> Broken {
        self.in_use = None;
        Broken
    }

    /// A write to the API server. If its answer is lost, the reconcile ends as if the write had been rejected.
    fn write(&mut self, effect: impl FnOnce(&mut Self)) -> Result<(), Broken> {
        let fate = self.fate()?;
        if fate != Fate::Refused {
            effect(self);
        }
        match fate {
            Fate::KilledAfter => Err(self.killed()),
            Fate::Works => Ok(()),
            _ => Err(Broken),
        }
    }

    /// A call to the CA.
    fn call<T>(
        &mut self,
        operation: Operation,
        effect: impl FnOnce(&mut Self) -> Result<T, AcmeError>,
    ) -> Result<Result<T, AcmeError>, Broken> {
        let fate = self.fate()?;
        if fate == Fate::Refused {
            return Ok(Err(refusal(operation, 503, "serverInternal")));
        }
        let answer = match self.refuses {
            Some(code) => Err(refusal(operation, 403, code)),
            None => effect(self),
        };
        match fate {
            Fate::KilledAfter => Err(self.killed()),
            Fate::AnswerLost => Ok(Err(AcmeError::Timeout { operation, host: "acme.test".to_owned() })),
            _ => Ok(answer),
        }
    }

    fn account_of(&mut self, key: u32) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|account| account.key == key)
    }

    fn seen(&self) -> Seen {
        let secret = self.secret.clone();
        let key_secret = match &secret {
            None => KeySecret::Missing,
            Some(secret) => KeySecret::Key {
                thumbprint: thumbprint(secret.key),
                ours: true,
                account: secret.account.clone().filter(|_| secret.thumbprint_of == Some(secret.key)),
            },
        };
        let annotated =
            secret.as_ref().is_some_and(|secret| secret.thumbprint_of.is_none_or(|of| of == secret.key));
        let binding = self.spec.external_account_binding.as_ref();
        Seen {
            next: secret
                .as_ref()
                .and_then(|secret| secret.next)
                .map(|(_, created)| NextKey { algorithm: KeyAlgorithm::ECDSA_P256, created: Some(created) }),
            created: secret.as_ref().and_then(|secret| secret.created),
            last_rollover: secret.as_ref().and_then(|secret| secret.last_rollover).filter(|_| annotated),
            key_id: binding.and_then(|binding| binding.key_id.clone()).map_or(KeyId::Unbound, KeyId::Known),
            key_secret,
            spec: self.spec.clone(),
            request: self.request.clone(),
            deactivate: self.deactivate.clone(),
            rebind: self.rebind.clone(),
            mac_key: if self.read_mac_key { self.mac_key.clone() } else { MacKey::NotRead },
            retry: self.retry.clone(),
        }
    }

    fn snapshot<'a>(&self, seen: &'a Seen) -> Snapshot<'a> {
        Snapshot {
            generation: self.generation,
            key_id: &seen.key_id,
            mac_key: &seen.mac_key,
            deactivate: seen.deactivate.as_deref(),
            rebind: seen.rebind.as_deref(),
            retry_request: seen.retry.as_deref(),
            deleted: self.deleted,
            has_finalizer: self.has_finalizer,
            keys: Keys {
                algorithm: Some(KeyAlgorithm::ECDSA_P256),
                created: seen.created,
                last_rollover: seen.last_rollover,
                next: seen.next.as_ref(),
                request: seen.request.as_deref(),
                peers: &[],
                validating: false,
                must_stay: None,
            },
            orders_per_account: self.orders_per_account,
            ..super::snapshot(&seen.spec, &seen.key_secret)
        }
    }

    pub fn reconcile(&mut self) -> Result<Option<Timestamp>, Broken> {
        self.read_mac_key = false;
        let mut state = State::new(self.status.clone(), &self.spec.server);
        self.note_secret(&mut state);
        state.drop_unconfirmed(&self.seen().key_secret);
        let uses = |acme: &certwright_api::AcmeAccountStatus| {
            self.in_use
                .as_ref()
                .is_some_and(|(url, key)| *url == acme.uri && thumbprint(*key) == acme.key_thumbprint)
        };
        if state.status.acme.as_ref().is_some_and(uses) && state.change.is_none() {
            state.key_is_known();
        }
        for _ in 0..30 {
            let now = self.now;
            let seen = self.seen();
            let outcome = match self.deleted {
                Some(since) => {
                    let deletion = Deletion { since, with_namespace: false };
                    let step = last_step(&state, &self.snapshot(&seen), None, deletion, now);
                    let words = state.last_words(&step, &self.snapshot(&seen));
                    self.report(words, &mut state)?;
                    match step {
                        LastStep::Wait(until) => return Ok(Some(until)),
                        LastStep::Deactivate { url, .. } => self.deactivate_account(url)?,
                        LastStep::RecordEnd(url) => self.act(AccountStep::RecordEnd(url), &mut state)?,
                        LastStep::Retain(_) | LastStep::GiveUp | LastStep::Release => {
                            self.write(|world| world.released = true)?;
                            return Ok(None);
                        }
                    }
                }
                None => {
                    state.note_requests(&self.snapshot(&seen), now);
                    let step = next_step(&state, &self.snapshot(&seen), now);
                    self.act(step, &mut state)?
                }
            };
            let seen = self.seen();
            let consequence = state.apply(&self.snapshot(&seen), outcome, now);
            self.report(consequence.reports, &mut state)?;
            if let Next::Wait(until) = consequence.next {
                if std::mem::take(&mut self.proves_a_name) {
                    self.write(|world| world.has_finalizer = true)?;
                }
                let seen = self.seen();
                return Ok(due_after_authorizations(&state, &self.snapshot(&seen), until, self.now));
            }
        }
        panic!("it goes in circles: {state:?}");
    }

    fn note_secret(&mut self, state: &mut State) {
        let history = self.secret.as_ref().and_then(|secret| secret.history.clone());
        state.note_history(history);
    }

    fn report(&mut self, reports: Vec<Report>, state: &mut State) -> Result<(), Broken> {
        for report in reports {
            match report {
                Report::Write if state.recorded != state.status => {
                    let status = state.status.clone();
                    self.write(|world| world.status = status)?;
                    state.recorded = state.status.clone();
                }
                Report::InUse | Report::KeySettled => {
                    let key = self.secret.as_ref().map(|secret| secret.key).unwrap();
                    self.in_use = state.status.acme.as_ref().map(|acme| (acme.uri.clone(), key));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

struct Seen {
    spec: AcmeIssuer,
    key_secret: KeySecret,
    key_id: KeyId,
    next: Option<NextKey>,
    created: Option<Timestamp>,
    last_rollover: Option<Timestamp>,
    request: Option<String>,
    deactivate: Option<String>,
    rebind: Option<String>,
    mac_key: MacKey,
    retry: Option<String>,
}

pub(in crate::account) fn thumbprint(key: u32) -> String {
    format!("key-{key}")
}

pub(in crate::account) fn refusal(operation: Operation, status: u16, code: &str) -> AcmeError {
    let typ = format!("urn:ietf:params:acme:error:{code}");
    let problem = Box::new(Problem { typ, detail: code.to_owned(), ..Problem::default() });
    AcmeError::Problem { operation, status, problem, retry_after: None }
}
