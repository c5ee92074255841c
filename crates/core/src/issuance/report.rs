//! How an issuance is reported in the status.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::outcome::{Consequence, Report};
use super::{Failure, Snapshot, State, failed_generation};
use crate::conditions::{condition, is_true, sentence, set_condition, set_standing};
use crate::events::Event;
use crate::kstatus;
use crate::reissue;
use crate::renewal::{Placement, Plan};
use crate::spec::ignored;
use certwright_api::{
    ANNOTATION_RENEW, CONDITION_ISSUING, CONDITION_READY, CONDITION_RENEWAL_WINDOW,
    certificate_reason as reason,
};

/// Shorter waits are not written.
const SHORT_WAIT: SignedDuration = SignedDuration::from_secs(3);
/// The wait of a new Certificate for an order slot is written so much later for each one that waits, so that thousands of such
/// writes do not delay what they wait for.
const QUEUE_SPREAD: SignedDuration = SignedDuration::from_millis(40);
/// While the reason of a wait stays the same, its message is written at most once in this time.
const WORDS_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

impl State {
    /// Nothing is to be done.
    pub(super) fn rest(
        &mut self,
        seen: &Snapshot<'_>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Consequence {
        let overruled = self.windows_overruled();
        self.report_rest(seen, now);
        let newly = self.windows_overruled().filter(|_| overruled.is_none());
        let event = newly.map(|(reason, message)| Report::Event(Event::warning(reason, "Renew", message)));
        self.progress.slot = false;
        let reports = event.into_iter().chain([Report::LeaveSlot, Report::Write]).collect();
        Consequence::wait(until, reports)
    }

    /// Something is waited for.
    pub(super) fn wait(
        &mut self,
        seen: &Snapshot<'_>,
        until: Option<Timestamp>,
        reason: &'static str,
        message: &str,
        now: Timestamp,
    ) -> Consequence {
        self.report_wait(seen, reason, message, now);
        if !self.is_worth_writing(seen, until, reason, now) {
            return Consequence::wait(until, Vec::new());
        }
        if self.is_unrecorded(seen.recorded) {
            self.progress.reported_at = Some(now);
        }
        Consequence::wait(until, vec![Report::Write])
    }

    /// There was an order slot.
    pub(super) fn slot_taken(&mut self) -> Consequence {
        self.progress.slot = true;
        self.progress.report_queued = None;
        Consequence::DECIDE
    }

    /// There was no order slot. The wait for one is written unless it is short.
    pub(super) fn queued(
        &mut self,
        seen: &Snapshot<'_>,
        per_account: usize,
        waiting: usize,
        now: Timestamp,
    ) -> Consequence {
        self.progress.slot = false;
        // Those that have no conditions yet are known to wait.
        let is_new = seen.recorded.is_none_or(|status| status.conditions.is_empty());
        let spread = if is_new {
            QUEUE_SPREAD * i32::try_from(waiting).unwrap_or(i32::MAX)
        } else {
            SignedDuration::ZERO
        };
        let report_at = *self.progress.report_queued.get_or_insert(now + SHORT_WAIT + spread);
        let message = format!(
            "Waiting for other orders to finish: the account of {} is limited to {per_account} concurrent orders, and \
             namespaces take turns",
            seen.issuer_in_words()
        );
        self.report_wait(seen, reason::QUEUED, &message, now);
        match now < report_at {
            true => Consequence::wait(Some(report_at), Vec::new()),
            false => Consequence::wait(None, vec![Report::Write]),
        }
    }

    /// Whether to write the wait: not if it is short, and not each time its message changes.
    fn is_worth_writing(
        &self,
        seen: &Snapshot<'_>,
        until: Option<Timestamp>,
        reason: &'static str,
        now: Timestamp,
    ) -> bool {
        let learned = self.learned();
        let waits_since = learned.finalized.or_else(|| learned.answered());
        let waits_since = waits_since.or(learned.proof.presented().map(|presented| presented.since));
        let short = until.is_some_and(|until| until.duration_since(now) < SHORT_WAIT);
        let young = waits_since.is_some_and(|since| now.duration_since(since) < SHORT_WAIT);
        if short && young {
            return false;
        }
        let same_reason = seen
            .recorded
            .and_then(|status| condition(&status.conditions, CONDITION_ISSUING))
            .is_some_and(|issuing| issuing.reason == reason && issuing.status == "True");
        // Somebody is about to set a record, and its message changes only when the record does.
        let is_followed = reason == reason::PERSISTENT_RECORD;
        let fresh = !is_followed
            && self.progress.reported_at.is_some_and(|at| now.duration_since(at) < WORDS_INTERVAL);
        // Without a next time there may be no other opportunity to write the message.
        !(same_reason && fresh && until.is_some())
    }

