//! A world for the account state machine: a CA, the account key Secret, the status in the API server, and a process that is
//! killed, fails to write, and loses answers. It decides nothing: that is left to `next_step` and `apply`.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::super::deactivation::{LastStep, last_step};
use super::super::rollover::{self, Keys, NextKey};
use super::super::*;
use crate::backoff::Backoff;
use crate::conditions::condition;
use crate::deletion::Deletion;
use certwright_acme::{AccountStatus, AcmeError, Operation, Problem};
use certwright_api::{AcmeIssuer, CONDITION_READY, IssuerStatus, PreviousAccount};
use certwright_pki::KeyAlgorithm;

pub(super) const SERVER: &str = "https://acme.test/dir";

/// What happens to one effect: a call to the CA, or a write to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It works.
    Works,
    /// It has no effect: the CA answers 503, or the API server rejects the write.
    Refused,
    /// It takes effect, but the answer is lost.
    AnswerLost,
    /// The process is killed before it.
    KilledBefore,
    /// The process is killed after it.
    KilledAfter,
}

/// The reconcile ended: the process was killed, or the API server failed.
#[derive(Debug)]
pub(super) struct Broken;

/// An account at the CA.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub url: String,
    pub key: u32,
    pub key_id: Option<String>,
    pub contact: Vec<String>,
    pub deactivated: bool,
}

/// What a CA does when it is asked to change a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyChanges {
    Made,
    /// It reports success, but keeps the old key.
    Pretended,
    Refused,
    NotOffered,
}

/// The account key Secret.
#[derive(Clone, Debug, Default)]
pub(super) struct Secret {
    pub key: u32,
    pub next: Option<(u32, Timestamp)>,
    pub account: Option<Recorded>,
    pub thumbprint_of: Option<u32>,
    pub created: Option<Timestamp>,
    pub last_rollover: Option<Timestamp>,
    pub history: Vec<PreviousAccount>,
    /// The keys of previous accounts, by their names in the data.
    pub kept: Vec<(String, u32)>,
}

pub(super) struct World {
    pub now: Timestamp,
    pub spec: AcmeIssuer,
    pub generation: i64,
    pub request: Option<String>,
    pub deactivate: Option<String>,
    pub deleted: Option<Timestamp>,
    pub held: bool,
    pub released: bool,
    pub status: IssuerStatus,
    pub secret: Option<Secret>,
    pub accounts: Vec<Account>,
    pub changes: KeyChanges,
    pub requires_binding: bool,
    /// What happens to the next effects. All later ones work.
    pub fates: VecDeque<Fate>,
    pub effects: usize,
    keys: u32,
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
            deactivate: None,
            deleted: None,
            held: false,
            released: false,
            status: IssuerStatus::default(),
            secret: None,
            accounts: Vec::new(),
            changes: KeyChanges::Made,
            requires_binding: false,
            fates: VecDeque::new(),
            effects: 0,
            keys: 0,
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

    pub fn is_ready(&self) -> bool {
        self.ready()
            .is_some_and(|ready| ready.status == "True" && ready.observed_generation == Some(self.generation))
    }

