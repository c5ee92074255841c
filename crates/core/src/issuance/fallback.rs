//! Other issuers, for when the one in use cannot issue.
//!
//! What counts is that the CA or the account does not work, or that the CA refuses to validate again and again. A mistake in a
//! spec does not count: no other issuer would help. Each issuer keeps its own backoff, so no CA is asked more often than if it
//! were the only one.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::outcome::{Consequence, Report};
use super::{Failure, IssuanceStep, IssuerView, Next, Progress, Situation, Snapshot, State};
use crate::disposition::Disposition;
use crate::events::Event;
use crate::issuers::{FallbackRule, attempt, in_words, why};
use crate::reissue::Due;
use crate::renewal::whole_seconds;
use crate::spec::ValidatedCertificate;
use certwright_api::{
    AttemptStatus, GivenUpIssuerStatus, IssuedByStatus, IssuerRef, certificate_reason as reason,
};

/// The issuer to go on with, if that is not the one in use.
pub(super) fn another<'a>(
    situation: &Situation<'a>,
    wanted: &'a ValidatedCertificate,
    due: &Due,
    now: Timestamp,
) -> Option<&'a IssuerRef> {
    let rule = wanted.fallback?;
    if attempt(&situation.state.status, situation.generation).is_none() && !wanted.tries(&wanted.first_issuer)
    {
        return Some(&wanted.first_issuer);
    }
    gives_up_at(situation, wanted, rule, due, now).filter(|time| *time <= now)?;
    next(situation, wanted, now)
}

/// The step, or the time at which another issuer is tried, if that is earlier than the end of a wait.
pub(super) fn or_fallback(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    due: &Due,
    step: IssuanceStep,
    now: Timestamp,
) -> IssuanceStep {
    let Some(time) = turns_at(situation, wanted, due, now).filter(|time| *time > now) else { return step };
    match step {
        IssuanceStep::BackOff { until } => IssuanceStep::BackOff { until: until.min(time) },
        IssuanceStep::Wait { until, reason, message, makes_room } => {
            let until = until.into_iter().chain([time]).min();
            IssuanceStep::Wait { until, reason, message, makes_room }
        }
        step => step,
    }
}

/// When another issuer is tried, if the one in use goes on failing and there is another one to try.
fn turns_at(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    due: &Due,
    now: Timestamp,
) -> Option<Timestamp> {
    let time = gives_up_at(situation, wanted, wanted.fallback?, due, now)?;
    next(situation, wanted, now).map(|_| time)
}

/// When the issuer in use is given up, if it goes on failing.
fn gives_up_at(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    rule: FallbackRule,
    due: &Due,
    now: Timestamp,
) -> Option<Timestamp> {
    if !wanted.tries(&wanted.first_issuer) && !situation.can_be_used() {
        return Some(now);
    }
    // The first one must exist, and must be able to issue as soon as its CA does.
    let is_wrong = match situation.issuer {
        IssuerView::NotFound => true,
        IssuerView::NotReady { ca_is_cause, .. } => !ca_is_cause,
        IssuerView::Ready { .. } => situation.not_allowed.is_some(),
    };
    if is_wrong && !wanted.rehearses {
        return None;
    }
    let since = attempt(&situation.state.status, situation.generation)?.failing_since.as_ref()?.0;
    let time = since.saturating_add(rule.after).unwrap_or(since);
    match due.leaves_ready() {
        true => Some(time.max(last_third(situation, now)?)),
        false => Some(time),
    }
}

/// When a third of the time between the renewal time and the expiry is left.
fn last_third(situation: &Situation<'_>, now: Timestamp) -> Option<Timestamp> {
    let not_after = situation.secret.leaf()?.not_after;
    let renewal = situation.current(now)?.renewal_time().unwrap_or(not_after);
    let third = not_after.duration_since(renewal) / 3;
    Some(situation.here(not_after.saturating_sub(third).unwrap_or(not_after)))
}

/// The issuer that is tried next: the first one that was not tried yet, or else the one that may be asked again first.
fn next<'a>(
    situation: &Situation<'a>,
    wanted: &ValidatedCertificate,
    now: Timestamp,
) -> Option<&'a IssuerRef> {
    let status = &situation.state.status;
    let given_up = attempt(status, situation.generation).map_or(&[][..], |attempt| &attempt.given_up);
    let again = |issuer: &IssuerRef| {
        let known = given_up.iter().find(|known| known.issuer_ref == *issuer)?;
        Some(known.next_attempt_time.as_ref().map_or(now, |time| time.0.max(now)))
    };
    let usable = situation.candidates.iter().filter(|one| one.unusable.is_none());
    let others: Vec<&IssuerRef> =
        usable.map(|one| &one.issuer).filter(|issuer| !wanted.tries(issuer)).collect();
    if let Some(fresh) = others.iter().find(|issuer| again(issuer).is_none()) {
        return Some(fresh);
    }
    let first = others.into_iter().min_by_key(|issuer| again(issuer))?;
    let can_go_on = wanted.rehearses || situation.can_be_used();
    let own = status.next_attempt_time.as_ref().map_or(now, |time| time.0.max(now));
    (!can_go_on || again(first) < Some(own)).then_some(first)
}

