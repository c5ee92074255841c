//! The world around an issuance: the cluster, the CA, the clock, and an operator that executes the steps and decides nothing.
//! It may crash after any effect, and any of its writes to the API server may fail without a crash. Each effect checks the
//! invariants.

mod records;
mod revoke;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ca::{Ca, Refusal};
use crate::backoff::Backoff;
use crate::deletion::Deletion;
use crate::issuance::{
    Challenged, Consequence, Download, Ending, IssuerView, KeySecret, Learned, Leftovers, Memory, Next,
    Outcome, Report, Snapshot, State, Step, Unseen, last_step, next_chore, next_step,
};
use crate::records::{Chore, holds, requires_finalizer};
use crate::reissue::{SecretView, reuses_key};
use crate::renewal::Asking;
use crate::revocation::{self, Asked};
use crate::spec::{InvalidSpec, ValidatedCertificate};
use certwright_acme::{AccountStatus, AcmeError, Answer, Operation, Order};
use certwright_api::{
    CertificatePrivateKey, CertificateSpec, CertificateStatus, Http01Ingress, Http01Solver, IssuerRef,
    PrivateKeyAlgorithm, RotationPolicy, Solver,
};
use certwright_pki::{Chain, PrivateKey};

pub const NAME: &str = "cert";
const UID: &str = "8d0e7a52";
/// More steps than this without a wait are a loop.
const MOST_STEPS: usize = 40;
pub const DUPLICATE_LIMIT: usize = 4;

pub struct World {
    pub now: Timestamp,
    pub ca: Ca,

    // The cluster.
    pub spec: CertificateSpec,
    pub generation: i64,
    pub renew_request: Option<String>,
    pub revoke_request: Option<String>,
    /// Since when the Certificate is being deleted, and whether it is gone.
    pub deleted: Option<Timestamp>,
    pub is_gone: bool,
    /// Whether the Certificate has our finalizer.
    pub held: bool,
    pub claimed_by: Option<String>,
    pub not_allowed: Option<String>,
    pub kept_by: Option<String>,
    pub secret: Option<TlsSecret>,
    pub next_key: Option<PrivateKey>,
    pub backup: Option<TlsSecret>,
    /// The answers that the CA can see, by name.
    pub presented: Option<BTreeMap<String, String>>,
    /// The TXT records in DNS, by name and value.
    pub zone: BTreeSet<(String, String)>,
    pub provider_fails: bool,
    pub issuers: BTreeMap<String, IssuerView>,
    /// The status in the API server.
    pub recorded: CertificateStatus,
    /// The outcomes of the next writes to the API server.
    pub writes: VecDeque<Write>,
    pub self_check_passes: bool,
    /// How far the CA's clock is ahead, and whether the operator has asked.
    pub ca_ahead: SignedDuration,
    pub asked_time: bool,
    /// Whether the CA has deactivated the account.
    pub account_has_ended: bool,
    pub place_is_free: bool,
    pub password_missing: Option<String>,
    pub min_interval: Duration,

    // The operator.
    pub state: State,
    /// The reports, except the status.
    pub reports: Vec<Report>,
    /// The status in the last answer of the API server.
    known: CertificateStatus,
    /// Effects until the operator crashes.
    pub crash_after: Option<u32>,
    pub steps: Vec<String>,
}

#[derive(Clone)]
pub struct TlsSecret {
    pub certificate_name: Option<String>,
    pub issuer: Option<(String, String)>,
    pub key: Option<Result<PrivateKey, String>>,
    pub chain: Option<Result<Chain, String>>,
}

/// Where a step led.
#[derive(Debug, PartialEq)]
pub enum Turn {
    /// Another step follows immediately.
    On,
    /// To a wait.
    Waits(Option<Timestamp>),
    /// To the end: nothing to do before the renewal time.
    Rests(Timestamp),
    /// To the end of the Certificate.
    Gone,
}