    /// Reconciles until nothing is due within an hour, or the issuer is gone.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            let next = match self.reconcile() {
                Ok(None) => return,
                Ok(Some(next)) => next,
                Err(Broken) => self.now + SignedDuration::from_secs(1),
            };
            if self.released || next > self.now + SignedDuration::from_hours(9) {
                return;
            }
            self.now = self.now.max(next) + SignedDuration::from_secs(1);
        }
        panic!("it does not come to rest: {:?}", self.status);
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
        let answer = effect(self);
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
        }
    }

    fn snapshot<'a>(&self, seen: &'a Seen) -> Snapshot<'a> {
        Snapshot {
            spec: &seen.spec,
            uid: "uid",
            generation: self.generation,
            key_secret_name: ("account", "tls.key"),
            secrets_namespace: None,
            key_secret: &seen.key_secret,
            key_id: &seen.key_id,
            mac_key: &MacKey::Usable,
            external_account_version: None,
            deactivate: seen.deactivate.as_deref(),
            deleted: self.deleted,
            held: self.held,
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
            verdict: None,
            latest_terms: None,
            backoff: Backoff::default(),
        }
    }

    fn reconcile(&mut self) -> Result<Option<Timestamp>, Broken> {
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
                        LastStep::RecordEnd(url) => self.act(Step::RecordEnd(url), &mut state)?,
                        LastStep::Retain(_) | LastStep::GiveUp | LastStep::Release => {
                            self.write(|world| world.released = true)?;
                            return Ok(None);
                        }
                    }
                }
                None => {
                    state.note_request(&self.snapshot(&seen), now);
                    let step = next_step(&state, &self.snapshot(&seen), now);
                    self.act(step, &mut state)?
                }
            };
            let seen = self.seen();
            let consequence = state.apply(&self.snapshot(&seen), outcome, now);
            self.report(consequence.reports, &mut state)?;
            if let Next::Wait(until) = consequence.next {
                return Ok(until);
            }
        }
        panic!("it goes in circles: {state:?}");
    }

    fn note_secret(&mut self, state: &mut State) {
        let history = self.secret.as_ref().map(|secret| secret.history.clone());
        state.note_history(history.filter(|history| !history.is_empty()));
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

    fn act(&mut self, step: Step, state: &mut State) -> Result<Outcome, Broken> {
        let now = self.now;
        let key = self.secret.as_ref().map(|secret| secret.key);
        let outcome = match step {
            Step::Rest => Outcome::Rested,
            Step::Wait { until, reason, message } => Outcome::Waited { until, reason, message },
            Step::Hold { until } => Outcome::Held { until },
            Step::MakeKey => {
                self.keys += 1;
                let secret = Secret { key: self.keys, created: Some(now), ..Secret::default() };
                self.write(|world| world.secret = Some(secret))?;
                Outcome::KeyStored { made: true }
            }
            Step::LookUp => {
                let key = key.unwrap();
                Outcome::LookedUp(self.call(Operation::LookUpAccount, |world| {
                    Ok(world.account_of(key).map(|account| describe(account)))
                })?)
            }
            Step::ReadMacKey => Outcome::MacKeyRead,
            Step::Register => self.register(key.unwrap())?,
            Step::Adopt(recorded) => {
                let url = recorded.url.clone();
                let answer = self.call(Operation::Account, |world| {
                    let found = world.accounts.iter().find(|account| account.url == url);
                    let found =
                        found.ok_or_else(|| refusal(Operation::Account, 400, "accountDoesNotExist"))?;
                    assert_eq!(Some(found.key), key, "the CA is asked with the key of the account");
                    Ok(describe(found))
                })?;
                Outcome::Adopted { recorded, answer }
            }
            Step::RecordAccount { url, key_id } => {
                self.write(|world| {
                    let secret = world.secret.as_mut().unwrap();
                    secret.thumbprint_of = Some(secret.key);
                    secret.account =
                        Some(Recorded { url, server: world.spec.server.clone(), key_id, deactivated: None });
                })?;
                Outcome::Recorded
            }
            Step::RecordEnd(url) => {
                self.write(|world| {
                    let server = world.spec.server.clone();
                    let secret = world.secret.as_mut().unwrap();
                    if secret.history.iter().any(|account| account.uri == url) {
                        secret.history = with_deactivated(&secret.history, &url, now);
                    } else {
                        let key_id = secret.account.as_ref().and_then(|account| account.key_id.clone());
                        secret.thumbprint_of = Some(secret.key);
                        secret.account = Some(Recorded { url, server, key_id, deactivated: Some(now) });
                    }
                })?;
                Outcome::Recorded
            }
            Step::NoteEnd(recorded) => Outcome::EndNoted(recorded),
            Step::ReplaceKey => {
                let seen = self.seen();
                let replacement = state.replacement(&self.snapshot(&seen), None, now);
                self.keys += 1;
                let new = self.keys;
                self.write(|world| world.put_key(new, None, replacement, now))?;
                Outcome::KeyReplaced
            }
            Step::ReturnTo(previous) => {
                let entry = previous.secret_key.clone().unwrap();
                let secret = self.secret.as_ref().unwrap();
                let (_, kept) = secret.kept.iter().find(|(name, _)| *name == entry).cloned().unwrap();
                let seen = self.seen();
                let replacement = state.replacement(&self.snapshot(&seen), Some(&previous), now);
                self.write(|world| world.put_key(kept, Some(&previous), replacement, now))?;
                Outcome::KeyRestored
            }
            Step::UpdateContact => {
                let contact: Vec<String> =
                    wanted_contact(&self.spec).into_iter().map(str::to_owned).collect();
                let sent = contact.clone();
                let answer = self.call(Operation::UpdateAccount, |world| {
                    world.account_of(key.unwrap()).unwrap().contact = sent;
                    Ok(())
                })?;
                Outcome::ContactUpdated { contact, answer }
            }
            Step::Deactivate(url) => self.deactivate_account(Some(url))?,
            Step::SetFinalizer => {
                self.write(|world| world.held = true)?;
                Outcome::FinalizerWritten
            }
            Step::DropFinalizer => {
                self.write(|world| world.held = false)?;
                Outcome::FinalizerWritten
            }
            Step::Rollover(step) => self.roll_over(step, state)?,
        };
        self.note_secret(state);
        Ok(outcome)
    }

    fn register(&mut self, key: u32) -> Result<Outcome, Broken> {
        let binding = self.spec.external_account_binding.as_ref();
        let key_id = binding.and_then(|binding| binding.key_id.clone());
        if self.requires_binding && key_id.is_none() {
            return Ok(Outcome::ExternalAccountRequired);
        }
        let contact: Vec<String> = wanted_contact(&self.spec).into_iter().map(str::to_owned).collect();
        let (bound, sent) = (key_id.is_some(), contact.clone());
        let answer = self.call(Operation::NewAccount, |world| {
            assert_eq!(world.secret.as_ref().map(|secret| secret.key), Some(key), "the key is in its Secret");
            if let Some(account) = world.account_of(key) {
                return Ok((describe(account), false));
            }
            let url = format!("https://acme.test/account/{}", world.accounts.len() + 1);
            let account = Account { url, key, key_id, contact: sent, deactivated: false };
            let described = describe(&account);
            world.accounts.push(account);
            Ok((described, true))
        })?;
        Ok(Outcome::Registered { answer, contact, bound })
    }

    fn deactivate_account(&mut self, url: Option<String>) -> Result<Outcome, Broken> {
        let key = self.secret.as_ref().map(|secret| secret.key);
        let named = url.clone();
        let answer = self.call(Operation::DeactivateAccount, |world| {
            let found = world.accounts.iter_mut().find(|account| match &named {
                Some(url) => account.url == *url,
                None => Some(account.key) == key,
            });
            Ok(found.map(|account| {
                account.deactivated = true;
                account.url.clone()
            }))
        })?;
        Ok(Outcome::Deactivated { url, answer: answer.map_err(Undone::Refused) })
    }

    fn roll_over(&mut self, step: rollover::Step, state: &State) -> Result<Outcome, Broken> {
        let now = self.now;
        let secret = self.secret.clone().unwrap();
        Ok(match step {
            rollover::Step::StoreNextKey(_) if self.changes == KeyChanges::NotOffered => {
                Outcome::KeyChangeNotOffered
            }
            rollover::Step::StoreNextKey(_) => {
                self.keys += 1;
                let next = Some((self.keys, now));
                self.write(|world| world.secret.as_mut().unwrap().next = next)?;
                Outcome::NextKeyStored
            }
            rollover::Step::WaitForValidations { until } => Outcome::WaitedForValidations { until },
            rollover::Step::ChangeKey => {
                let (next, _) = secret.next.expect("the next key is in the Secret first");
                let changes = self.changes;
                let answer = self.call(Operation::KeyChange, |world| match changes {
                    KeyChanges::Made => {
                        assert!(world.account_of(next).is_none(), "a key has one account");
                        world.account_of(secret.key).unwrap().key = next;
                        Ok(())
                    }
                    KeyChanges::Pretended => Ok(()),
                    _ => Err(refusal(Operation::KeyChange, 403, "unauthorized")),
                })?;
                self.in_use = None;
                Outcome::KeyChangeAsked(answer)
            }
            rollover::Step::AskWhichKey(account) => {
                let (next, _) = secret.next.unwrap();
                let answer = self.call(Operation::LookUpAccount, |world| {
                    Ok(world.account_of(next).map(|account| account.url.clone()))
                })?;
                Outcome::NextKeyLookedUp(account, answer)
            }
            rollover::Step::AskForPresentKey(account) => {
                let answer =
                    self.call(Operation::LookUpAccount, |world| Ok(world.account_of(secret.key).is_some()))?;
                Outcome::PresentKeyLookedUp(account, answer)
            }
            rollover::Step::PromoteKey => {
                let account = state.asked_about().unwrap().clone();
                self.write(|world| {
                    let secret = world.secret.as_mut().unwrap();
                    let (next, created) = secret.next.take().unwrap();
                    secret.key = next;
                    secret.thumbprint_of = Some(next);
                    secret.created = Some(created);
                    secret.last_rollover = Some(now);
                    secret.account = Some(account);
                })?;
                Outcome::KeyPromoted
            }
            rollover::Step::DiscardNextKey => {
                self.write(|world| world.secret.as_mut().unwrap().next = None)?;
                Outcome::NextKeyDiscarded
            }
            rollover::Step::Refuse { reason, message } => Outcome::KeyChangeRefused { reason, message },
        })
    }

    fn put_key(
        &mut self,
        key: u32,
        account: Option<&PreviousAccount>,
        replacement: Replacement,
        now: Timestamp,
    ) {
        let server = self.spec.server.clone();
        let secret = self.secret.as_mut().unwrap();
        secret.kept.extend(replacement.kept_under.map(|entry| (entry, secret.key)));
        secret.history = replacement.history;
        secret.key = key;
        secret.next = None;
        secret.created = account.is_none().then_some(now);
        secret.last_rollover = None;
        secret.thumbprint_of = account.map(|_| key);
        secret.account = account.map(|account| Recorded {
            url: account.uri.clone(),
            server,
            key_id: account.bound_key_id.clone(),
            deactivated: None,
        });
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
}

pub(super) fn thumbprint(key: u32) -> String {
    format!("key-{key}")
}

fn describe(account: &Account) -> CaAccount {
    CaAccount {
        url: account.url.clone(),
        status: if account.deactivated { AccountStatus::Deactivated } else { AccountStatus::Valid },
        contact: account.contact.clone(),
        terms_of_service: None,
    }
}

fn refusal(operation: Operation, status: u16, code: &str) -> AcmeError {
    let typ = format!("urn:ietf:params:acme:error:{code}");
    let problem = Box::new(Problem { typ, detail: code.to_owned(), ..Problem::default() });
    AcmeError::Problem { operation, status, problem, retry_after: None }
}
