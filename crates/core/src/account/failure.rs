//! The `Ready` condition of an issuer: the account can be used, or what failed and when the next attempt is made.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::outcome::{Consequence, Failure, Report};
use super::{Snapshot, State, changed_terms};
use crate::conditions::{condition, sentence, set_standing};
use crate::disposition::{self, Disposition, about, disposition, words};
use crate::events::Event;
use crate::kstatus;
use crate::remedy::with_remedy;
use crate::renewal::whole_seconds;
use crate::spec::ignored;
use certwright_acme::{AcmeError, Operation, Place, Problem};
use certwright_api::{CONDITION_READY, issuer_reason as reason};

/// The reason for an error whose code is unknown.
pub(super) fn reason_of(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::AccountUnusable => reason::ACCOUNT_UNUSABLE,
        Disposition::TooFast => reason::RATE_LIMITED,
        Disposition::Stumbled => reason::CA_UNAVAILABLE,
        _ => reason::REGISTRATION_REFUSED,
    }
}

impl State {
    /// What follows from a failed call to the CA.
    pub(super) fn refused(
        &mut self,
        error: &AcmeError,
        operation: Operation,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let code = error.code();
        let (disposition, reason) = match error {
            AcmeError::DirectoryUrl(_) | AcmeError::Bundle | AcmeError::Client(_) => {
                (Disposition::CaOperatorMustAct, Some(reason::INVALID_SPEC))
            }
            AcmeError::Problem { status, .. } | AcmeError::Http { status, .. } => {
                let about = about(error.operation().unwrap_or(operation));
                (disposition(code, Some(*status), about), disposition::reason(code))
            }
            AcmeError::Paused { .. } => (Disposition::TooFast, None),
            AcmeError::OutOfBounds { .. } => (Disposition::Stumbled, Some(reason::ANSWER_REFUSED)),
            _ => (Disposition::Stumbled, None),
        };
        // A connection error may have the same name as a code of the CA.
        let code = error.problem().map(Problem::code).unwrap_or_default();
        let retry = matches!(disposition, Disposition::CaOperatorMustAct | Disposition::NotAllowed);
        let retry = retry.then_some(snapshot.retry());
        let message = with_remedy(&sentence(&words(error)), code, Place::Account, retry.as_ref());
        let retry_after = error.retry_after();
        self.fail(Failure { disposition, reason, message: &message, retry_after }, snapshot, now)
    }

    /// The account cannot be used, as `message` says.
    pub(super) fn account_unusable(
        &mut self,
        reason: Option<&'static str>,
        message: &str,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let disposition = Disposition::AccountUnusable;
        self.fail(Failure { disposition, reason, message, retry_after: None }, snapshot, now)
    }

    /// Records a failure.
    pub(super) fn fail(
        &mut self,
        failure: Failure<'_>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let Failure { disposition, reason, message, retry_after } = failure;
        let reason = reason.unwrap_or(reason_of(disposition));
        let is_final = disposition == Disposition::AccountUnusable;
        // The Secrets of the external account are not watched. The next step, which follows immediately, decides when to read
        // them.
        let looks = self.status.refused_external_account_version.is_some();
        let or_secret = match &snapshot.spec.external_account_binding {
            Some(binding) if looks => format!(" or Secret {}", binding.key_secret_ref.name),
            _ => String::new(),
        };
        let message = if is_final {
            format!(
                "{message}. Nothing is sent to the CA until the spec of this issuer{or_secret} changes, or you run `{}`",
                snapshot.retry()
            )
        } else {
            message.to_owned()
        };
        let attempts = self.attempts_of_this_spec(snapshot.generation).saturating_add(1);
        let backoff = match disposition {
            Disposition::Stumbled | Disposition::TooFast => snapshot.backoff,
            Disposition::CaOperatorMustAct => snapshot.backoff.hourly(),
            _ => snapshot.backoff.slow(),
        };
        let failures = u32::try_from(attempts).unwrap_or(1);
        let until = backoff.next_attempt(failures, retry_after, now, snapshot.uid);
        let until = (!is_final).then_some(until);
        self.status.failed_attempts = Some(attempts);
        self.status.last_failure_time = Some(Time(whole_seconds(now)));
        self.status.next_attempt_time = until.map(Time);
        self.set_ready(false, reason, &message, snapshot, now);
        let before = condition(&self.recorded.conditions, CONDITION_READY);
        let is_news = before.is_none_or(|before| before.message != message);
        let mut reports = vec![Report::Write];
        reports.extend(is_news.then(|| Report::Event(Event::warning(reason, "Register", message))));
        Consequence::wait(if looks { Some(now) } else { until }, reports)
    }

    /// Records that the account can be used.
    pub(super) fn ready(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) {
        self.forget_failures();
        let acme = self.status.acme.as_ref();
        let mut message = format!("The account {} is registered", acme.map_or("", |acme| acme.uri.as_str()));
        if let Some(changed) = acme.and_then(changed_terms) {
            message = format!("{message}. {changed}");
        }
        self.set_ready(true, reason::ACCOUNT_REGISTERED, &message, snapshot, now);
    }

    /// Forgets earlier failures.
    pub(super) fn forget_failures(&mut self) {
        self.status.failed_attempts = None;
        self.status.last_failure_time = None;
        self.status.next_attempt_time = None;
        self.status.refused_external_account_version = None;
    }

    /// Sets the condition `Ready`, and those that kstatus derives from it.
    pub(super) fn set_ready(
        &mut self,
        is: bool,
        reason: &str,
        message: &str,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) {
        self.status.observed_generation = Some(snapshot.generation);
        self.set_condition(CONDITION_READY, is, reason, message, snapshot, now);
        let conditions = &mut self.status.conditions;
        ignored::note(conditions, ignored::of_issuer(snapshot.spec).as_deref(), snapshot.generation, now);
        let standing = kstatus::of_issuer(conditions);
        set_standing(conditions, standing, snapshot.generation, now);
    }

    /// How many attempts with this spec have failed in a row.
    fn attempts_of_this_spec(&self, generation: i64) -> i32 {
        let ready = condition(&self.recorded.conditions, CONDITION_READY);
        let same_spec = ready.is_some_and(|ready| ready.observed_generation == Some(generation));
        self.recorded.failed_attempts.filter(|_| same_spec).unwrap_or_default()
    }
}
