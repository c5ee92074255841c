//! The world around an issuance: the cluster, the CA, the clock, and the operator that carries out the steps. It may crash
//! after any effect, and any of its writes to the API server may fail while it lives on. Each effect checks what must always
//! hold.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::ca::{Ca, Refusal};
use crate::api::{
    CONDITION_ISSUING, CertificatePrivateKey, CertificateSpec, CertificateStatus, Http01Ingress,
    Http01Solver, IssuanceRecord, IssuerRef, OrderStatus, PrivateKeyAlgorithm, RotationPolicy, Solver,
    certificate_reason as reason,
};
use crate::core::backoff::Backoff;
use crate::core::disposition::{About, Disposition, disposition};
use crate::core::duplicates::{self, names_digest};
use crate::core::issuance::{
    Challenged, Failure, IssuerView, Learned, Memory, Progress, SelfCheckResult, Situation, Step, Unseen,
    failed_generation, next_step,
};
use crate::core::records::Chore;
use crate::core::reissue::{SecretView, reuses_key};
use crate::core::renewal::Asking;
use crate::core::revocation::Asked;
use crate::core::spec::{InvalidSpec, ValidatedCertificate};
use crate::pki::{Chain, PrivateKey};

pub const NAME: &str = "cert";
const UID: &str = "8d0e7a52";
/// More steps than this, one after the other and without a wait, are a loop.
const MOST_STEPS: usize = 40;
pub const DUPLICATE_LIMIT: usize = 4;

pub struct World {
    pub now: Timestamp,
    pub ca: Ca,

    // The cluster.
    pub spec: CertificateSpec,
    pub generation: i64,
    pub renew_request: Option<String>,
    pub claimed_by: Option<String>,
    pub not_allowed: Option<String>,
    pub kept_by: Option<String>,
    pub secret: Option<TlsSecret>,
    pub next_key: Option<PrivateKey>,
    pub backup: Option<TlsSecret>,
    /// The answers that the CA can see, by name.
    pub presented: Option<BTreeMap<String, String>>,
    pub issuers: BTreeMap<String, IssuerView>,
    /// The status as the API server has it.
    pub recorded: CertificateStatus,
    /// What becomes of the next writes to the API server, one each.
    pub writes: VecDeque<Write>,
    pub self_check_passes: bool,
    /// How far the CA's clock is ahead, and whether the operator has asked.
    pub ca_ahead: SignedDuration,
    pub asked_time: bool,
    pub place_is_free: bool,
    pub password_missing: Option<String>,
    pub min_interval: Duration,

    // The operator.
    pub status: CertificateStatus,
    pub progress: Progress,
    /// The status as the last answer of the API server had it.
    known: CertificateStatus,
    /// Effects until the operator crashes.
    pub crash_after: Option<u32>,
    /// Whether the operator also writes the status when it begins to wait.
    pub records_waits: bool,
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
    /// On: another step follows at once.
    On,
    /// To a wait.
    Waits(Option<Timestamp>),
    /// To the end: nothing to do before the renewal time.
    Rests(Timestamp),
}

/// What becomes of a write to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Succeeds,
    /// It is refused, or times out before it takes effect: the operator cannot tell the one from the other.
    Fails,
    /// It takes effect, and its answer is lost.
    AnswerLost,
}

/// What broke a step off.
enum Broken {
    Crash,
    /// The API server has failed: the reconcile ends, and another begins soon.
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
            claimed_by: None,
            not_allowed: None,
            kept_by: None,
            secret: None,
            next_key: None,
            backup: None,
            presented: None,
            issuers: BTreeMap::new(),
            recorded: CertificateStatus::default(),
            writes: VecDeque::new(),
            self_check_passes: true,
            ca_ahead: SignedDuration::ZERO,
            asked_time: false,
            place_is_free: true,
            password_missing: None,
            min_interval: Duration::from_secs(60),
            status: CertificateStatus::default(),
            progress: Progress::default(),
            known: CertificateStatus::default(),
            crash_after: None,
            records_waits: true,
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

    /// Somebody makes the Secret, or hands it over.
    pub fn secret_belongs_to(&mut self, owner: Option<&str>) {
        let nothing = TlsSecret { certificate_name: None, issuer: None, key: None, chain: None };
        self.secret.get_or_insert(nothing).certificate_name = owner.map(str::to_owned);
    }

