//! Report: the status says what is, and is written when it must be and no oftener.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::EventType;
use serde_json::json;

use super::gather::Work;
use crate::api::{
    ANNOTATION_RENEW, CONDITION_ISSUING, CONDITION_READY, CONDITION_RENEWAL_WINDOW, Certificate,
    FIELD_MANAGER, GROUP, VERSION, certificate_reason as reason,
};
use crate::controller::conditions::{condition, is_true, sentence, set_condition, set_standing};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events::{self, News};
use crate::core::issuance::{Failure, failed_generation};
use crate::core::kstatus;
use crate::core::ledger::Owner;
use crate::core::reading::{Readable, Reading};
use crate::core::records;
use crate::core::reissue;
use crate::core::renewal::{Placement, Plan};
use crate::runtime::metrics::{ApiVerb, CertificateFacts};

/// A wait that is shorter is not worth a write.
const SHORT_WAIT: SignedDuration = SignedDuration::from_secs(3);
/// While the reason of a wait stays the same, its words are written at most once in this time.
const WORDS_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

impl Work {
    /// Nothing is to be done.
    pub(super) fn report_rest(&mut self, now: Timestamp) {
        if !self.asks_ca() {
            self.status.acme = None;
        }
        self.status.failed_issuance_attempts = None;
        self.status.last_failure_time = None;
        self.status.next_attempt_time = None;
        self.status.failed_renew_request = None;
        if condition(&self.status.conditions, CONDITION_ISSUING).is_some() {
            self.issuing(false, reason::ISSUED, "Nothing is under way", now);
        }
        self.report_ready(now, reason::READY, "");
    }

    /// Something is waited for.
    pub(super) fn report_wait(&mut self, reason: &'static str, message: &str, now: Timestamp) {
        if matches!(
            reason,
            reason::SELF_CHECK | reason::PROPAGATION | reason::PRESENTING | reason::VALIDATING
        ) {
            self.report_challenges();
        }
        self.issuing(true, reason, message, now);
        self.report_ready(now, reason, message);
    }

    /// The issuance goes on.
    pub(super) fn report_progress(&mut self, reason: &'static str, message: &str, now: Timestamp) {
        self.issuing(true, reason, message, now);
        self.report_ready(now, reason, message);
    }

    /// The issuance has failed.
    pub(super) fn report_failure(&mut self, failure: &Failure, now: Timestamp) {
        self.issuing(false, failure.reason, &failure.message, now);
        self.report_ready(now, failure.reason, &failure.message);
    }

    /// The failure that stands in the condition is not long enough ago. The certificate may have expired since.
    pub(super) fn report_backoff(&mut self, now: Timestamp) {
        let failure = condition(&self.status.conditions, CONDITION_ISSUING).cloned();
        if let Some(failure) = failure {
            self.report_ready(now, &failure.reason, &failure.message);
        }
    }

    /// `until`, or the end of the validity of a certificate that is ready, whichever comes first.
    pub(super) fn or_expiry(&self, until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        // It is valid throughout the second that it names.
        let not_after = self.status.not_after.as_ref();
        let second = SignedDuration::from_secs(1) - self.ca_ahead().unwrap_or_default();
        let end = not_after.and_then(|time| time.0.saturating_add(second).ok());
        let counts = |end: &Timestamp| *end > now && is_true(&self.status.conditions, CONDITION_READY);
        until.into_iter().chain(end.filter(counts)).min()
    }

    fn issuing(&mut self, is: bool, reason: &str, message: &str, now: Timestamp) {
        let generation = self.generation();
        self.forget_failures_of_other_specs();
        set_condition(&mut self.status.conditions, CONDITION_ISSUING, is, reason, message, generation, now);
    }

    /// A failure of another spec says nothing of this one.
    pub(super) fn forget_failures_of_other_specs(&mut self) {
        if failed_generation(&self.status) != Some(self.generation()) {
            self.status.failed_issuance_attempts = None;
            self.status.last_failure_time = None;
            self.status.next_attempt_time = None;
            self.status.failed_renew_request = None;
        }
    }