    /// Nothing is to be done.
    fn report_rest(&mut self, seen: &Snapshot<'_>, now: Timestamp) {
        if !seen.asking.wanted {
            self.status.acme = None;
        }
        self.status.failed_issuance_attempts = None;
        self.status.last_failure_time = None;
        self.status.next_attempt_time = None;
        self.status.failed_renew_request = None;
        self.note_issuer(seen);
        if condition(&self.status.conditions, CONDITION_ISSUING).is_some() {
            self.issuing(seen, false, reason::ISSUED, "No issuance is in progress", now);
        }
        self.report_ready(seen, now, reason::READY, "");
        self.note_check(seen, now);
    }

    /// Something is waited for.
    pub(super) fn report_wait(
        &mut self,
        seen: &Snapshot<'_>,
        reason: &'static str,
        message: &str,
        now: Timestamp,
    ) {
        if matches!(
            reason,
            reason::SELF_CHECK
                | reason::PROPAGATION
                | reason::PERSISTENT_RECORD
                | reason::PRESENTING
                | reason::DNS_WEBHOOK_UNAVAILABLE
                | reason::VALIDATING
        ) {
            self.report_challenges();
        }
        let blames_issuer = matches!(reason, reason::ISSUER_NOT_READY | reason::RATE_LIMITED);
        let message = &self.with_issuers(seen, message, blames_issuer);
        self.issuing(seen, true, reason, message, now);
        self.report_ready(seen, now, reason, message);
    }

    /// The issuance has failed.
    pub(super) fn report_failure(&mut self, seen: &Snapshot<'_>, failure: &Failure, now: Timestamp) {
        let message = &self.with_issuers(seen, &failure.message, true);
        self.issuing(seen, false, failure.reason, message, now);
        self.report_ready(seen, now, failure.reason, message);
    }

    /// Backs off after the failure in the condition. The certificate may have expired since.
    pub(super) fn report_backoff(&mut self, seen: &Snapshot<'_>, now: Timestamp) {
        let failure = condition(&self.status.conditions, CONDITION_ISSUING).cloned();
        if let Some(failure) = failure {
            self.report_ready(seen, now, &failure.reason, &failure.message);
        }
    }

    /// `until`, or the end of the validity of a certificate that is ready, whichever comes first.
    pub fn or_expiry(
        &self,
        seen: &Snapshot<'_>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // It is valid until the end of that second.
        let not_after = self.status.not_after.as_ref();
        let second = SignedDuration::from_secs(1) - seen.ca_ahead.unwrap_or_default();
        let end = not_after.and_then(|time| time.0.saturating_add(second).ok());
        let counts = |end: &Timestamp| *end > now && is_true(&self.status.conditions, CONDITION_READY);
        until.into_iter().chain(end.filter(counts)).min()
    }

    fn issuing(&mut self, seen: &Snapshot<'_>, is: bool, reason: &str, message: &str, now: Timestamp) {
        let generation = seen.generation;
        self.forget_failures_of_other_specs(seen);
        set_condition(&mut self.status.conditions, CONDITION_ISSUING, is, reason, message, generation, now);
    }

    /// A failure of another spec does not count for this one.
    fn forget_failures_of_other_specs(&mut self, seen: &Snapshot<'_>) {
        if failed_generation(&self.status) != Some(seen.generation) {
            self.status.failed_issuance_attempts = None;
            self.status.last_failure_time = None;
            self.status.next_attempt_time = None;
            self.status.failed_renew_request = None;
            self.status.attempt = None;
        }
    }

