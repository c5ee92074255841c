//! The end of an issuance, however it ends: its leftovers are removed, and then it is forgotten.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::outcome::{Consequence, Report};
use super::{Ending, Failure, KeySecret, Leftovers, Proof, Snapshot, State};
use crate::disposition::Disposition;
use crate::duplicates;
use crate::events::Event;
use crate::issuance::Progress;
use crate::records::{self, Removal};
use crate::renewal::whole_seconds;
use certwright_acme::{AuthorizationStatus, OrderStatus};
use certwright_api::IssuanceRecord;

/// The pending authorizations.
fn pending_authorizations(state: &State) -> Vec<String> {
    let learned = state.learned();
    // They were read before they were validated.
    let is_proved = learned.order.as_ref().is_some_and(|order| {
        matches!(order.status, OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid)
    });
    let all =
        learned.authorizations.iter().flat_map(|authorizations| &authorizations.found).filter(|_| !is_proved);
    let pending = all.filter(|(_, authorization)| authorization.status == AuthorizationStatus::Pending);
    pending.map(|(url, _)| url.clone()).collect()
}

impl State {
    /// The issuance ends. After a failure that does not end the order, nothing is removed.
    pub(super) fn end(&mut self, seen: &Snapshot<'_>, ending: Ending, now: Timestamp) -> Consequence {
        let mut reports = Vec::new();
        match &ending {
            Ending::Failed(failure) if self.keeps_order(seen, failure) => {
                self.progress.start_over();
                return self.fail(seen, failure.clone(), now);
            }
            Ending::Failed(_) | Ending::Rehearsed(_) => {}
            Ending::Abandoned(message) => reports.push(Report::Abandoned(message.clone())),
            Ending::Done => {
                self.count(seen, now);
                // If the answer to the write of the Secret was lost, this is not reported yet.
                reports.extend(self.issued(seen, now));
                self.note_issuer(seen);
            }
        }
        self.begin_withdrawal(seen, now);
        self.progress.ending = Some(ending);
        Consequence::decide(reports)
    }

    /// What to remove, once the issuance has ended.
    pub fn leftovers(&self, seen: &Snapshot<'_>, now: Timestamp) -> Option<Leftovers> {
        let ending = self.progress.ending.as_ref()?;
        let is_counted = self.status.order.is_some() && seen.with(self).next_duplicate(now).is_some();
        let key_secret = match ending {
            Ending::Failed(_) | Ending::Rehearsed(_) => KeySecret::Keep,
            Ending::Done if is_counted => KeySecret::BackUp,
            Ending::Done | Ending::Abandoned(_) if self.has_key_secret(seen) => KeySecret::Delete,
            Ending::Done | Ending::Abandoned(_) => KeySecret::Keep,
        };
        let authorizations = match ending {
            Ending::Done => Vec::new(),
            Ending::Failed(_) | Ending::Abandoned(_) => pending_authorizations(self),
            Ending::Rehearsed(_) => self.rehearsed_authorizations(),
        };
        Some(Leftovers { authorizations, key_secret })
    }

    /// Whether there may be a Secret with the key of the issuance, or with the backup.
    fn has_key_secret(&self, seen: &Snapshot<'_>) -> bool {
        let is_recorded = self.status.next_private_key_secret_name.is_some();
        seen.next_key.is_some() || seen.backup.is_some() || is_recorded
    }

    fn keeps_order(&self, seen: &Snapshot<'_>, failure: &Failure) -> bool {
        let learned = self.learned();
        let mut authorizations =
            learned.authorizations.iter().flat_map(|authorizations| &authorizations.found);
        // An authorization may be invalid before the order is read again, which then is invalid as well.
        let is_invalid = authorizations.any(|(_, authorization)| authorization.is_dead())
            || learned.order.as_ref().is_some_and(|order| order.status == OrderStatus::Invalid);
        // After such a failure, a rehearsal does not go on.
        let goes_on = matches!(failure.disposition, Disposition::Stumbled | Disposition::TooFast);
        goes_on && !is_invalid && !seen.rehearses()
    }