    /// Whether the Secret holds what the spec asks for; if not, why an issuance has not mended that yet.
    fn report_ready(&mut self, now: Timestamp, waits_for: &str, because: &str) {
        let generation = self.generation();
        let due = match (&self.wanted, self.secret_view.certificate_name.as_deref()) {
            (Ok(wanted), owner) if owner == Some(&self.name) || !self.secret_view.exists => {
                let current = reissue::Current {
                    wanted,
                    secret: &self.secret_view,
                    uid: &self.uid,
                    suggestion: self.suggestion(),
                    under_way: self.status.order.is_some(),
                    renew_request: None,
                    observed_renew_request: None,
                    now: self.at_ca(now),
                };
                let renewal = current.renewal();
                let due = reissue::unready(&current);
                let leaf = self.secret_view.leaf();
                self.status.not_before = leaf.map(|leaf| Time(leaf.not_before));
                self.status.not_after = leaf.map(|leaf| Time(leaf.not_after));
                self.status.serial_number = leaf.map(|leaf| leaf.serial_number.clone());
                self.status.renewal_time = renewal.as_ref().map(|plan| Time(plan.time));
                self.report_windows(renewal.as_ref(), now);
                due
            }
            _ => Some(reissue::Due { reason: reason::SECRET_INVALID, message: String::new() }),
        };
        let (is, reason, message) = match due {
            None => {
                let until = self.status.not_after.as_ref().map_or(String::new(), |time| time.0.to_string());
                let renews = self.wanted.as_ref().is_ok_and(|wanted| wanted.renews);
                let but = if renews { "" } else { ", and is not renewed: renewal.policy is Disabled" };
                (true, reason::READY, format!("The certificate is valid until {until}{but}"))
            }
            Some(due) if because.is_empty() && due.reason == reason::EXPIRED => (
                false,
                reason::EXPIRED,
                format!(
                    "{}, and is not renewed: renewal.policy is Disabled; to have it renewed, remove that, or give the \
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
        let standing = kstatus::of_certificate(conditions);
        set_standing(conditions, standing, generation, now);
    }

    /// Whether the renewal begins in one of the windows of the spec.
    fn report_windows(&mut self, renewal: Option<&Plan>, now: Timestamp) {
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
                "The renewal did not come about in the window that it was planned for, and begins in the next one".to_owned(),
            ),
            Some((time, Placement::NoneInTime { due, latest })) => (
                false,
                reason::NO_WINDOW_IN_TIME,
                format!(
                    "The renewal begins outside of renewal.windows, at {time}: it is due at {due}, and no window opens by \
                     {latest}, the latest time that is safe; have more windows, or longer ones"
                ),
            ),
            Some((time, Placement::CaInsists { latest, .. })) => (
                false,
                reason::CA_INSISTS,
                format!(
                    "The renewal begins outside of renewal.windows, at {time}: the CA wants the certificate replaced by \
                     {latest}, before it would be renewed, and no window opens in time{}",
                    self.explanation()
                ),
            ),
            Some((_, Placement::Invalid(why))) => (
                false,
                reason::INVALID_WINDOW,
                format!("{why}; as long as that is so, the certificate is renewed as if there were no windows"),
            ),
        };
        let generation = self.generation();
        let conditions = &mut self.status.conditions;
        set_condition(conditions, CONDITION_RENEWAL_WINDOW, is, reason, &message, generation, now);
    }

    /// Why the renewal does not begin within a window of the spec, if it does not.
    pub(super) fn windows_overruled(&self) -> Option<(&'static str, String)> {
        let condition = condition(&self.status.conditions, CONDITION_RENEWAL_WINDOW)?;
        let reasons = [reason::NO_WINDOW_IN_TIME, reason::CA_INSISTS, reason::INVALID_WINDOW];
        let reason = reasons.into_iter().find(|reason| condition.reason == *reason)?;
        Some((reason, condition.message.clone()))
    }

    fn explanation(&self) -> String {
        let url = self.suggestion().and_then(|suggestion| suggestion.explanation_url.as_ref());
        url.map_or(String::new(), |url| format!("; it may say why at {url}"))
    }

    /// The challenges say what they wait for.
    pub(super) fn report_challenges(&mut self) {
        let learned = self.progress.of(self.status.order.as_ref());
        let seen = learned.self_check.as_ref().map(|seen| seen.failures.as_slice());
        let failed = learned.present_failed.as_ref().map(|failed| failed.failures.as_slice());
        let failures = failed.or(seen).unwrap_or_default();
        for challenge in &mut self.status.challenges {
            let failure = failures.iter().find(|failure| failure.challenge == challenge.url);
            challenge.reason = failure.map(|failure| failure.words.clone());
            if learned.told.contains_key(&challenge.url) {
                challenge.state = "processing".to_owned();
            }
        }
    }

    /// Writes the status if a human would want to know of the wait: not while it is short, and not each time that its
    /// words change.
    pub(super) async fn flush_if_worth_it(
        &mut self,
        until: Option<Timestamp>,
        reason: &'static str,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), Error> {
        let learned = self.learned();
        let waits_since = learned.finalized.or_else(|| learned.answered()).or(learned.presented_at);
        let short = until.is_some_and(|until| until.duration_since(now) < SHORT_WAIT);
        let young = waits_since.is_some_and(|since| now.duration_since(since) < SHORT_WAIT);
        if short && young {
            return Ok(());
        }
        let written = self.certificate.status.as_ref();
        let same_reason = written
            .and_then(|status| condition(&status.conditions, CONDITION_ISSUING))
            .is_some_and(|issuing| issuing.reason == reason && issuing.status == "True");
        let fresh = self.progress.reported_at.is_some_and(|at| now.duration_since(at) < WORDS_INTERVAL);
        // Words that nothing will make it look at again are written now or never.
        if same_reason && fresh && until.is_some() {
            return Ok(());
        }
        if self.flush(context).await? {
            self.progress.reported_at = Some(now);
        }
        Ok(())
    }

    /// What is to be said once the status that goes with it is written.
    pub(super) fn tell(
        &mut self,
        type_: EventType,
        reason: &'static str,
        action: &'static str,
        note: String,
    ) {
        self.news.push(News { type_, reason, action, note });
    }

    /// Publishes what is to be said. What cannot be published now is kept for later.
    pub(super) async fn publish(&mut self, context: &Context) {
        let reference = self.reference();
        while let Some(News { type_, reason, action, note }) = self.news.first().cloned() {
            if !events::publish(context, &reference, type_, reason, action, &note).await {
                break;
            }
            self.news.remove(0);
        }
    }

    /// Writes the status if it has changed, and says what is to be said of it.
    pub(super) async fn flush(&mut self, context: &Context) -> Result<bool, Error> {
        self.report_metrics(context);
        let written = self.write_status(context).await?;
        self.publish(context).await;
        Ok(written)
    }

    async fn write_status(&mut self, context: &Context) -> Result<bool, Error> {
        context.ledger_keys.seal(Owner { namespace: &self.namespace, uid: &self.uid }, &mut self.status);
        // What is to be removed or revoked one day is never on record without that which keeps the Certificate until then.
        let deleted = self.certificate.metadata.deletion_timestamp.is_some();
        if records::holds(&self.status) && !self.held() && !deleted {
            self.hold(context).await?;
        }
        if self.certificate.status.as_ref() == Some(&self.status) {
            return Ok(false);
        }
        let api = Api::<Reading<Certificate>>::namespaced(context.client.clone(), &self.namespace);
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Certificate",
            "metadata": { "name": self.name, "uid": self.uid },
            "status": self.status,
        });
        context.metrics.api_written("Certificate", ApiVerb::Patch);
        let written = api
            .patch_status(&self.name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch))
            .await
            .map_err(Error::WriteStatus)?;
        self.see_written(written, context)?;
        Ok(true)
    }

    /// Takes note of the Certificate as a write has returned it.
    pub(super) fn see_written(
        &mut self,
        written: Reading<Certificate>,
        context: &Context,
    ) -> Result<(), Error> {
        let mut written = written.usable().map_err(Error::Unreadable)?;
        written.reduce();
        self.certificate = Arc::new(written);
        context.in_flight.written(self.certificate.clone());
        Ok(())
    }

    fn report_metrics(&self, context: &Context) {
        let facts = CertificateFacts {
            ready: crate::controller::conditions::is_true(&self.status.conditions, CONDITION_READY),
            not_after: self.status.not_after.as_ref().map(|time| time.0),
            renewal: self.status.renewal_time.as_ref().map(|time| time.0),
            queued: condition(&self.status.conditions, CONDITION_ISSUING)
                .is_some_and(|issuing| issuing.status == "True" && issuing.reason == reason::QUEUED),
        };
        context.metrics.certificate(&self.namespace, &self.name, facts);
    }
}
