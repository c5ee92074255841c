//! A world for the state machine: a CA, the DNS, the status in the API server, and a process that is killed, fails to write, and
//! loses answers. It decides nothing: that is left to `next_step` and `apply`.

mod ca;

use std::collections::{BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use self::ca::AtCa;
use super::super::*;
use crate::backoff::Backoff;
use crate::conditions::condition;
use crate::deletion::Deletion;
use crate::fate::{Broken, Fate};
use crate::issuance::{Unseen, ValueCount};
use certwright_acme::{AcmeError, ChallengeType, Operation, txt_value};
use certwright_api::{
    CONDITION_AUTHORIZATIONS_KEPT, Dns01Solver, DnsRecordStatus, IssuerStatus, KeptAuthorization, Solver,
};

pub const NAME: &str = "0.a.test";

pub struct World {
    pub now: Timestamp,
    pub wanted: Vec<KeptAuthorization>,
    pub solvers: Vec<Solver>,
    pub generation: i64,
    pub account: String,
    pub thumbprint: String,
    pub backoff: Backoff,
    /// The status in the API server.
    pub status: IssuerStatus,
    progress: Progress,
    pub ca: Vec<AtCa>,
    pub lifetime: SignedDuration,
    pub offers: bool,
    pub rejects: bool,
    pub already_valid: bool,
    pub other_name: Option<String>,
    /// Whether name servers return the records.
    pub visible: bool,
    pub provider_fails: bool,
    /// Names and values.
    pub dns: BTreeSet<(String, String)>,
    pub added: usize,
    pub removed: usize,
    /// When a name was requested, and whether with its subdomains.
    pub requests: Vec<(Timestamp, String, bool)>,
    pub fates: VecDeque<Fate>,
    /// No name may lapse from now on.
    pub must_stay_valid: bool,
}

impl World {
    pub fn new(names: usize) -> Self {
        let kept = |n: usize| KeptAuthorization { dns_name: format!("{n}.A.test"), subdomains: None };
        Self {
            now: "2026-11-22T03:00:00Z".parse().unwrap(),
            wanted: (0..names).map(kept).collect(),
            solvers: vec![Solver { dns01: Some(Dns01Solver::default()), ..Solver::default() }],
            generation: 1,
            account: "account/1".to_owned(),
            thumbprint: "key-1".to_owned(),
            backoff: Backoff::default(),
            status: IssuerStatus::default(),
            progress: Progress::default(),
            ca: Vec::new(),
            lifetime: SignedDuration::from_hours(24 * 30),
            offers: true,
            rejects: false,
            already_valid: false,
            other_name: None,
            visible: true,
            provider_fails: false,
            dns: BTreeSet::new(),
            added: 0,
            removed: 0,
            requests: Vec::new(),
            fates: VecDeque::new(),
            must_stay_valid: false,
        }
    }

    /// Lets everything happen that happens within minutes.
    pub fn settle(&mut self) {
        self.settle_for(SignedDuration::from_mins(30));
    }

    /// Lets this much time pass.
    pub fn settle_for(&mut self, time: SignedDuration) {
        let end = self.now + time;
        for _ in 0..20_000 {
            let until = self.reconcile();
            assert!(!self.must_stay_valid || self.all_valid(), "a name has lapsed: {:?}", self.status);
            match until {
                Some(until) if until < end => self.now = until.max(self.now + SignedDuration::from_millis(1)),
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("it does not come to rest: {:?}", self.status);
    }

    /// One reconcile; returns when the next one is due.
    pub fn reconcile(&mut self) -> Option<Timestamp> {
        self.reconcile_up_to(500)
    }

    /// One reconcile that is aborted after this many steps.
    pub fn reconcile_up_to(&mut self, steps: usize) -> Option<Timestamp> {
        let mut status = self.status.clone();
        self.progress.resume(&mut status);
        for _ in 0..steps {
            match self.step(&mut status) {
                Ok(Next::Decide) => {}
                Ok(Next::Wait(until)) => return until,
                Err(Broken) => return Some(self.now + SignedDuration::from_secs(1)),
            }
        }
        Some(self.now)
    }

    /// Deletes the issuer; returns how long that takes.
    pub fn end(&mut self) -> SignedDuration {
        let since = self.now;
        let deletion = Deletion { since, with_namespace: false };
        let mut status = self.status.clone();
        loop {
            let mut progress = Progress::default();
            let mut state = State { status: &mut status, progress: &mut progress };
            match last_step(&mut state, Some(deletion), self.now) {
                None => break,
                Some(LastStep::Wait(until)) => self.now = until,
                Some(LastStep::Remove(removals)) => {
                    let answers: Vec<_> =
                        removals.into_iter().map(|removal| self.remove(removal.record)).collect();
                    state.removed(&answers, Some(deletion), self.now);
                }
            }
        }
        self.status = status;
        self.now.duration_since(since)
    }

    pub fn all_valid(&self) -> bool {
        let valid = authorized(&self.status, &self.account, self.now);
        valid.len() == self.wanted.len()
    }

    /// Status, reason and message of the condition.
    pub fn kept(&self) -> Option<(String, String, String)> {
        let kept = condition(&self.status.conditions, CONDITION_AUTHORIZATIONS_KEPT)?;
        Some((kept.status.clone(), kept.reason.clone(), kept.message.clone()))
    }

    pub fn pending_at_ca(&self) -> usize {
        self.ca.iter().filter(|one| one.state == "pending").count()
    }

    fn step(&mut self, status: &mut IssuerStatus) -> Result<Next, Broken> {
        let (wanted, solvers) = (self.wanted.clone(), self.solvers.clone());
        let (account, thumbprint) = (self.account.clone(), self.thumbprint.clone());
        let seen = Snapshot {
            wanted: &wanted,
            solvers: &solvers,
            uid: "uid",
            generation: self.generation,
            server: "https://acme.test/dir",
            account: &account,
            thumbprint: &thumbprint,
            ca_ahead: None,
            backoff: self.backoff,
        };
        let mut progress = std::mem::take(&mut self.progress);
        let mut state = State { status, progress: &mut progress };
        state.note_spec(&seen, self.now);
        let step = next_step(&state, &seen, self.now);
        let outcome = match self.act(step, &mut state) {
            Ok(outcome) => outcome,
            Err((Broken, survives)) => {
                self.progress = progress;
                self.is_broken(survives, status);
                return Err(Broken);
            }
        };
        let consequence = state.apply(&seen, outcome, self.now);
        self.progress = progress;
        for report in consequence.reports {
            if report == Report::Write
                && let Err((Broken, survives)) = self.write(status)
            {
                self.is_broken(survives, status);
                return Err(Broken);
            }
        }
        Ok(consequence.next)
    }

    /// The process was killed, or continues from what it could not write.
    fn is_broken(&mut self, survives: bool, status: &IssuerStatus) {
        match survives {
            true => self.progress.keep_unwritten(status),
            false => self.progress = Progress::default(),
        }
    }

    /// Writes the status, if it has changed.
    fn write(&mut self, status: &IssuerStatus) -> Result<(), (Broken, bool)> {
        if self.status == *status {
            return Ok(());
        }
        match self.fates.pop_front().unwrap_or(Fate::Works) {
            Fate::Works => self.status = status.clone(),
            Fate::Refused => return Err((Broken, true)),
            Fate::AnswerLost => {
                self.status = status.clone();
                return Err((Broken, true));
            }
            Fate::KilledBefore => return Err((Broken, false)),
            Fate::KilledAfter => {
                self.status = status.clone();
                return Err((Broken, false));
            }
        }
        Ok(())
    }

    /// Makes an effect at somebody else; an error is a lost answer.
    fn effect<T>(
        &mut self,
        effect: impl FnOnce(&mut Self) -> T,
    ) -> Result<Result<T, AcmeError>, (Broken, bool)> {
        let error =
            || AcmeError::Timeout { operation: Operation::NewAuthorization, host: "acme.test".to_owned() };
        match self.fates.pop_front().unwrap_or(Fate::Works) {
            Fate::Works => Ok(Ok(effect(self))),
            Fate::Refused => Ok(Err(error())),
            Fate::AnswerLost => {
                effect(self);
                Ok(Err(error()))
            }
            Fate::KilledBefore => Err((Broken, false)),
            Fate::KilledAfter => {
                effect(self);
                Err((Broken, false))
            }
        }
    }

    fn act(&mut self, step: AuthorizationStep, state: &mut State<'_>) -> Result<Outcome, (Broken, bool)> {
        Ok(match step {
            AuthorizationStep::Rest { until } => Outcome::Rested { until },
            AuthorizationStep::Wait { until, name, message } => Outcome::Waited { until, name, message },
            AuthorizationStep::Request { name, subdomains } => {
                self.requests.push((self.now, name.clone(), subdomains));
                let answer = self.effect(|world| world.request(&name))?;
                Outcome::Requested { name, answer }
            }
            AuthorizationStep::Read { name, url } => {
                let answer = self.effect(|world| world.read(&url))?;
                Outcome::Read { name, answer }
            }
            AuthorizationStep::Present(challenged) => {
                let key_authorization = format!("{}.{}", challenged.token, self.thumbprint);
                let record = DnsRecordStatus {
                    name: challenged.name.clone(),
                    fqdn: format!("_acme-challenge.{}.", challenged.name),
                    value: txt_value(&key_authorization),
                    key_authorization,
                    ..DnsRecordStatus::default()
                };
                state.begin_presentation(vec![record.clone()], self.now);
                self.write(state.status)?;
                let recorded =
                    |world: &Self| world.status.dns_records.iter().any(|known| known.value == record.value);
                assert!(recorded(self), "a record is in the status before it is in the DNS");
                let added = self.effect(|world| {
                    world.added += 1;
                    world.dns.insert((record.fqdn.clone(), record.value.clone()));
                })?;
                let failure = |words: AcmeError| Unseen {
                    challenge: challenged.url.clone(),
                    typ: ChallengeType::Dns01,
                    words: words.to_string(),
                    unserved: false,
                    retry_after: None,
                };
                Outcome::Presented { failures: added.err().map(failure).into_iter().collect(), challenged }
            }
            AuthorizationStep::SelfCheck(challenged) => {
                let value = txt_value(&format!("{}.{}", challenged.token, self.thumbprint));
                let seen = self.visible && self.dns.iter().any(|(_, known)| *known == value);
                let unseen = Unseen {
                    challenge: challenged.url.clone(),
                    typ: ChallengeType::Dns01,
                    words: "no".to_owned(),
                    unserved: false,
                    retry_after: None,
                };
                let counts = vec![ValueCount { fqdn: "x.".to_owned(), values: 1 }];
                match seen {
                    true => Outcome::SelfChecked { failures: Vec::new(), counts },
                    false => Outcome::SelfChecked { failures: vec![unseen], counts: Vec::new() },
                }
            }
            AuthorizationStep::Answer(url) => Outcome::Answered(self.effect(|world| world.answer(&url))?),
            AuthorizationStep::Fail(failure) => Outcome::Failed(failure),
            AuthorizationStep::GiveUp(url) => {
                self.effect(|world| {
                    if let Some(one) = world.ca.iter_mut().find(|one| one.url == url) {
                        one.state = "deactivated";
                    }
                })?
                .ok();
                Outcome::GivenUp
            }
            AuthorizationStep::Remove(removals) => {
                let mut answers = Vec::new();
                for removal in removals {
                    let record = removal.record.clone();
                    let removed = self.effect(|world| world.remove(removal.record))?;
                    answers.push(removed.unwrap_or_else(|error| (record, Err(error.to_string()))));
                }
                Outcome::RecordsRemoved(answers)
            }
        })
    }

    fn remove(&mut self, record: DnsRecordStatus) -> (DnsRecordStatus, Result<(), String>) {
        if self.provider_fails {
            return (record, Err("it fails".to_owned()));
        }
        self.removed += 1;
        self.dns.remove(&(record.fqdn.clone(), record.value.clone()));
        (record, Ok(()))
    }
}