/// The outcome of a write to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Succeeds,
    /// It is rejected, or times out before it takes effect: the operator cannot distinguish these.
    Fails,
    /// It takes effect, and its answer is lost.
    AnswerLost,
}

/// Why a step was cancelled.
enum Broken {
    Crash,
    /// The API server has failed: the reconcile ends, and another one starts soon.
    Api,
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            ca: Ca::new(),
            spec: CertificateSpec {
                secret_name: "tls".to_owned(),
                private_key: Some(CertificatePrivateKey {
                    algorithm: Some(PrivateKeyAlgorithm::Ecdsa),
                    ..CertificatePrivateKey::default()
                }),
                issuer_ref: IssuerRef { name: "one".to_owned(), ..IssuerRef::default() },
                ..CertificateSpec::default()
            },
            generation: 0,
            renew_request: None,
            revoke_request: None,
            deleted: None,
            is_gone: false,
            held: false,
            claimed_by: None,
            not_allowed: None,
            kept_by: None,
            secret: None,
            next_key: None,
            backup: None,
            presented: None,
            zone: BTreeSet::new(),
            provider_fails: false,
            issuers: BTreeMap::new(),
            recorded: CertificateStatus::default(),
            writes: VecDeque::new(),
            self_check_passes: true,
            ca_ahead: SignedDuration::ZERO,
            asked_time: false,
            account_has_ended: false,
            place_is_free: true,
            password_missing: None,
            min_interval: Duration::from_secs(60),
            state: State::default(),
            reports: Vec::new(),
            known: CertificateStatus::default(),
            crash_after: None,
            steps: Vec::new(),
        };
        for issuer in ["one", "two"] {
            world.issuer_is_ready(issuer, &format!("account/{issuer}"));
        }
        world.names_are(&["a.test", "b.test"]);
        world
    }

    // What may happen.

    pub fn names_are(&mut self, names: &[&str]) {
        self.edit(|spec| spec.dns_names = names.iter().map(|name| (*name).to_owned()).collect());
    }

    pub fn edit(&mut self, change: impl FnOnce(&mut CertificateSpec)) {
        change(&mut self.spec);
        self.generation += 1;
    }

    pub fn issuer_is_ready(&mut self, name: &str, account: &str) {
        let ingress = Http01Ingress { class: Some(name.to_owned()), ..Http01Ingress::default() };
        let http01 = Http01Solver { ingress: Some(ingress), ..Http01Solver::default() };
        self.issuer_solves(name, account, Solver { http01: Some(http01), ..Solver::default() });
    }

    pub fn issuer_solves(&mut self, name: &str, account: &str, solver: Solver) {
        let view = IssuerView::Ready { account: account.to_owned(), solvers: vec![solver], profile: None };
        self.issuers.insert(name.to_owned(), view);
    }

    /// Somebody creates the Secret, or hands it over.
    pub fn secret_belongs_to(&mut self, owner: Option<&str>) {
        let nothing = TlsSecret { certificate_name: None, issuer: None, key: None, chain: None };
        self.secret.get_or_insert(nothing).certificate_name = owner.map(str::to_owned);
    }

    pub fn crash(&mut self) {
        self.state = State { status: self.recorded.clone(), ..State::default() };
        self.known = self.recorded.clone();
        self.asked_time = false;
        self.crash_after = None;
    }

    // What the operator does.

    /// Steps until there is something to wait for.
    ///
    /// # Panics
    /// If that takes too many steps.
    pub fn run(&mut self) -> Turn {
        let begin = self.steps.len();
        loop {
            let turn = self.step();
            if turn != Turn::On {
                return turn;
            }
            let steps = &self.steps[begin..];
            assert!(steps.len() <= MOST_STEPS, "a loop without a wait: {steps:#?}");
        }
    }

    /// Runs, and lets time pass whenever there is something to wait for, until nothing is left to do.
    ///
    /// # Panics
    /// If it never ends, or waits without being woken.
    pub fn run_until_rest(&mut self) -> Timestamp {
        for _ in 0..200 {
            match self.run() {
                Turn::Rests(until) => return until,
                Turn::Waits(Some(until)) => self.now = until,
                turn => panic!("{turn:?} after {:?}", self.last_steps()),
            }
        }
        panic!("no end is in sight: {:#?}", self.last_steps());
    }

    /// The time by the CA's clock.
    pub fn at_ca(&self) -> Timestamp {
        self.now + self.ca_ahead
    }

    pub fn step(&mut self) -> Turn {
        if self.is_gone {
            return Turn::Gone;
        }
        let step = match self.deleted {
            None => Some(self.next_step()),
            Some(_) => self.look(&self.state, |seen, state| last_step(state, seen, self.now)),
        };
        self.steps.extend(step.as_ref().map(|step| format!("{step:?}")));
        let turn = match step {
            Some(step) => self.carry_out(step),
            None => self.flush().map(|()| Turn::Waits(next_chore(&self.state.status))),
        };
        self.check_records();
        match turn {
            Ok(turn) => turn,
            Err(Broken::Crash) => {
                self.crash();
                Turn::On
            }
            Err(Broken::Api) => {
                let memory = Memory::of(&self.known, std::mem::take(&mut self.state));
                self.state = memory.resume(self.known.clone());
                Turn::Waits(Some(self.now + SignedDuration::from_millis(500)))
            }
        }
    }

    pub fn next_step(&self) -> Step {
        self.look(&self.state, |seen, state| next_step(state, seen, self.now))
    }

    /// Looks at the cluster, and does something with `state`.
    fn look<S, T>(&self, state: S, then: impl FnOnce(&Snapshot<'_>, S) -> T) -> T {
        let (wanted, secret, labels) = (self.wanted(), self.secret_view(), BTreeMap::new());
        let backup = self.backup.as_ref().map(view);
        let seen = Snapshot {
            uid: UID,
            generation: self.generation,
            labels: &labels,
            renew_request: self.renew_request.as_deref(),
            wanted: &wanted,
            claimed_by: self.claimed_by.as_deref(),
            kept_by: self.kept_by.as_deref(),
            secret: &secret,
            backup: backup.as_ref(),
            duplicate_limit: DUPLICATE_LIMIT,
            min_interval: self.min_interval,
            password_missing: self.password_missing.as_deref(),
            next_key: self.next_key.as_ref().map(PrivateKey::algorithm),
            not_allowed: self.not_allowed.as_deref(),
            issuer: self.issuers.get(&self.spec.issuer_ref.name).unwrap_or(&IssuerView::NotFound),
            recorded: Some(&self.known),
            asks_lifetime: false,
            backoff: Backoff::default(),
            ca_ahead: self.asked_time.then_some(self.ca_ahead),
            self_check_timeout: Duration::from_secs(60),
            name: NAME,
            held: self.held,
            asking: Asking { wanted: false, asked: None, began: self.now },
            revocation: Asked::new(
                self.spec.revocation.as_ref(),
                self.revoke_request.as_deref(),
                self.deletion(),
            ),
        };
        then(&seen, state)
    }

    /// Lets the state machine change its state.
    fn change<T>(&mut self, change: impl FnOnce(&mut State, &Snapshot<'_>, Timestamp) -> T) -> T {
        let mut state = std::mem::take(&mut self.state);
        let outcome = self.look(&mut state, |seen, state| change(state, seen, self.now));
        self.state = state;
        outcome
    }

    /// Passes an outcome to the state machine, and executes its reports.
    fn take_in(&mut self, outcome: Outcome) -> Result<Turn, Broken> {
        let Consequence { reports, next } = self.change(|state, seen, now| state.apply(seen, outcome, now));
        let mut next = match next {
            Next::Decide => Turn::On,
            Next::Wait(until) => Turn::Waits(until.into_iter().chain(next_chore(&self.state.status)).min()),
        };
        for report in reports {
            match &report {
                Report::Write => self.flush()?,
                Report::Account { message, .. } => {
                    let message = message.clone();
                    let name = self.spec.issuer_ref.name.clone();
                    self.issuers.insert(name, IssuerView::NotReady { message });
                    // The issuer's new condition wakes waiting Certificates.
                    next = Turn::On;
                }
                _ => {}
            }
            self.reports.push(report);
        }
        Ok(next)
    }

    pub fn wanted(&self) -> Result<ValidatedCertificate, InvalidSpec> {
        ValidatedCertificate::new(&self.spec)
    }

    fn secret_view(&self) -> SecretView {
        self.secret.as_ref().map_or_else(SecretView::default, view)
    }

    fn carry_out(&mut self, step: Step) -> Result<Turn, Broken> {
        let outcome = match step {
            Step::Rest { until } => {
                self.take_in(Outcome::Rested { until })?;
                self.check_nothing_is_left();
                let until = until.expect("a certificate has a renewal time");
                assert!(until > self.now);
                assert_eq!(self.held, holds(&self.state.status));
                return Ok(match next_chore(&self.state.status) {
                    Some(next) if next < until => Turn::Waits(Some(next)),
                    _ => Turn::Rests(until),
                });
            }
            Step::Wait { until, reason, message, makes_room } => {
                assert!(until.is_none_or(|until| until > self.now), "a wait that is over");
                if until.is_none() {
                    assert!(self.presented.is_none(), "nobody will come to remove it: {reason}");
                }
                Outcome::Waited { until, reason, message, makes_room }
            }
            Step::BackOff { until } => {
                assert!(until > self.now, "a wait that is over");
                Outcome::BackedOff { until }
            }
            Step::Record => {
                self.flush()?;
                Outcome::Recorded
            }
            Step::AskTime => {
                self.asked_time = true;
                Outcome::AskedTime(Ok(()))
            }
            Step::AskAccount => Outcome::AskedAccount(Ok(match self.account_has_ended {
                true => AccountStatus::Deactivated,
                false => AccountStatus::Valid,
            })),
            Step::TakePlace => {
                let taken = self.place_is_free;
                let turn = self.take_in(Outcome::Place { taken, per_account: 50 })?;
                // A slot becomes free, and this one is next.
                let soon = self.now + SignedDuration::from_secs(1);
                return Ok(if taken { turn } else { Turn::Waits(Some(soon)) });
            }
            Step::StoreKey => {
                let algorithm = self.wanted().unwrap().key;
                self.write(|world| {
                    let fits = |key: &PrivateKey| key.algorithm() == algorithm;
                    if !world.next_key.as_ref().is_some_and(fits) {
                        world.next_key = Some(PrivateKey::generate(algorithm).unwrap());
                    }
                    world.backup = None;
                })?;
                Outcome::KeyStored("next-key".to_owned())
            }
            Step::PlaceOrder(asked) => {
                assert!(self.state.progress.place, "orders under way are bounded");
                let account = self.account();
                let placed = self.ca.place(&account, asked.identifiers.clone(), self.at_ca());
                let answer = self.called(Operation::NewOrder, placed)?.map(|(url, order)| Answer {
                    value: order,
                    location: Some(url),
                    retry_after: None,
                });
                Outcome::OrderPlaced { asked: *asked, account, answer }
            }
            Step::ReadOrder(url) => {
                let (account, of_status) = self.order();
                assert_eq!(url, of_status);
                let read = self.ca.read(&account, &url, self.at_ca());
                Outcome::OrderRead(self.order_answer(Operation::Order, read))
            }
            Step::ReadAuthorizations(_) => {
                let (account, url) = self.order();
                let read = self.ca.authorizations(&account, &url, self.at_ca());
                Outcome::AuthorizationsRead(read.map_err(|refusal| refusal.error(Operation::Authorization)))
            }
            Step::Present(challenged) => self.present(challenged)?,
            Step::SelfCheck => Outcome::SelfChecked(self.self_check()),
            Step::Answer(challenges) => self.answer(&challenges)?,
            Step::Finalize(_) => self.finalize()?,
            Step::Download(_) => self.download(),
            Step::StoreCertificate => self.store_certificate()?,
            Step::RestoreSecret => {
                self.write(|world| world.secret.clone_from(&world.backup))?;
                Outcome::Restored
            }
            Step::AskForRenewalInfo => panic!("the CA of this world suggests nothing"),
            Step::RefreshSecret => panic!("the Secret is always written as the spec asks for"),
            Step::Revocation(revocation::Chore::KeepLedger(ledger, remark)) => {
                Outcome::LedgerKept(ledger, remark)
            }
            Step::Revocation(revocation::Chore::Revoke(revocation, patience)) => {
                self.revoke(revocation, patience)?
            }
            Step::Revocation(revocation::Chore::GiveUp(revocation, words)) => {
                Outcome::RevocationGivenUp(revocation, words)
            }
            Step::Tidy(Chore::RemoveRecords(removals)) => self.remove_records(removals)?,
            Step::Tidy(Chore::Release) => {
                self.write(|world| {
                    world.held = false;
                    world.is_gone = world.deleted.is_some();
                })?;
                Outcome::Released
            }
            Step::Tidy(Chore::Withdraw) => {
                self.withdraw()?;
                Outcome::Withdrawn
            }
            Step::CleanUp => Outcome::Ended(Ending::Done),
            Step::Abandon { message } => Outcome::Ended(Ending::Abandoned(message)),
            Step::Fail(failure) => {
                assert!(!failure.message.is_empty());
                Outcome::Ended(Ending::Failed(failure))
            }
            Step::Remove(leftovers) => self.remove(&leftovers)?,
        };
        self.take_in(outcome)
    }

    /// A call that the CA has processed is an effect that a crash does not undo.
    fn called<T>(
        &mut self,
        operation: Operation,
        outcome: Result<T, Refusal>,
    ) -> Result<Result<T, AcmeError>, Broken> {
        if outcome.is_ok() {
            self.effect()?;
        }
        Ok(outcome.map_err(|refusal| refusal.error(operation)))
    }

    fn order_answer(
        &self,
        operation: Operation,
        order: Result<Order, Refusal>,
    ) -> Result<Answer<Order>, AcmeError> {
        let answer = |value| Answer { value, location: None, retry_after: self.ca.retry_after };
        order.map(answer).map_err(|refusal| refusal.error(operation))
    }

    fn self_check(&self) -> Vec<Unseen> {
        assert!(self.presented.is_some());
        let challenge = &self.state.status.challenges[0];
        let failure = Unseen {
            challenge: challenge.url.clone(),
            typ: serde_json::from_value(challenge.type_.clone().into()).unwrap(),
            words: "a.test: connection refused".to_owned(),
        };
        if self.self_check_passes { Vec::new() } else { vec![failure] }
    }

    fn present(&mut self, challenged: Vec<Challenged>) -> Result<Outcome, Broken> {
        assert!(self.state.progress.place, "orders under way are bounded");
        let records: Vec<_> = challenged.iter().filter_map(records::of).collect();
        let added: Vec<_> = records.iter().map(records::in_dns).collect();
        self.change(|state, seen, now| state.begin_presentation(seen, &challenged, records, now));
        self.flush()?;
        let answers = challenged.iter().map(|one| (one.name.clone(), one.token.clone())).collect();
        self.write(|world| {
            world.presented = Some(answers);
            world.zone.extend(added);
        })?;
        Ok(Outcome::Presented { challenged, failures: Vec::new() })
    }

    fn answer(&mut self, challenges: &[String]) -> Result<Outcome, Broken> {
        let (account, url) = self.order();
        self.check_order_is_recorded(&url);
        let mut answers = Vec::new();
        for (authorization, found) in self.state.learned().authorizations.clone().unwrap().found {
            let challenge = &found.challenges[0];
            if !challenges.contains(&challenge.url) {
                continue;
            }
            let seen = self
                .presented
                .as_ref()
                .and_then(|answers| answers.get(found.name().trim_start_matches("*.")));
            assert_eq!(seen, Some(&challenge.token), "what is answered is presented");
            // All calls are made, even if one fails.
            let answer = self.ca.answer(&account, &url, &authorization);
            let answer = self.called(Operation::Challenge, answer)?;
            let retry_after = self.ca.retry_after;
            let answer = answer.map(|value| Answer { value, location: None, retry_after });
            answers.push((challenge.url.clone(), answer));
        }
        Ok(Outcome::Answered(answers))
    }

    fn finalize(&mut self) -> Result<Outcome, Broken> {
        assert!(self.state.progress.place, "orders under way are bounded");
        let (account, url) = self.order();
        self.check_order_is_recorded(&url);
        let key = self.key().expect("the private key is stored before the request leaves");
        let names = self.wanted().unwrap().identifiers();
        let order = self.ca.finalize(&account, &url, &key, names, self.at_ca());
        if order.is_ok() {
            self.effect()?;
        }
        Ok(Outcome::Finalized(self.order_answer(Operation::Finalize, order)))
    }

    fn check_order_is_recorded(&self, url: &str) {
        let recorded = self.recorded.order.as_ref().map(|order| order.url.as_str());
        assert_eq!(recorded, Some(url), "the order is on record before the CA acts upon it");
    }

    fn download(&mut self) -> Outcome {
        let (account, url) = self.order();
        let pem = self.ca.download(&account, &url);
        let key = self.key().expect("the private key of the order");
        let (subject, now) = (self.wanted().unwrap().subject, self.at_ca());
        Outcome::Downloaded(pem.map_err(|refusal| refusal.error(Operation::Certificate)).map(|pem| {
            let chain = Chain::parse_pem(pem.as_bytes());
            let chain = chain.and_then(|chain| chain.check(&key, &subject, now).map(|()| chain));
            Download { chain, not_offered: None }
        }))
    }

    fn store_certificate(&mut self) -> Result<Outcome, Broken> {
        match &self.secret {
            Some(secret) => {
                assert_eq!(secret.certificate_name.as_deref(), Some(NAME), "the Secret is somebody else's");
            }
            None => assert_eq!(self.claimed_by, None, "the name of the Secret is somebody else's"),
        }
        let wanted = self.wanted().unwrap();
        let key = self.key().expect("the private key of the certificate");
        let chain = self.state.learned().chain.clone().expect("the certificate");
        assert_eq!(chain.check(&key, &wanted.subject, self.at_ca()), Ok(()));
        let secret = TlsSecret {
            certificate_name: Some(NAME.to_owned()),
            issuer: Some((wanted.issuer_name, wanted.issuer_kind.as_str().to_owned())),
            key: Some(Ok(key)),
            chain: Some(Ok(chain)),
        };
        self.change(|state, seen, now| state.begin_storing(seen, now));
        self.write(|world| world.secret = Some(secret))?;
        Ok(Outcome::Stored)
    }

    /// Removes what the issuance left.
    fn remove(&mut self, leftovers: &Leftovers) -> Result<Outcome, Broken> {
        if leftovers.key_secret == KeySecret::BackUp {
            self.write(|world| {
                world.next_key = None;
                world.backup.clone_from(&world.secret);
            })?;
        }
        self.withdraw()?;
        if leftovers.key_secret == KeySecret::Delete {
            self.write(|world| (world.next_key, world.backup) = (None, None))?;
        }
        Ok(Outcome::Removed)
    }

    fn record(&mut self) -> Result<(), Broken> {
        if requires_finalizer(&self.state.status, self.held, self.deletion()) {
            self.write(|world| world.held = true)?;
        }
        self.write(|world| world.recorded = world.state.status.clone())?;
        self.known = self.recorded.clone();
        Ok(())
    }

    /// Writes the status if it has changed.
    fn flush(&mut self) -> Result<(), Broken> {
        if self.known == self.state.status { Ok(()) } else { self.record() }
    }

    /// Writes to the API server.
    fn write(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), Broken> {
        match self.writes.pop_front().unwrap_or(Write::Succeeds) {
            Write::Succeeds => {
                change(self);
                self.effect()
            }
            Write::Fails => Err(Broken::Api),
            Write::AnswerLost => {
                change(self);
                Err(Broken::Api)
            }
        }
    }

    /// Something has happened that a crash does not undo.
    fn effect(&mut self) -> Result<(), Broken> {
        match &mut self.crash_after {
            Some(0) => Err(Broken::Crash),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What was learned about the current order.
    pub fn learned(&mut self) -> &mut Learned {
        self.state.learn()
    }

    fn account(&self) -> String {
        match self.issuers.get(&self.spec.issuer_ref.name) {
            Some(IssuerView::Ready { account, .. }) => account.clone(),
            issuer => panic!("the CA is called with the account of {issuer:?}"),
        }
    }

    /// Account and URL of the order.
    fn order(&self) -> (String, String) {
        let order = self.state.status.order.as_ref().expect("an order");
        assert_eq!(order.account, self.account(), "an order is never asked for with another account");
        (order.account.clone(), order.url.clone())
    }

    /// The private key of the issuance: the one stored for it or, if there is none that fits, the one in the Secret.
    fn key(&self) -> Option<PrivateKey> {
        let wanted = self.wanted().unwrap();
        let next = self.next_key.as_ref().filter(|key| key.algorithm() == wanted.key);
        next.cloned().or_else(|| {
            let secret = self.secret_view();
            let used = reuses_key(&wanted, &secret, revocation::reason_of(&self.state.status, &secret));
            self.secret.as_ref().filter(|_| used)?.key.clone()?.ok()
        })
    }

    pub fn check_nothing_is_left(&self) {
        assert_eq!(self.presented, None);
        assert!(self.next_key.is_none(), "a private key is left");
        for status in [&self.state.status, &self.recorded] {
            assert_eq!(status.order, None);
            assert_eq!(status.challenges, []);
            assert_eq!(status.next_private_key_secret_name, None);
        }
    }

    /// The Secret holds a certificate that matches the spec.
    pub fn check_issued(&self) {
        let wanted = self.wanted().unwrap();
        let secret = self.secret.as_ref().expect("a Secret");
        assert_eq!(secret.certificate_name.as_deref(), Some(NAME));
        let (Some(Ok(key)), Some(Ok(chain))) = (&secret.key, &secret.chain) else {
            panic!("no key, no chain")
        };
        assert_eq!(key.algorithm(), wanted.key);
        assert_eq!(chain.check(key, &wanted.subject, self.at_ca()), Ok(()));
        assert_eq!(self.state.status.next_attempt_time, None);
    }

    pub fn last_steps(&self) -> &[String] {
        &self.steps[self.steps.len().saturating_sub(MOST_STEPS)..]
    }

    /// The names of the steps that were taken.
    pub fn step_names(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step.split([' ', '(', '{']).next().unwrap_or_default()).collect()
    }

    pub fn rotation_is(&mut self, policy: RotationPolicy) {
        self.edit(|spec| spec.private_key.as_mut().unwrap().rotation_policy = Some(policy));
    }

    pub fn key_size_is(&mut self, size: i32) {
        self.edit(|spec| spec.private_key.as_mut().unwrap().size = Some(size));
    }
}

fn view(secret: &TlsSecret) -> SecretView {
    SecretView {
        exists: true,
        certificate_name: secret.certificate_name.clone(),
        issuer: secret.issuer.clone(),
        requested_names: None,
        as_written: true,
        type_: None,
        key: secret.key.as_ref().map(|key| {
            let key = key.as_ref().map_err(Clone::clone)?;
            Ok((key.algorithm(), key.public_key_der().to_vec()))
        }),
        leaf: secret.chain.as_ref().map(|chain| Ok(chain.as_ref().map_err(Clone::clone)?.leaf().clone())),
    }
}
