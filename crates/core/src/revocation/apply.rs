//! What follows from the outcome of a chore.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::attempt::Refusal;
use super::{Attempt, Remark, Revocation, Signer};
use crate::backoff::look_again;
use crate::conditions::{condition, set_condition};
use crate::events::Event;
use crate::issuance::{Consequence, Report, Snapshot, State};
use crate::renewal::{whole_seconds, whole_seconds_up};
use certwright_api::{
    ANNOTATION_REVOKE, CONDITION_REVOCATION, CertificateRevocation, LastRevocation, RevocationReason,
    RevocationResult, RevocationStatus, certificate_reason as reason,
};

/// How long to retry a failing revocation, if no deletion waits for it.
pub(super) const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Bounds of the retry interval while a deletion waits for the CA.
const DELETION_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// The action of the events.
const ACTION: &str = "Revoke";

impl State {
    /// The ledger is as the spec, the request and the Secret require.
    pub(crate) fn keep_ledger(
        &mut self,
        seen: &Snapshot<'_>,
        ledger: RevocationStatus,
        remark: Option<Remark>,
        now: Timestamp,
    ) -> Consequence {
        let is_empty = ledger == RevocationStatus::default();
        self.status.revocation = (!is_empty).then_some(ledger);
        let reports = remark.map(|remark| self.remark(seen, &remark, now));
        Consequence::decide(reports.unwrap_or_default())
    }

    /// The CA was asked to revoke a certificate.
    pub(crate) fn asked_to_revoke(
        &mut self,
        seen: &Snapshot<'_>,
        revocation: &Revocation,
        attempt: Attempt,
        now: Timestamp,
    ) -> Consequence {
        match attempt.end(&revocation.certificate, now) {
            Ok(signer) => self.revoked(seen, revocation, signer, now),
            Err(refusal) => match after_refusal(revocation, &refusal, seen, now) {
                Some(next) => self.not_revoked_yet(seen, revocation, next, refusal.words, now),
                None => self.give_up_revocation(seen, revocation, refusal.words, now),
            },
        }
    }

    fn revoked(
        &mut self,
        seen: &Snapshot<'_>,
        revocation: &Revocation,
        signer: Signer,
        now: Timestamp,
    ) -> Consequence {
        self.end_revocation(revocation, RevocationResult::Revoked, None, now);
        let (serial_number, why) = (revocation.certificate.serial_number.clone(), revocation.progress.reason);
        let message = format!("The certificate {serial_number} is revoked: {}", why.as_str());
        self.report_revocation(seen, true, reason::REVOKED, &message, now);
        let how = match signer {
            Signer::Account => "signed by the account",
            Signer::CertificateKey => {
                "signed with the certificate's own private key, because the account may not revoke it"
            }
        };
        let event = Event::normal(reason::REVOKED, ACTION, format!("{message}, {how}"));
        Consequence::decide(vec![Report::Revoked { serial_number, why }, Report::Event(event), Report::Write])
    }

    fn not_revoked_yet(
        &mut self,
        seen: &Snapshot<'_>,
        revocation: &Revocation,
        next: CertificateRevocation,
        words: String,
        now: Timestamp,
    ) -> Consequence {
        let (serial_number, why) = (revocation.certificate.serial_number.clone(), revocation.progress.reason);
        let message = format!("The certificate {serial_number} is not revoked yet: {words}");
        let is_news = revocation.progress.message.as_ref() != Some(&words);
        self.record_progress(&serial_number, &next);
        self.report_revocation(seen, false, reason::REVOCATION_FAILED, &message, now);
        let event = is_news.then(|| Event::warning(reason::REVOCATION_FAILED, ACTION, message));
        let mut reports = vec![Report::NotRevoked { serial_number, why, words }];
        reports.extend(event.map(Report::Event));
        reports.push(Report::Write);
        Consequence::decide(reports)
    }

    /// The revocation of a certificate is given up, for the reason in `words`.
    pub(crate) fn give_up_revocation(
        &mut self,
        seen: &Snapshot<'_>,
        revocation: &Revocation,
        words: String,
        now: Timestamp,
    ) -> Consequence {
        self.end_revocation(revocation, RevocationResult::GivenUp, Some(words.clone()), now);
        let (serial_number, why) = (revocation.certificate.serial_number.clone(), revocation.progress.reason);
        let message = format!(
            "The certificate {serial_number} could not be revoked, and the operator does not retry; if it must not be \
             used, have it revoked at the CA: {words}"
        );
        self.report_revocation(seen, false, reason::REVOCATION_GIVEN_UP, &message, now);
        let event = Event::warning(reason::REVOCATION_GIVEN_UP, ACTION, message);
        Consequence::decide(vec![
            Report::RevocationGivenUp { serial_number, why, words },
            Report::Event(event),
            Report::Write,
        ])
    }

