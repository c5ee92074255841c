//! What follows from the outcome of a step: the second half of the state machine.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::progress::Attempt;
use super::prove::is_validated;
use super::{Consequence, Failure, Outcome, Report, Snapshot, State, report};
use crate::deletion::Deletion;
use crate::disposition::Disposition;
use crate::events::Event;
use crate::issuance::{Poll, Proof, SelfCheckResult, left_behind};
use crate::records;
use crate::renewal::{RenewalRule, renewal_time, whole_seconds, whole_seconds_up};
use certwright_acme::{AcmeError, AcmeResponse, Authorization, AuthorizationStatus, Challenge};
use certwright_api::{DnsRecordStatus, PendingAuthorization, issuer_reason as reason};

/// The assumed lifetime of an authorization, if the CA does not say when it expires.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// The shortest time until a valid authorization is requested again.
const LEAST_WAIT: SignedDuration = SignedDuration::from_secs(5);
/// When to continue while it is not known which key the account has.
const DOUBT: SignedDuration = SignedDuration::from_secs(10);
/// The action of the events.
const ACTION: &str = "Authorize";

impl State<'_> {
    /// Makes the transition that follows from `outcome`.
    pub fn apply(&mut self, seen: &Snapshot<'_>, outcome: Outcome, now: Timestamp) -> Consequence {
        let consequence = self.transition(seen, outcome, now);
        report::set_condition(self.status, seen, now);
        consequence
    }

    fn transition(&mut self, seen: &Snapshot<'_>, outcome: Outcome, now: Timestamp) -> Consequence {
        match outcome {
            Outcome::Rested { until } => Consequence::wait(until, vec![Report::Write]),
            Outcome::Waited { until, name, message } => {
                // What an earlier attempt failed for stays until this one has failed or succeeded.
                if let Some(entry) = self.entry(&name).filter(|entry| entry.failed_attempts.is_none()) {
                    entry.message = Some(message);
                }
                Consequence::wait(Some(until), vec![Report::Write])
            }
            Outcome::Requested { name, answer: Ok(None) } => self.fail(seen, not_offered(&name, seen), now),
            Outcome::Requested { name, answer: Ok(Some(answer)) } => {
                let pending = PendingAuthorization {
                    url: answer.location.clone().unwrap_or_default(),
                    account: seen.account.to_owned(),
                    since: Time(whole_seconds(now)),
                    seal: None,
                };
                self.take_in(&name, pending, answer, seen, now)
            }
            Outcome::Read { name, answer: Ok(answer) } => {
                let recorded = self.entry(&name).and_then(|entry| entry.pending.clone());
                match recorded {
                    Some(pending) => self.take_in(&name, pending, answer, seen, now),
                    None => Consequence::DECIDE,
                }
            }
            Outcome::Requested { name, answer: Err(error) } | Outcome::Read { name, answer: Err(error) } => {
                self.refused(&name, &error, seen, now)
            }
            Outcome::Presented { challenged, failures } => {
                if let Some(attempt) = &mut self.progress.attempt {
                    attempt.proof.saw_presented(vec![*challenged], failures, now);
                }
                Consequence::DECIDE
            }
            Outcome::SelfChecked { failures, counts } => {
                if let Some(attempt) = &mut self.progress.attempt {
                    attempt.proof.saw_self_check(SelfCheckResult {
                        at: now,
                        failures,
                        counts,
                        persist_until: None,
                    });
                }
                Consequence::DECIDE
            }
            Outcome::Answered(answer) => self.told(answer, seen, now),
            Outcome::Failed(failure) => self.fail(seen, failure, now),
            Outcome::GivenUp => {
                self.progress.useless = None;
                Consequence::DECIDE
            }
            Outcome::RecordsRemoved(answers) => Consequence::decide(self.removed(&answers, None, now)),
        }
    }

    /// Providers were asked to remove records, and answered this. Returns what to report.
    pub fn removed(
        &mut self,
        answers: &[(DnsRecordStatus, Result<(), String>)],
        deleted: Option<Deletion>,
        now: Timestamp,
    ) -> Vec<Report> {
        let left = records::after_removals(&mut self.status.dns_records, answers, deleted, now);
        let mut reports: Vec<Report> = left
            .into_iter()
            .flat_map(|(record, words)| {
                let event = left_behind(&record, &words);
                [Report::LeftBehind(Box::new(record), words), Report::Event(event)]
            })
            .collect();
        reports.insert(0, Report::Write);
        reports
    }

    /// The CA returned the authorization.
    fn take_in(
        &mut self,
        name: &str,
        pending: PendingAuthorization,
        answer: AcmeResponse<Authorization>,
        seen: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let AcmeResponse { value: authorization, retry_after, .. } = answer;
        if authorization.identifier.typ != "dns" || !authorization.name().eq_ignore_ascii_case(name) {
            let message = "The CA answered with an authorization for another name, which is not used; tell the CA's operator";
            self.forget_attempt(name);
            return self.fail(
                seen,
                Failure::found(name, reason::ANSWER_REFUSED, message.to_owned(), Disposition::OrderLost),
                now,
            );
        }
        match &authorization.status {
            AuthorizationStatus::Valid
                if authorization.expires.is_some_and(|expires| expires <= seen.at_ca(now)) =>
            {
                let message =
                    "The CA answered with an authorization that has expired; tell the CA's operator";
                self.forget_attempt(name);
                self.fail(
                    seen,
                    Failure::found(name, reason::ANSWER_REFUSED, message.to_owned(), Disposition::OrderLost),
                    now,
                )
            }
            AuthorizationStatus::Valid => self.succeed(name, &authorization, seen, now),
            AuthorizationStatus::Pending => {
                if let Some(entry) = self.entry(name) {
                    entry.pending = Some(pending.clone());
                    // One that is renewed stays valid until it expires.
                    if entry.valid_since.is_none() {
                        entry.state = authorization.status.to_string();
                    }
                }
                let before =
                    self.progress.attempt.take().filter(|attempt| attempt.pending.url == pending.url);
                let (proof, told) =
                    before.map_or((Proof::Absent, None), |attempt| (attempt.proof, attempt.told));
                let poll = Poll { at: Some(now), retry_after };
                let name = name.to_owned();
                self.progress.attempt = Some(Attempt { name, pending, authorization, poll, proof, told });
                Consequence::DECIDE
            }
            status => {
                self.forget_attempt(name);
                let is_known = !matches!(status, AuthorizationStatus::Other(_));
                if let Some(entry) = self.entry(name).filter(|entry| is_known && entry.valid_since.is_none())
                {
                    entry.state = status.to_string();
                }
                self.fail(seen, Failure::rejected(name, &authorization), now)
            }
        }
    }

    fn succeed(
        &mut self,
        name: &str,
        authorization: &Authorization,
        seen: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        self.forget_attempt(name);
        records::retire(&mut self.status.dns_records, |_| true, now);
        let at_ca = seen.at_ca(now);
        let end = authorization.expires.unwrap_or_else(|| at_ca.saturating_add(LIFETIME).unwrap_or(at_ca));
        let seed = format!("{}/{name}", seen.uid);
        let renewal = seen.here(renewal_time(at_ca, end, RenewalRule::Default, &seed));
        let renewal = renewal.max(now.saturating_add(LEAST_WAIT).unwrap_or(now));
        let Some(entry) = self.entry(name) else { return Consequence::DECIDE };
        let is_news = entry.valid_since.is_none()
            || entry.expires.as_ref().map(|time| time.0) != authorization.expires.map(whole_seconds);
        entry.state = authorization.status.to_string();
        entry.subdomains = authorization.covers_subdomains;
        entry.expires = authorization.expires.map(|time| Time(whole_seconds(time)));
        if is_news {
            entry.valid_since = Some(Time(whole_seconds(now)));
        }
        entry.renewal_time = Some(Time(whole_seconds_up(renewal)));
        entry.account = Some(seen.account.to_owned());
        (entry.failed_attempts, entry.next_attempt_time) = (None, None);
        (entry.reason, entry.message) = (None, None);
        let mut reports = vec![Report::Write];
        if is_news {
            let until = authorization.expires.map_or(String::new(), |expires| format!(" until {expires}"));
            let note = format!("The CA has authorized this account for {name}{until}");
            reports.push(Report::Event(Event::normal(reason::AUTHORIZATIONS_VALID, ACTION, note)));
            reports.push(Report::Authorized { name: name.to_owned(), expires: authorization.expires });
        }
        Consequence::decide(reports)
    }

    /// The CA was told to validate. If it has done so at once, the authorization is read at once.
    fn told(
        &mut self,
        answer: Result<AcmeResponse<Challenge>, AcmeError>,
        seen: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let Some(attempt) = &mut self.progress.attempt else { return Consequence::DECIDE };
        match answer {
            Ok(AcmeResponse { value: challenge, retry_after, .. }) => {
                attempt.told = Some(now);
                let at = (!is_validated(&challenge.status)).then_some(now);
                attempt.poll = Poll { at, retry_after };
                let its =
                    attempt.authorization.challenges.iter_mut().filter(|known| known.url == challenge.url);
                its.for_each(|known| {
                    (known.status, known.error) = (challenge.status.clone(), challenge.error.clone());
                });
                Consequence::DECIDE
            }
            Err(error) => {
                let name = attempt.name.clone();
                self.refused(&name, &error, seen, now)
            }
        }
    }

    fn refused(&mut self, name: &str, error: &AcmeError, seen: &Snapshot<'_>, now: Timestamp) -> Consequence {
        match error {
            AcmeError::Paused { until } => {
                Consequence::wait(Some(whole_seconds_up(*until)), vec![Report::Write])
            }
            AcmeError::KeyInDoubt => Consequence::wait(now.checked_add(DOUBT).ok(), vec![Report::Write]),
            error => self.fail(seen, Failure::of_error(name, error), now),
        }
    }

    /// Records a failure, and when the next attempt is made. What was presented is removed.
    fn fail(&mut self, seen: &Snapshot<'_>, failure: Failure, now: Timestamp) -> Consequence {
        let name = failure.name.clone();
        records::retire(&mut self.status.dns_records, |_| true, now);
        let attempt = self.progress.attempt.take();
        let keeps = failure.keeps_authorization();
        if !keeps {
            self.progress.useless = attempt.map(|attempt| attempt.pending.url);
        }
        let Some(entry) = self.entry(&name) else { return Consequence::DECIDE };
        entry.pending.take_if(|_| !keeps);
        let attempts = entry.failed_attempts.unwrap_or_default().saturating_add(1);
        let backoff = match failure.disposition {
            Disposition::NotAllowed | Disposition::AccountUnusable => seen.backoff.slow(),
            Disposition::CaOperatorMustAct => seen.backoff.hourly(),
            _ => seen.backoff,
        };
        let seed = format!("{}/{name}", seen.uid);
        let failures = u32::try_from(attempts).unwrap_or(1);
        let until = backoff.next_attempt(failures, failure.retry_after, now, &seed);
        let is_news = entry.message.as_ref() != Some(&failure.message) || entry.failed_attempts.is_none();
        entry.failed_attempts = Some(attempts);
        entry.next_attempt_time = Some(Time(until));
        entry.reason = Some(failure.reason.to_owned());
        entry.message = Some(failure.message.clone());
        let mut reports = vec![Report::Write];
        let note = format!("{name}: {}", failure.message);
        reports.extend(is_news.then(|| Report::Event(Event::warning(failure.reason, ACTION, note))));
        reports.push(Report::NotAuthorized { failure, attempts, until });
        Consequence::decide(reports)
    }

    /// The authorization that is being validated has come to its end.
    fn forget_attempt(&mut self, name: &str) {
        self.progress.attempt = None;
        if let Some(entry) = self.entry(name) {
            entry.pending = None;
        }
    }
}

fn not_offered(name: &str, seen: &Snapshot<'_>) -> Failure {
    let message = format!(
        "The CA at {} does not offer pre-authorization: its directory has no newAuthz, so control is proved for each order; \
         remove spec.acme.authorizations",
        seen.server
    );
    Failure::found(name, reason::PRE_AUTHORIZATION_NOT_OFFERED, message, Disposition::NotAllowed)
}