impl State {
    /// The issuance has failed; returns what to report besides.
    pub(super) fn note_failure(
        &mut self,
        seen: &Snapshot<'_>,
        failure: &Failure,
        now: Timestamp,
    ) -> Option<Event> {
        match failure.disposition {
            Disposition::ValidationFailed => self.note_refusal(seen, failure, now),
            // That is about the CA for tests.
            _ if seen.rehearses() => {}
            Disposition::Stumbled | Disposition::TooFast => {
                self.note_outage(seen, failure.reason, &failure.message, now);
            }
            _ => self.note_answer(seen, true),
        }
        self.note_rehearsal(seen, failure)
    }

    /// The CA has refused to validate a name.
    fn note_refusal(&mut self, seen: &Snapshot<'_>, failure: &Failure, now: Timestamp) {
        let Some(rule) = rule(seen) else { return };
        let attempt = self.tried(seen);
        let failures = attempt.validation_failures.unwrap_or_default().saturating_add(1);
        attempt.validation_failures = Some(failures);
        match failures >= rule.validation_failures {
            true => self.note_outage(seen, failure.reason, &failure.message, now),
            false => attempt.failing_since = None,
        }
    }

    /// The issuance waits; returns whether that newly means that the issuer cannot issue.
    pub(super) fn note_wait(&mut self, seen: &Snapshot<'_>, reason: &str, now: Timestamp) -> bool {
        match seen.issuer {
            IssuerView::NotReady { message, ca_is_cause } if reason == reason::ISSUER_NOT_READY => {
                if !ca_is_cause {
                    self.note_answer(seen, true);
                    return false;
                }
                let is_new =
                    attempt(&self.status, seen.generation).is_none_or(|one| one.failing_since.is_none());
                self.note_outage(seen, reason::ISSUER_NOT_READY, message, now);
                is_new && rule(seen).is_some()
            }
            _ => false,
        }
    }

    /// The issuer in use cannot issue.
    pub(super) fn note_outage(&mut self, seen: &Snapshot<'_>, reason: &str, message: &str, now: Timestamp) {
        if rule(seen).is_none() {
            return;
        }
        let is_first = seen.wanted.as_ref().is_ok_and(|wanted| wanted.tries(&wanted.first_issuer));
        let attempt = self.tried(seen);
        attempt.failing_since.get_or_insert(Time(whole_seconds(now)));
        if is_first {
            (attempt.reason, attempt.message) = (Some(reason.to_owned()), Some(message.to_owned()));
        }
    }

    /// The CA has done what it was asked for.
    pub(super) fn note_progress(&mut self, seen: &Snapshot<'_>) {
        self.progress.stumbles = 0;
        if seen.rehearses() {
            return;
        }
        let enough = rule(seen).map_or(0, |rule| rule.validation_failures);
        let failures = self.status.attempt.as_ref().and_then(|attempt| attempt.validation_failures);
        if failures.is_none_or(|failures| failures < enough) {
            self.note_answer(seen, false);
        }
    }

    /// The CA works. If the spec `is_wrong`, refused validations say nothing about the CA either.
    fn note_answer(&mut self, seen: &Snapshot<'_>, is_wrong: bool) {
        let is_first = seen.wanted.as_ref().is_ok_and(|wanted| wanted.tries(&wanted.first_issuer));
        let Some(attempt) = &mut self.status.attempt else { return };
        attempt.failing_since = None;
        if is_wrong {
            attempt.validation_failures = None;
        }
        if is_first {
            (attempt.reason, attempt.message) = (None, None);
        }
    }

    /// What is recorded of the issuer in use.
    pub(super) fn tried(&mut self, seen: &Snapshot<'_>) -> &mut AttemptStatus {
        if attempt(&self.status, seen.generation).is_none() {
            self.status.attempt = None;
        }
        let issuer_ref = || match seen.wanted {
            Ok(wanted) => wanted.tried_issuer.clone(),
            Err(_) => IssuerRef::default(),
        };
        self.status
            .attempt
            .get_or_insert_with(|| AttemptStatus { issuer_ref: issuer_ref(), ..AttemptStatus::default() })
    }

    /// When to decide again during a pause of the issuer in use.
    pub(super) fn or_fallback(&self, seen: &Snapshot<'_>, until: Timestamp, now: Timestamp) -> Next {
        let situation = seen.with(self);
        let turn = match (seen.wanted, situation.due(now)) {
            (Ok(wanted), Some(due)) => turns_at(&situation, wanted, &due, now),
            _ => None,
        };
        match turn {
            Some(time) if time <= now => Next::Decide,
            turn => Next::Wait(turn.into_iter().chain([until]).min()),
        }
    }