    pub fn crash(&mut self) {
        self.progress = Progress::default();
        self.status = self.recorded.clone();
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
    /// If it never ends, or waits for what nobody will tell.
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
        let step = self.next_step();
        self.steps.push(format!("{step:?}"));
        match self.carry_out(step) {
            Ok(turn) => turn,
            Err(Broken::Crash) => {
                self.crash();
                Turn::On
            }
            Err(Broken::Api) => {
                let (status, progress) =
                    (std::mem::take(&mut self.status), std::mem::take(&mut self.progress));
                let memory = Memory::of(&self.known, status, progress);
                (self.status, self.progress) = memory.resume(self.known.clone());
                Turn::Waits(Some(self.now + SignedDuration::from_millis(500)))
            }
        }
    }

    pub fn next_step(&self) -> Step {
        let wanted = self.wanted();
        let (secret, labels) = (self.secret_view(), BTreeMap::new());
        let backup = self.backup.as_ref().map(view);
        next_step(&self.situation(&wanted, &secret, backup.as_ref(), &labels), self.now)
    }

    fn situation<'a>(
        &'a self,
        wanted: &'a Result<ValidatedCertificate, InvalidSpec>,
        secret: &'a SecretView,
        backup: Option<&'a SecretView>,
        labels: &'a BTreeMap<String, String>,
    ) -> Situation<'a> {
        Situation {
            uid: UID,
            generation: self.generation,
            labels,
            renew_request: self.renew_request.as_deref(),
            wanted,
            claimed_by: self.claimed_by.as_deref(),
            kept_by: self.kept_by.as_deref(),
            secret,
            backup,
            duplicate_limit: DUPLICATE_LIMIT,
            min_interval: self.min_interval,
            password_missing: self.password_missing.as_deref(),
            next_key: self.next_key.as_ref().map(PrivateKey::algorithm),
            not_allowed: self.not_allowed.as_deref(),
            issuer: self.issuers.get(&self.spec.issuer_ref.name).unwrap_or(&IssuerView::NotFound),
            status: &self.status,
            progress: &self.progress,
            ca_ahead: self.asked_time.then_some(self.ca_ahead),
            self_check_timeout: Duration::from_secs(60),
            name: NAME,
            held: false,
            asking: Asking { wanted: false, asked: None, began: self.now },
            revocation: Asked::default(),
        }
    }

    pub fn wanted(&self) -> Result<ValidatedCertificate, InvalidSpec> {
        ValidatedCertificate::new(&self.spec)
    }

    fn secret_view(&self) -> SecretView {
        self.secret.as_ref().map_or_else(SecretView::default, view)
    }

    fn carry_out(&mut self, step: Step) -> Result<Turn, Broken> {
        match step {
            Step::Rest { until } => {
                self.flush()?;
                self.check_nothing_is_left();
                let until = until.expect("a certificate has a renewal time");
                assert!(until > self.now);
                return Ok(Turn::Rests(until));
            }
            Step::Wait { until, reason, .. } => {
                assert!(until.is_none_or(|until| until > self.now), "a wait that is over");
                if until.is_none() {
                    assert!(self.presented.is_none(), "nobody will come to remove it: {reason}");
                }
                self.report(reason);
                if self.records_waits {
                    self.record()?;
                }
                return Ok(Turn::Waits(until));
            }
            Step::BackOff { until } => {
                assert!(until > self.now, "a wait that is over");
                self.flush()?;
                return Ok(Turn::Waits(Some(until)));
            }
            Step::AskTime => self.asked_time = true,
            Step::TakePlace if !self.place_is_free => {
                return Ok(Turn::Waits(Some(self.now + SignedDuration::from_secs(1))));
            }
            Step::TakePlace => self.progress.place = true,
            Step::StoreKey => {
                let algorithm = self.wanted().unwrap().key;
                self.write(|world| {
                    world.next_key = Some(PrivateKey::generate(algorithm).unwrap());
                    world.backup = None;
                })?;
                self.status.next_private_key_secret_name = Some("next-key".to_owned());
            }
            Step::PlaceOrder => self.place_order()?,
            Step::ReadOrder => {
                let (account, url) = self.order();
                match self.ca.read(&account, &url, self.at_ca()) {
                    Ok(order) => {
                        let (retry_after, now) = (self.ca.retry_after, self.now);
                        self.learned().saw_order(order, retry_after, now);
                    }
                    Err(refusal) => self.refused(&refusal)?,
                }
            }
            Step::ReadAuthorizations => {
                let (account, url) = self.order();
                match self.ca.authorizations(&account, &url, self.at_ca()) {
                    Ok(authorizations) => {
                        let now = self.now;
                        self.learned().saw_authorizations(authorizations, now);
                    }
                    Err(refusal) => self.refused(&refusal)?,
                }
            }
            Step::Present(challenged) => self.present(&challenged)?,
            Step::SelfCheck => {
                assert!(self.presented.is_some());
                let challenge = &self.status.challenges[0];
                let failure = Unseen {
                    challenge: challenge.url.clone(),
                    typ: serde_json::from_value(challenge.type_.clone().into()).unwrap(),
                    words: "a.test: connection refused".to_owned(),
                };
                let failures = if self.self_check_passes { Vec::new() } else { vec![failure] };
                let at = self.now;
                self.learned().self_check = Some(SelfCheckResult { at, failures });
            }
            Step::Answer(challenges) => self.answer(&challenges)?,
            Step::Finalize => self.finalize()?,
            Step::Download => self.download()?,
            Step::StoreCertificate => self.store_certificate()?,
            Step::RestoreSecret => {
                self.write(|world| world.secret.clone_from(&world.backup))?;
            }
            Step::AskForRenewalInfo => panic!("the CA of this world suggests nothing"),
            Step::RefreshSecret => panic!("the Secret is always written as the spec asks for"),
            Step::Revocation(chore) => panic!("nobody asks for a revocation in this world: {chore:?}"),
            Step::Tidy(Chore::RemoveRecords | Chore::Release) => {
                panic!("there is no ledger of records in this world")
            }
            Step::Tidy(Chore::Withdraw) => {
                self.learned().will_withdraw();
                self.write(|world| world.presented = None)?;
                self.status.challenges.clear();
                self.learned().saw_withdrawn();
            }
            Step::CleanUp => {
                self.status.failed_issuance_attempts = None;
                self.status.last_failure_time = None;
                self.status.next_attempt_time = None;
                self.status.failed_renew_request = None;
                self.report(reason::ISSUED);
                self.clean_up()?;
            }
            Step::Abandon { .. } => {
                self.remove()?;
                self.record()?;
            }
            Step::Fail(failure) => self.fail(&failure)?,
        }
        Ok(Turn::On)
    }

    fn place_order(&mut self) -> Result<(), Broken> {
        assert!(self.progress.place, "orders under way are bounded");
        let identifiers = self.wanted().unwrap().identifiers();
        let account = self.account();
        match self.ca.place(&account, identifiers, self.at_ca()) {
            Ok((url, order)) => {
                self.effect()?;
                self.status.order = Some(OrderStatus {
                    url,
                    state: order.status.to_string(),
                    expires: order.expires.map(Time),
                    created: Time(self.now),
                    account,
                    seal: None,
                });
                let now = self.now;
                self.learned().saw_order(order, None, now);
                Ok(())
            }
            Err(refusal) => self.refused(&refusal),
        }
    }

    fn present(&mut self, challenged: &[Challenged]) -> Result<(), Broken> {
        assert!(self.progress.place, "orders under way are bounded");
        let challenge = |challenged: &Challenged| crate::api::ChallengeStatus {
            name: challenged.name.clone(),
            type_: challenged.typ.to_string(),
            token: challenged.token.clone(),
            url: challenged.url.clone(),
            ..crate::api::ChallengeStatus::default()
        };
        self.status.challenges = challenged.iter().map(challenge).collect();
        self.report(reason::ORDERING);
        self.record()?;
        let answers = challenged.iter().map(|one| (one.name.clone(), one.token.clone())).collect();
        self.write(|world| world.presented = Some(answers))?;
        let now = self.now;
        self.learned().saw_presented(challenged, Vec::new(), now);
        Ok(())
    }

    fn answer(&mut self, challenges: &[String]) -> Result<(), Broken> {
        let (account, url) = self.order();
        assert_eq!(
            self.recorded.order.as_ref().map(|order| order.url.as_str()),
            Some(url.as_str()),
            "the order URL is recorded before the first challenge is answered"
        );
        let mut refusal = None;
        for (authorization, found) in self.learned().authorizations.clone().unwrap() {
            let challenge = &found.challenges[0];
            if !challenges.contains(&challenge.url) {
                continue;
            }
            let seen = self
                .presented
                .as_ref()
                .and_then(|answers| answers.get(found.name().trim_start_matches("*.")));
            assert_eq!(seen, Some(&challenge.token), "what is answered is presented");
            // All are told, whatever becomes of one of them.
            match self.ca.answer(&account, &url, &authorization) {
                Ok(()) => {
                    let now = self.now;
                    self.learned().saw_told(&challenge.url, now);
                    self.effect()?;
                }
                Err(refused) => refusal = Some(refused),
            }
        }
        refusal.map_or(Ok(()), |refusal| self.refused(&refusal))
    }

    fn finalize(&mut self) -> Result<(), Broken> {
        assert!(self.progress.place, "orders under way are bounded");
        self.report(reason::FINALIZING);
        self.record()?;
        let (account, url) = self.order();
        let key = self.key().expect("the private key is stored before the request leaves");
        let names = self.wanted().unwrap().identifiers();
        match self.ca.finalize(&account, &url, &key, names, self.at_ca()) {
            Ok(order) => {
                self.effect()?;
                let (retry_after, now) = (self.ca.retry_after, self.now);
                let learned = self.learned();
                learned.finalized = Some(now);
                learned.saw_order(order, retry_after, now);
                Ok(())
            }
            Err(refusal) => self.refused(&refusal),
        }
    }

    fn download(&mut self) -> Result<(), Broken> {
        let (account, url) = self.order();
        let pem = match self.ca.download(&account, &url) {
            Ok(pem) => pem,
            Err(refusal) => return self.refused(&refusal),
        };
        let chain = Chain::parse_pem(pem.as_bytes()).unwrap();
        let key = self.key().expect("the private key of the order");
        match chain.check(&key, &self.wanted().unwrap().subject, self.at_ca()) {
            Ok(()) => {
                self.learned().chain = Some(chain);
                Ok(())
            }
            Err(error) => self.fail(&Failure {
                reason: reason::CERTIFICATE_REFUSED,
                message: error.to_string(),
                disposition: Disposition::OrderLost,
                retry_after: None,
            }),
        }
    }

    fn store_certificate(&mut self) -> Result<(), Broken> {
        match &self.secret {
            Some(secret) => {
                assert_eq!(secret.certificate_name.as_deref(), Some(NAME), "the Secret is somebody else's");
            }
            None => assert_eq!(self.claimed_by, None, "the name of the Secret is somebody else's"),
        }
        let wanted = self.wanted().unwrap();
        let key = self.key().expect("the private key of the certificate");
        let chain = self.learned().chain.clone().expect("the certificate");
        assert_eq!(chain.check(&key, &wanted.subject, self.at_ca()), Ok(()));
        let secret = TlsSecret {
            certificate_name: Some(NAME.to_owned()),
            issuer: Some((wanted.issuer_name, wanted.issuer_kind.as_str().to_owned())),
            key: Some(Ok(key)),
            chain: Some(Ok(chain)),
        };
        self.write(|world| world.secret = Some(secret))?;
        self.status.observed_renew_request.clone_from(&self.renew_request);
        self.record()
    }

    /// Counts the certificate, and keeps it if it may not be ordered again soon.
    fn clean_up(&mut self) -> Result<(), Broken> {
        let names = names_digest(&self.wanted().unwrap().names());
        if let (Some(order), Some(leaf)) = (&self.status.order, self.secret_view().leaf()) {
            let issued = IssuanceRecord {
                time: order.created.clone(),
                not_after: Time(leaf.not_after),
                names_digest: names.clone(),
                account: order.account.clone(),
            };
            duplicates::record(&mut self.status.recent_issuances, issued, self.now);
        }
        let free_at = duplicates::free_at(&self.status.recent_issuances, &names, DUPLICATE_LIMIT, self.now);
        let keeps = free_at.is_some() && self.status.order.is_some();
        self.write(|world| {
            world.next_key = None;
            world.backup = world.secret.clone().filter(|_| keeps);
        })?;
        self.remove()?;
        self.record()
    }

    /// Removes what the issuance left: the objects first, so that what is left is on record until it is gone.
    fn remove(&mut self) -> Result<(), Broken> {
        self.learned().will_withdraw();
        if self.presented.is_some() {
            self.write(|world| world.presented = None)?;
        }
        if self.next_key.is_some() {
            self.write(|world| world.next_key = None)?;
        }
        self.status.order = None;
        self.status.challenges.clear();
        self.status.next_private_key_secret_name = None;
        self.progress = Progress::default();
        Ok(())
    }

    fn fail(&mut self, failure: &Failure) -> Result<(), Broken> {
        assert!(!failure.message.is_empty());
        self.remove()?;
        self.back_off(failure);
        self.record()
    }

    /// The CA has refused a call.
    fn refused(&mut self, refusal: &Refusal) -> Result<(), Broken> {
        let disposition = disposition(refusal.code, refusal.status, About::Order);
        let failure = Failure {
            reason: reason::FAILED,
            message: refusal.code.to_owned(),
            disposition,
            retry_after: refusal.retry_after,
        };
        match disposition {
            Disposition::Stumbled | Disposition::TooFast => {
                self.back_off(&failure);
                self.progress.start_over();
                self.record()
            }
            Disposition::AccountUnusable | Disposition::CaOperatorMustAct => {
                let message = refusal.code.to_owned();
                self.issuers.insert(self.spec.issuer_ref.name.clone(), IssuerView::NotReady { message });
                self.fail(&failure)
            }
            Disposition::NotAllowed | Disposition::OrderLost | Disposition::ValidationFailed => {
                self.fail(&failure)
            }
        }
    }

    fn back_off(&mut self, failure: &Failure) {
        let slow = matches!(failure.disposition, Disposition::NotAllowed | Disposition::CaOperatorMustAct);
        let backoff = if slow { Backoff::default().slow() } else { Backoff::default() };
        let failures = self.status.failed_issuance_attempts.unwrap_or_default() + 1;
        let until =
            backoff.next_attempt(u32::try_from(failures).unwrap(), failure.retry_after, self.now, UID);
        self.report(failure.reason);
        self.status.failed_issuance_attempts = Some(failures);
        self.status.last_failure_time = Some(Time(self.now));
        self.status.next_attempt_time = Some(Time(until));
        self.status.failed_renew_request.clone_from(&self.renew_request);
    }

    /// Sets the condition. A time to wait for that belongs to another generation of the spec does not outlive it.
    fn report(&mut self, reason: &str) {
        if failed_generation(&self.status) != Some(self.generation) {
            self.status.next_attempt_time = None;
        }
        let unchanged = self.status.conditions.iter().find(|condition| condition.reason == reason);
        let since = unchanged.map_or(Time(self.now), |condition| condition.last_transition_time.clone());
        self.status.conditions = vec![Condition {
            type_: CONDITION_ISSUING.to_owned(),
            status: "True".to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            observed_generation: Some(self.generation),
            last_transition_time: since,
        }];
    }

    fn record(&mut self) -> Result<(), Broken> {
        self.write(|world| world.recorded = world.status.clone())?;
        self.known = self.recorded.clone();
        Ok(())
    }

    /// Writes the status if it has changed.
    fn flush(&mut self) -> Result<(), Broken> {
        if self.known == self.status { Ok(()) } else { self.record() }
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

    /// What was learned of the order under way.
    pub fn learned(&mut self) -> &mut Learned {
        self.progress.about(self.status.order.as_ref())
    }

    fn account(&self) -> String {
        match self.issuers.get(&self.spec.issuer_ref.name) {
            Some(IssuerView::Ready { account, .. }) => account.clone(),
            issuer => panic!("the CA is called with the account of {issuer:?}"),
        }
    }

    /// Account and URL of the order.
    fn order(&self) -> (String, String) {
        let order = self.status.order.as_ref().expect("an order");
        assert_eq!(order.account, self.account(), "an order is never asked for with another account");
        (order.account.clone(), order.url.clone())
    }

    /// The private key of the issuance: the one stored for it or, if there is none that fits, the one in the Secret.
    fn key(&self) -> Option<PrivateKey> {
        let wanted = self.wanted().unwrap();
        let next = self.next_key.as_ref().filter(|key| key.algorithm() == wanted.key);
        next.cloned().or_else(|| {
            let used = reuses_key(&wanted, &self.secret_view());
            self.secret.as_ref().filter(|_| used)?.key.clone()?.ok()
        })
    }

    pub fn check_nothing_is_left(&self) {
        assert_eq!(self.presented, None);
        assert!(self.next_key.is_none(), "a private key is left");
        for status in [&self.status, &self.recorded] {
            assert_eq!(status.order, None);
            assert_eq!(status.challenges, []);
            assert_eq!(status.next_private_key_secret_name, None);
        }
    }

    /// The Secret holds a certificate as the spec asks for.
    pub fn check_issued(&self) {
        let wanted = self.wanted().unwrap();
        let secret = self.secret.as_ref().expect("a Secret");
        assert_eq!(secret.certificate_name.as_deref(), Some(NAME));
        let (Some(Ok(key)), Some(Ok(chain))) = (&secret.key, &secret.chain) else {
            panic!("no key, no chain")
        };
        assert_eq!(key.algorithm(), wanted.key);
        assert_eq!(chain.check(key, &wanted.subject, self.at_ca()), Ok(()));
        assert_eq!(self.status.next_attempt_time, None);
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
        revoked: None,
    }
}