    /// Whether the Secret matches the spec; if not, why an issuance has not corrected that yet.
    fn report_ready(&mut self, seen: &Snapshot<'_>, now: Timestamp, waits_for: &str, because: &str) {
        let generation = seen.generation;
        let due = match (seen.wanted, seen.secret.certificate_name.as_deref()) {
            (Ok(_), owner) if owner == Some(seen.name) || !seen.secret.exists => {
                let situation = seen.with(self);
                let Some(current) = situation.current(now) else { return };
                let current =
                    reissue::Current { renew_request: None, observed_renew_request: None, ..current };
                let renewal = current.renewal();
                let due = reissue::unready(&current);
                let leaf = seen.secret.leaf();
                self.status.not_before = leaf.map(|leaf| Time(leaf.not_before));
                self.status.not_after = leaf.map(|leaf| Time(leaf.not_after));
                let serial_number = leaf.map(|leaf| leaf.serial_number.clone());
                if self.status.serial_number != serial_number {
                    self.status.serial_number = serial_number;
                    self.forget_served(seen, now);
                }
                self.status.renewal_time = renewal.as_ref().map(|plan| Time(plan.time));
                self.status.revocation_list_url = leaf.and_then(|leaf| leaf.revocation_list_url.clone());
                self.report_windows(seen, renewal.as_ref(), now);
                self.report_revoked(seen, now);
                due
            }
            _ => Some(reissue::Due { reason: reason::SECRET_INVALID, message: String::new() }),
        };
        let (is, reason, message) = match due {
            None => {
                let until = self.status.not_after.as_ref().map_or(String::new(), |time| time.0.to_string());
                let renews = seen.wanted.as_ref().is_ok_and(|wanted| wanted.renews);
                let but = if renews { "" } else { ", and is not renewed: renewal.policy is Disabled" };
                (true, reason::READY, format!("The certificate is valid until {until}{but}"))
            }
            Some(due) if because.is_empty() && due.reason == reason::EXPIRED => (
                false,
                reason::EXPIRED,
                format!(
                    "{}, and is not renewed: renewal.policy is Disabled; to renew it, remove renewal.policy, or give the \
                     annotation {ANNOTATION_RENEW} a new value",
                    sentence(&due.message)
                ),
            ),
            Some(due) if due.message.is_empty() || because.is_empty() => {
                (false, waits_for, because.to_owned())
            }
            Some(due) => (false, waits_for, format!("{because} ({})", due.message)),
        };
        self.status.observed_generation = Some(generation);
        let conditions = &mut self.status.conditions;
        set_condition(conditions, CONDITION_READY, is, reason, &message, generation, now);
        if let Ok(wanted) = seen.wanted {
            ignored::note(conditions, wanted.ignored.as_deref(), generation, now);
        }
        let standing = kstatus::of_certificate(conditions);
        set_standing(conditions, standing, generation, now);
    }

    /// Whether the renewal starts in one of the windows of the spec.
    fn report_windows(&mut self, seen: &Snapshot<'_>, renewal: Option<&Plan>, now: Timestamp) {
        let (is, reason, message) = match renewal.map(|plan| (plan.time, &plan.windows)) {
            None | Some((_, Placement::Anytime)) => {
                self.status.conditions.retain(|condition| condition.type_ != CONDITION_RENEWAL_WINDOW);
                return;
            }
            Some((_, Placement::Within)) => {
                (true, reason::WITHIN_WINDOW, "The renewal begins within a window".to_owned())
            }
            Some((_, Placement::Missed)) => (
                true,
                reason::WITHIN_WINDOW,
                "The renewal did not happen in its planned window, and begins in the next one".to_owned(),
            ),
            Some((time, Placement::NoneInTime { due, latest })) => (
                false,
                reason::NO_WINDOW_IN_TIME,
                format!(
                    "The renewal begins outside of renewal.windows, at {time}: it is due at {due}, and no window opens by \
                     {latest}, the latest safe time; add windows, or make them longer"
                ),
            ),
            Some((time, Placement::CaInsists { latest, .. })) => (
                false,
                reason::CA_INSISTS,
                format!(
                    "The renewal begins outside of renewal.windows, at {time}: the CA wants the certificate replaced by \
                     {latest}, earlier than planned, and no window opens in time{}",
                    self.explanation(seen)
                ),
            ),
            Some((_, Placement::Invalid(why))) => (
                false,
                reason::INVALID_WINDOW,
                format!(
                    "{why}; until this is corrected, the certificate is renewed as if there were no windows"
                ),
            ),
        };
        let generation = seen.generation;
        let conditions = &mut self.status.conditions;
        set_condition(conditions, CONDITION_RENEWAL_WINDOW, is, reason, &message, generation, now);
    }

    /// Why the renewal does not start within a window of the spec, if so.
    fn windows_overruled(&self) -> Option<(&'static str, String)> {
        let condition = condition(&self.status.conditions, CONDITION_RENEWAL_WINDOW)?;
        let reasons = [reason::NO_WINDOW_IN_TIME, reason::CA_INSISTS, reason::INVALID_WINDOW];
        let reason = reasons.into_iter().find(|reason| condition.reason == *reason)?;
        Some((reason, condition.message.clone()))
    }

    fn explanation(&self, seen: &Snapshot<'_>) -> String {
        let situation = seen.with(self);
        let url = situation.suggestion().and_then(|suggestion| suggestion.explanation_url.as_ref());
        url.map_or(String::new(), |url| format!("; it may explain why at {url}"))
    }

    /// Records for each challenge what it waits for.
    fn report_challenges(&mut self) {
        let learned = self.progress.of(self.status.order.as_ref());
        let failures = learned.proof.failures();
        for challenge in &mut self.status.challenges {
            let failure = failures.iter().find(|failure| failure.challenge == challenge.url);
            challenge.reason = failure.map(|failure| failure.words.clone());
            if learned.told.contains_key(&challenge.url) {
                challenge.state = "processing".to_owned();
            }
        }
    }
}