    /// What is presented is about to be removed. What may still exist stays recorded, but no longer counts as presented. Returns
    /// the records to remove.
    pub fn begin_withdrawal(&mut self, seen: &Snapshot<'_>, now: Timestamp) -> Vec<Removal> {
        records::retire(&mut self.status.dns_records, |_| true, now);
        self.learn().proof = Proof::Withdrawing;
        records::withdrawals(&self.status.dns_records, seen.revocation.deleted, now)
    }

    /// What was presented is removed, or will be: the ledger has the rest.
    pub(super) fn withdrawn(&mut self) {
        self.status.challenges.clear();
        self.learn().proof = Proof::Absent;
    }

    /// All leftovers of the issuance are removed.
    pub(super) fn removed(&mut self, seen: &Snapshot<'_>, now: Timestamp) -> Consequence {
        let ending = self.progress.ending.take();
        self.status.challenges.clear();
        self.status.order = None;
        self.progress = Progress::default();
        match ending {
            // The CA said of the order what is true of the account.
            Some(Ending::Failed(Failure { reason, message, disposition, .. }))
                if disposition.is_of_account() =>
            {
                self.blame_account(seen, disposition, Some(reason), message, now)
            }
            Some(Ending::Failed(failure)) => self.fail(seen, failure, now),
            Some(Ending::Rehearsed(rehearsal)) => self.end_rehearsal(seen, &rehearsal),
            _ => {
                self.status.next_private_key_secret_name = None;
                Consequence::decide(vec![Report::LeaveSlot])
            }
        }
    }

    /// Records a failure, and when the next attempt is made.
    fn fail(&mut self, seen: &Snapshot<'_>, failure: Failure, now: Timestamp) -> Consequence {
        self.progress.slot = false;
        self.report_failure(seen, &failure, now);
        let rehearsal = self.note_failure(seen, &failure, now);
        let Failure { reason, message, disposition, retry_after } = failure;
        let attempts = self.status.failed_issuance_attempts.unwrap_or_default().saturating_add(1);
        // The CA for tests does not determine when the first issuer is asked.
        let leaves_rehearsal = seen.rehearses() && disposition != Disposition::ValidationFailed;
        let retry_after = retry_after.filter(|_| !leaves_rehearsal);
        let backoff = match disposition {
            _ if leaves_rehearsal => seen.backoff,
            Disposition::NotAllowed => seen.backoff.slow(),
            Disposition::ForbiddenInDns => seen.backoff.often(),
            _ => seen.backoff,
        };
        let until = backoff.next_attempt(u32::try_from(attempts).unwrap_or(1), retry_after, now, seen.uid);
        self.status.failed_issuance_attempts = Some(attempts);
        self.status.last_failure_time = Some(Time(whole_seconds(now)));
        self.status.next_attempt_time = Some(Time(until));
        self.status.failed_renew_request = seen.renew_request.map(str::to_owned);
        let mut reports = vec![
            Report::LeaveSlot,
            Report::Failed { reason, attempts, until },
            Report::Event(Event::warning(reason, "Issue", message)),
        ];
        reports.extend(rehearsal.map(Report::Event));
        reports.push(Report::Write);
        Consequence::decide(reports)
    }

    /// Counts the certificate in the Secret, if this issuance has put it there. This happens here, not when it is stored, so
    /// that a crash in between does not lose it.
    fn count(&mut self, seen: &Snapshot<'_>, now: Timestamp) {
        let (Ok(wanted), Some(leaf), Some(order)) = (seen.wanted, seen.secret.leaf(), &self.status.order)
        else {
            return;
        };
        if self.status.serial_number.as_ref() == Some(&leaf.serial_number) {
            return;
        }
        let issued = IssuanceRecord {
            time: order.created.clone(),
            not_after: Time(leaf.not_after),
            names_digest: duplicates::names_digest(&wanted.names()),
            account: order.account.clone(),
        };
        duplicates::record(&mut self.status.recent_issuances, issued, now);
        self.status.revision = Some(self.status.revision.unwrap_or_default() + 1);
        // The next steps may fail, and this may run again.
        self.status.serial_number = Some(leaf.serial_number.clone());
        self.forget_served(seen, now);
    }
}