    /// The issuance goes on with another issuer.
    pub(super) fn use_issuer(
        &mut self,
        seen: &Snapshot<'_>,
        issuer: IssuerRef,
        now: Timestamp,
    ) -> Consequence {
        let Ok(wanted) = seen.wanted else { return Consequence::DECIDE };
        let before = wanted.tried_issuer.clone();
        let (now_used, first) = (in_words(&issuer), in_words(&wanted.first_issuer));
        let mut reports = vec![Report::LeaveSlot];
        let attempt = match attempt(&self.status, seen.generation).cloned() {
            None => {
                self.report_wait(
                    seen,
                    reason::ORDERING,
                    &format!("The issuance begins with {now_used}"),
                    now,
                );
                AttemptStatus { issuer_ref: issuer, ..AttemptStatus::default() }
            }
            Some(mut attempt) => {
                let may_rehearse = issuer == wanted.first_issuer && wanted.rehearsal_issuer.is_some();
                let because = attempt.message.clone().unwrap_or_default();
                let message = match issuer == wanted.first_issuer {
                    true => format!("{now_used} is tried again"),
                    false => format!("{now_used} is tried, because {first} could not issue: {because}"),
                };
                let given_up = GivenUpIssuerStatus {
                    issuer_ref: before.clone(),
                    failing_since: attempt.failing_since.take(),
                    validation_failures: attempt.validation_failures.take(),
                    failed_issuance_attempts: self.status.failed_issuance_attempts.take(),
                    next_attempt_time: self.status.next_attempt_time.take(),
                };
                let found = attempt.given_up.iter().position(|known| known.issuer_ref == issuer);
                let again = found.map(|index| attempt.given_up.remove(index)).unwrap_or_default();
                attempt.given_up.push(given_up);
                self.status.attempt = None;
                self.report_wait(seen, reason::ORDERING, &message, now);
                self.status.failed_issuance_attempts = again.failed_issuance_attempts;
                self.status.next_attempt_time = again.next_attempt_time;
                reports.push(Report::FellBack(before, issuer.clone()));
                reports.push(Report::Event(Event::warning(reason::FALLING_BACK, "Issue", message)));
                AttemptStatus {
                    issuer_ref: issuer,
                    failing_since: again.failing_since,
                    validation_failures: again.validation_failures,
                    // Its last validation has failed.
                    rehearses: again.validation_failures.map(|_| true).filter(|_| may_rehearse),
                    ..attempt
                }
            }
        };
        self.status.attempt = Some(attempt);
        self.progress = Progress::default();
        reports.push(Report::Write);
        Consequence::decide(reports)
    }

    /// Records which issuer has issued the certificate in the Secret, after the end of an issuance.
    pub(super) fn note_issuer(&mut self, seen: &Snapshot<'_>) {
        let tried = attempt(&self.status, seen.generation).cloned();
        self.status.attempt = None;
        let (Ok(wanted), Some((name, kind))) = (seen.wanted, &seen.secret.issuer) else { return };
        let issued = |issuer: &IssuerRef| (&issuer.name, issuer.kind.as_str()) == (name, kind.as_str());
        if issued(&wanted.first_issuer) {
            self.status.issued_by = None;
        } else if let Some(tried) = tried.filter(|tried| issued(&tried.issuer_ref)) {
            self.status.issued_by = Some(IssuedByStatus {
                issuer_ref: tried.issuer_ref,
                instead_of: wanted.first_issuer.clone(),
                reason: tried.reason.unwrap_or_default(),
                message: tried.message.unwrap_or_default(),
            });
        }
    }

    /// Which fallback issuer is in use, and why; empty if none is.
    pub(super) fn in_use_instead(&self, seen: &Snapshot<'_>) -> String {
        let Ok(wanted) = seen.wanted else { return String::new() };
        let tried = attempt(&self.status, seen.generation);
        let Some(tried) = tried.filter(|tried| tried.issuer_ref != wanted.first_issuer) else {
            return String::new();
        };
        let by = IssuedByStatus {
            instead_of: wanted.first_issuer.clone(),
            message: tried.message.clone().unwrap_or_default(),
            ..IssuedByStatus::default()
        };
        format!(". {} is used, because {}", in_words(&tried.issuer_ref), why(&by))
    }

    /// The message, with the fallback issuer in use. If a failure `blames_issuer`, also with those that cannot be used.
    pub(super) fn with_issuers(&self, seen: &Snapshot<'_>, message: &str, blames_issuer: bool) -> String {
        let mut message = format!("{message}{}", self.in_use_instead(seen));
        let Ok(wanted) = seen.wanted else { return message };
        if wanted.rehearses {
            let (now_used, first) = (seen.issuer_in_words(), in_words(&wanted.first_issuer));
            message.push_str(&format!(
                ". {now_used} is asked first, because {first} could not validate the names"
            ));
        }
        let others = seen.candidates.iter().filter(|one| blames_issuer && !wanted.tries(&one.issuer));
        for (issuer, words) in others.filter_map(|one| Some((&one.issuer, one.unusable.as_ref()?))) {
            if *issuer != wanted.first_issuer {
                message.push_str(&format!(". {} cannot be used instead: {words}", in_words(issuer)));
            }
        }
        message
    }
}

fn rule(seen: &Snapshot<'_>) -> Option<FallbackRule> {
    seen.wanted.as_ref().ok()?.fallback
}
