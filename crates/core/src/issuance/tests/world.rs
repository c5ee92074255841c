//! The world around an issuance: the cluster, the CA, the clock, and an operator that executes the steps and decides nothing.
//! It may crash after any effect, and any of its writes to the API server may fail without a crash. Each effect checks the
//! invariants.

mod carry_out;
mod checks;
mod effects;
mod friendly;
mod issuers;
mod records;
mod revoke;
mod secret;
mod spec;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use self::secret::TlsSecret;
use self::secret::view;
use super::ca::{Ca, Refusal};
use crate::backoff::Backoff;
use crate::caa::RelevantSet;
use crate::deletion::Deletion;
use crate::issuance::{
    CaaAnswer, Challenged, Consequence, Download, Ending, IssuanceStep, IssuerView, KeySecret, Learned,
    Leftovers, Memory, Next, Outcome, Report, Snapshot, State, Unseen, ValueCount, at_rest_until, last_step,
    next_chore, next_step,
};
use crate::records::{CleanupTask, holds, requires_finalizer};
use crate::reissue::SecretView;
use crate::renewal::{RenewalInfoPoll, RenewalInfoPolling};
use crate::revocation::{self, RevocationRequests};
use crate::revoked::Finding;
use crate::spec::{InvalidSpec, ValidatedCertificate};
use certwright_acme::{AccountStatus, AcmeError, AcmeResponse, Operation, Order};
use certwright_api::{
    CertificatePrivateKey, CertificateSpec, CertificateStatus, Http01Ingress, Http01Solver, IssuerRef,
    PrivateKeyAlgorithm, Solver, UNOBSERVED,
};
use certwright_pki::{Chain, PrivateKey};