    /// Reports on a request.
    fn remark(&mut self, seen: &Snapshot<'_>, remark: &Remark, now: Timestamp) -> Vec<Report> {
        let (reason, message) = match remark {
            Remark::InvalidReason(value) => {
                let known: Vec<&str> = RevocationReason::ALL.iter().map(|reason| reason.as_str()).collect();
                let message = format!(
                    "The annotation {ANNOTATION_REVOKE} requests a revocation with the invalid reason '{value}'; nothing \
                     is revoked. Use one of {}",
                    known.join(", ")
                );
                (reason::INVALID_REVOCATION_REASON, message)
            }
            Remark::NothingToRevoke => {
                let message = format!(
                    "The annotation {ANNOTATION_REVOKE} requests a revocation, but the Secret contains no certificate \
                     with its key; nothing is revoked"
                );
                (reason::NOTHING_TO_REVOKE, message)
            }
            Remark::TakenBack => {
                self.forget_remark();
                return Vec::new();
            }
        };
        self.report_revocation(seen, false, reason, &message, now);
        vec![Report::Event(Event::warning(reason, ACTION, message)), Report::Write]
    }

    /// The request that the condition remarks on was withdrawn.
    fn forget_remark(&mut self) {
        let conditions = &mut self.status.conditions;
        let is_remark = condition(conditions, CONDITION_REVOCATION).is_some_and(|found| {
            [reason::INVALID_REVOCATION_REASON, reason::NOTHING_TO_REVOKE].contains(&found.reason.as_str())
        });
        conditions.retain(|found| !is_remark || found.type_ != CONDITION_REVOCATION);
    }

    fn end_revocation(
        &mut self,
        revocation: &Revocation,
        result: RevocationResult,
        message: Option<String>,
        now: Timestamp,
    ) {
        let Revocation { certificate, progress } = revocation;
        let (serial_number, progress) = (&certificate.serial_number, progress.clone());
        let (reason, cause) = (progress.reason, progress.cause);
        let ended =
            CertificateRevocation { next_attempt_time: None, result: Some(result), message, ..progress };
        self.record_progress(serial_number, &ended);
        let (serial_number, time) = (serial_number.clone(), Time(whole_seconds(now)));
        let last = LastRevocation { serial_number, reason, cause, result, time };
        self.status.revocation.get_or_insert_default().last = Some(last);
    }

    fn record_progress(&mut self, serial_number: &str, progress: &CertificateRevocation) {
        let held = self.status.revocation.iter_mut().flat_map(|ledger| &mut ledger.certificates);
        for held in held.filter(|held| held.serial_number == serial_number) {
            held.revocation = Some(progress.clone());
        }
    }

    fn report_revocation(
        &mut self,
        seen: &Snapshot<'_>,
        is: bool,
        reason: &str,
        message: &str,
        now: Timestamp,
    ) {
        let (type_, generation) = (CONDITION_REVOCATION, seen.generation);
        set_condition(&mut self.status.conditions, type_, is, reason, message, generation, now);
    }
}

/// How a revocation continues after a failure; `None` if it is given up.
fn after_refusal(
    revocation: &Revocation,
    refusal: &Refusal,
    seen: &Snapshot<'_>,
    now: Timestamp,
) -> Option<CertificateRevocation> {
    let Revocation { certificate, progress } = revocation;
    let (asked, since) = (&seen.revocation, progress.since.0);
    let given_up = asked
        .end_of_deletion()
        .unwrap_or_else(|| since.saturating_add(GIVEN_UP_AFTER).unwrap_or(since))
        .min(certificate.not_after.0);
    if refusal.is_final || now >= given_up {
        return None;
    }
    let attempts = progress.failed_attempts.unwrap_or_default().saturating_add(1);
    let again = match asked.deleted {
        Some(deleted) => look_again(deleted.since, now, refusal.retry_after, DELETION_BOUNDS),
        None => {
            let failures = u32::try_from(attempts).unwrap_or(1);
            seen.backoff.next_attempt(failures, refusal.retry_after, now, &certificate.serial_number)
        }
    };
    Some(CertificateRevocation {
        failed_attempts: Some(attempts),
        next_attempt_time: Some(Time(whole_seconds_up(again).min(whole_seconds_up(given_up)))),
        message: Some(refusal.words.clone()),
        ..progress.clone()
    })
}