/// The status of a Certificate that the operator has not seen.
fn unobserved() -> CertificateStatus {
    CertificateStatus { observed_generation: Some(UNOBSERVED), ..CertificateStatus::default() }
}

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
    pub has_finalizer: bool,
    pub claimed_by: Option<String>,
    pub not_allowed: Option<String>,
    pub kept_by: Option<String>,
    pub secret: Option<TlsSecret>,
    pub next_key: Option<PrivateKey>,
    pub csr_key: Option<PrivateKey>,
    pub backup: Option<TlsSecret>,
    /// The answers that the CA can see, by name.
    pub presented: Option<BTreeMap<String, String>>,
    /// The TXT records in DNS, by name and value.
    pub zone: BTreeSet<(String, String)>,
    pub provider_fails: bool,
    pub issuers: BTreeMap<String, IssuerView>,
    /// An issuer that is tried again at this time, after the CA said that people must act.
    pub issuer_again: Option<(Timestamp, String, IssuerView)>,
    /// The status in the API server.
    pub recorded: CertificateStatus,
    /// The outcomes of the next writes to the API server.
    pub writes: VecDeque<Write>,
    pub self_check_passes: bool,
    /// How many TXT records the self-check sees.
    pub value_count: Option<ValueCount>,
    /// How far the CA's clock is ahead, and whether the operator has asked.
    pub ca_ahead: SignedDuration,
    pub asked_time: bool,
    /// Whether the CA has deactivated the account.
    pub account_has_ended: bool,
    pub place_is_free: bool,
    /// How many Certificates wait for a place.
    pub queue: usize,
    pub password_missing: Option<String>,
    pub min_interval: Duration,
    pub asks_lifetime: bool,
    /// The names that stand for the CA in CAA records, and the records, by the name that they apply to.
    pub identities: Vec<String>,
    pub caa: BTreeMap<String, RelevantSet>,
    pub checks_caa: bool,
    /// Whether the CA is asked for renewal information, and the last request about it.
    pub asks: bool,
    pub asked: Option<RenewalInfoPoll>,
    /// What the operator has found on the issuer's revocation list, and what it finds there when it looks.
    pub listed: Option<Finding>,
    pub on_list: Option<Finding>,
    pub checks_lists: bool,
    pub served: Option<crate::served::Finding>,

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
            has_finalizer: false,
            claimed_by: None,
            not_allowed: None,
            kept_by: None,
            secret: None,
            next_key: None,
            csr_key: None,
            backup: None,
            presented: None,
            zone: BTreeSet::new(),
            provider_fails: false,
            issuers: BTreeMap::new(),
            issuer_again: None,
            recorded: unobserved(),
            writes: VecDeque::new(),
            self_check_passes: true,
            value_count: None,
            ca_ahead: SignedDuration::ZERO,
            asked_time: false,
            account_has_ended: false,
            place_is_free: true,
            queue: 0,
            password_missing: None,
            min_interval: Duration::from_secs(60),
            asks_lifetime: false,
            identities: Vec::new(),
            caa: BTreeMap::new(),
            checks_caa: true,
            asks: false,
            asked: None,
            listed: None,
            on_list: None,
            checks_lists: true,
            served: None,
            state: State::default(),
            reports: Vec::new(),
            known: unobserved(),
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

    /// Somebody creates the Secret, or hands it over.
    pub fn secret_belongs_to(&mut self, owner: Option<&str>) {
        self.secret.get_or_insert_default().certificate_name = owner.map(str::to_owned);
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
        self.retry_issuer();
        let step = match self.deleted {
            None => Some(self.next_step()),
            Some(_) => self.look(&self.state, |seen, state| last_step(state, seen, self.now)),
        };
        if let (None, Some(step)) = (self.deleted, &step) {
            self.check_rest(step);
        }
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

    pub fn next_step(&self) -> IssuanceStep {
        self.look(&self.state, |seen, state| next_step(state, seen, self.now))
    }

    /// Looks at the cluster, and does something with `state`.
    fn look<S, T>(&self, state: S, then: impl FnOnce(&Snapshot<'_>, S) -> T) -> T {
        self.look_at(&self.secret_view(), state, then)
    }

    fn look_at<S, T>(&self, secret: &SecretView, state: S, then: impl FnOnce(&Snapshot<'_>, S) -> T) -> T {
        let (wanted, labels) = (self.wanted(), BTreeMap::new());
        let annotations = BTreeMap::new();
        let backup = self.backup.as_ref().map(view);
        let candidates = self.candidates();
        let seen = Snapshot {
            uid: UID,
            generation: self.generation,
            labels: &labels,
            annotations: &annotations,
            namespace: "shop",
            renew_request: self.renew_request.as_deref(),
            wanted: &wanted,
            claimed_by: self.claimed_by.as_deref(),
            kept_by: self.kept_by.as_deref(),
            secret,
            backup: backup.as_ref(),
            duplicate_limit: DUPLICATE_LIMIT,
            min_interval: self.min_interval,
            password_missing: self.password_missing.as_deref(),
            next_key: self.next_key.as_ref().map(PrivateKey::algorithm),
            not_allowed: self.not_allowed.as_deref(),
            issuer: self.issuer_in_use(),
            candidates: &candidates,
            recorded: Some(&self.known),
            asks_lifetime: self.asks_lifetime,
            checks_caa: self.checks_caa,
            backoff: Backoff::default(),
            ca_ahead: self.asked_time.then_some(self.ca_ahead),
            self_check_timeout: Duration::from_secs(60),
            name: NAME,
            has_finalizer: self.has_finalizer,
            asking: RenewalInfoPolling { wanted: self.asks, asked: self.asked.as_ref(), began: self.now },
            revocation: RevocationRequests::new(
                self.spec.revocation.as_ref(),
                self.revoke_request.as_deref(),
                self.deletion(),
            ),
            listed: self.listed.as_ref(),
            checks_lists: self.checks_lists,
            served: crate::served::Observed::of(&self.spec, false, self.served.as_ref()),
        };
        then(&seen, state)
    }

    /// Lets the state machine change its state.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut State, &Snapshot<'_>, Timestamp) -> T) -> T {
        let mut state = self.state.clone();
        let outcome = self.look(&mut state, |seen, state| change(state, seen, self.now));
        self.state = state;
        outcome
    }

    /// Passes an outcome to the state machine, and executes its reports.
    fn take_in(&mut self, outcome: Outcome) -> Result<Turn, Broken> {
        let Consequence { reports, next } = self.change(|state, seen, now| state.apply(seen, outcome, now));
        let mut next = match next {
            Next::Decide => Turn::On,
            Next::Wait(until) => {
                let issuer = self.issuer_again.as_ref().map(|(at, ..)| *at);
                let chore = next_chore(&self.state.status);
                Turn::Waits(until.into_iter().chain(chore).chain(issuer).min())
            }
        };
        for report in reports {
            match &report {
                Report::Write => self.flush()?,
                Report::Account { message, disposition, .. } => {
                    self.refuse_issuer(message.clone(), *disposition);
                    // The issuer's new condition wakes waiting Certificates.
                    next = Turn::On;
                }
                Report::Failed { reason, .. } => checks::check_is_counted(reason),
                _ => {}
            }
            self.reports.push(report);
        }
        Ok(next)
    }
}
