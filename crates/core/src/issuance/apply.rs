//! What follows from the outcome of a step.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::outcome::{Consequence, Download, Outcome, Report};
use super::{
    Challenged, Ending, Failure, Learned, Proof, SelfCheckResult, Snapshot, State, altered, misplaced,
    value_count,
};
use crate::conditions::sentence;
use crate::disposition::{Disposition, may_be_about_replaces};
use crate::events::Event;
use crate::records;
use crate::renewal::whole_seconds;
use certwright_acme::{
    AcmeError, AcmeResponse, Authorization, AuthorizationStatus, Challenge, ChallengeStatus, NewOrder, Order,
    OrderStatus,
};
use certwright_api::{DnsRecordStatus, certificate_reason as reason};

impl State {
    /// Applies the outcome of a step that ended at `now`; returns what to report, and what comes next.
    pub fn apply(&mut self, seen: &Snapshot<'_>, outcome: Outcome, now: Timestamp) -> Consequence {
        match outcome {
            Outcome::Rested { until } => self.rest(seen, until, now),
            Outcome::Waited { until, reason, message, makes_room } => {
                let mut consequence = self.wait(seen, until, reason, &message, now);
                // Without an order, it does not occupy an order slot.
                if makes_room || self.status.order.is_none() {
                    consequence.reports.push(self.leave_slot());
                }
                match self.note_wait(seen, reason, now) {
                    // The wait may end earlier.
                    true => Consequence::decide(consequence.reports),
                    false => consequence,
                }
            }
            Outcome::BackedOff { until } => {
                self.report_backoff(seen, now);
                Consequence::wait(Some(until), vec![self.leave_slot(), Report::Write])
            }
            Outcome::Recorded | Outcome::Refreshed | Outcome::Released => Consequence::DECIDE,
            Outcome::AskedTime(answer) => self.answered(seen, answer, now, |_, ()| Consequence::DECIDE),
            Outcome::AskedAccount(answer) => self.learned_of_account(seen, answer, now),
            Outcome::CheckedCaa(question, answer) => self
                .answered(seen, answer, now, |state, answer| state.checked_caa(seen, question, &answer, now)),
            Outcome::Slot { taken: true, .. } => self.slot_taken(),
            Outcome::Slot { per_account, waiting, .. } => self.queued(seen, per_account, waiting, now),
            Outcome::KeyStored(name) => {
                self.status.next_private_key_secret_name = Some(name);
                Consequence::DECIDE
            }
            Outcome::OrderPlaced {
                asked: NewOrder { replaces: Some(_), .. }, answer: Err(error), ..
            } if may_be_about_replaces(&error) => {
                self.progress.without_replaces = true;
                Consequence::decide(vec![Report::ReplacesRejected(error.to_string())])
            }
            Outcome::OrderPlaced { asked, account, answer } => {
                self.answered(seen, answer, now, |state, answer| {
                    state.placed(seen, &asked, account, answer, now)
                })
            }
            Outcome::OrderRead(answer) => self.answered(seen, answer, now, |state, answer| {
                let before = state.learned().order.as_ref();
                if let Some(failure) = before.and_then(|before| altered(before, &answer.value)) {
                    return state.end(seen, Ending::Failed(failure), now);
                }
                state.saw_order(answer, now);
                Consequence::DECIDE
            }),
            // They were read only to show how long they last.
            Outcome::AuthorizationsRead(Err(_)) if self.is_proved() => {
                self.learn().saw_authorizations(Vec::new(), now);
                Consequence::DECIDE
            }
            Outcome::AuthorizationsRead(answer) => self.answered(seen, answer, now, |state, found| {
                state.note_expiry(&found);
                state.learn().saw_authorizations(found, now);
                Consequence::DECIDE
            }),
            Outcome::Presented { challenged, failures } => {
                self.learn().proof.saw_presented(challenged, failures, now);
                Consequence::DECIDE
            }
            Outcome::KeyChanged => {
                self.learn().proof = Proof::Absent;
                Consequence::DECIDE
            }
            Outcome::SelfChecked { failures, counts, persist_until } => {
                let proof = &mut self.learn().proof;
                let before = proof.self_check().map_or(&[][..], |result| &result.counts);
                let events = value_count::warnings(&counts, before);
                proof.saw_self_check(SelfCheckResult { at: now, failures, counts, persist_until });
                self.status.persist_until = persist_until.map(|time| Time(whole_seconds(time)));
                Consequence::decide(events.into_iter().map(Report::Event).collect())
            }
            Outcome::Answered(answers) => self.told(seen, answers, now),
            Outcome::Unsignable(words) => self.end(seen, Ending::Failed(unsignable(&words)), now),
            Outcome::Finalized(answer) => self.answered(seen, answer, now, |state, answer| {
                state.learn().finalized = Some(now);
                state.note_progress(seen);
                state.saw_order(answer, now);
                Consequence::decide(vec![state.leave_slot()])
            }),
            Outcome::Downloaded(answer) => {
                self.answered(seen, answer, now, |state, download| state.downloaded(seen, download, now))
            }
            Outcome::Stored => {
                self.status.observed_renew_request = seen.renew_request.map(str::to_owned);
                Consequence::decide(self.issued(seen, now))
            }
            Outcome::Restored => Consequence::decide(vec![Report::Event(restored(seen)), Report::Restored]),
            Outcome::RenewalInfoRead(answer) => self.learned_renewal_info(seen, answer, now),
            Outcome::Ended(ending) => self.end(seen, ending, now),
            Outcome::Removed => self.removed(seen, now),
            Outcome::Withdrawn => {
                self.withdrawn();
                Consequence::DECIDE
            }
            Outcome::RecordsRemoved(answers) => {
                let ledger = &mut self.status.dns_records;
                let left = records::after_removals(ledger, &answers, seen.revocation.deleted, now);
                let reports = left.into_iter().flat_map(|(record, words)| {
                    let event = left_behind(&record, &words);
                    [Report::LeftBehind(Box::new(record), words), Report::Event(event)]
                });
                Consequence::decide(reports.collect())
            }
            Outcome::LedgerKept(ledger, remark) => self.keep_ledger(seen, *ledger, remark, now),
            Outcome::RevocationAsked(revocation, attempt) => {
                self.asked_to_revoke(seen, &revocation, attempt, now)
            }
            Outcome::RevocationGivenUp(which, words) => self.give_up_revocation(seen, &which, words, now),
            Outcome::RevokedRecorded(finding) => self.record_revoked(seen, &finding, now),
            Outcome::RevocationListRead => self.saw_revocation_list(seen),
            Outcome::ServedRecorded(finding) => self.record_served(seen, finding.map(|found| *found), now),
            Outcome::IssuerChosen(issuer) => self.use_issuer(seen, issuer, now),
        }
    }

    /// Continues with the CA's answer, or with its error.
    fn answered<T>(
        &mut self,
        seen: &Snapshot<'_>,
        answer: Result<T, AcmeError>,
        now: Timestamp,
        go_on: impl FnOnce(&mut Self, T) -> Consequence,
    ) -> Consequence {
        match answer {
            Ok(answer) => go_on(self, answer),
            Err(error) => self.refused(seen, error, now),
        }
    }

    /// Whether the CA needs no more proof for the order.
    fn is_proved(&self) -> bool {
        self.learned().order.as_ref().is_some_and(|order| order.status == OrderStatus::Ready)
    }

    /// Records when the first of the valid authorizations expires.
    fn note_expiry(&mut self, found: &[(String, Authorization)]) {
        let valid = found.iter().filter(|(_, one)| one.status == AuthorizationStatus::Valid);
        let first = valid.filter_map(|(_, one)| one.expires).min();
        if let Some(first) = first {
            self.status.authorization_expires = Some(Time(whole_seconds(first)));
        }
    }

    fn leave_slot(&mut self) -> Report {
        self.progress.slot = false;
        Report::LeaveSlot
    }

    fn placed(
        &mut self,
        seen: &Snapshot<'_>,
        asked: &NewOrder,
        account: String,
        answer: AcmeResponse<Order>,
        now: Timestamp,
    ) -> Consequence {
        if let Some(failure) = misplaced(&answer.value, &asked.identifiers, asked.profile.as_deref()) {
            return self.end(seen, Ending::Failed(failure), now);
        }
        let url = answer.location.clone().unwrap_or_default();
        self.status.order = Some(certwright_api::OrderStatus {
            url: url.clone(),
            state: answer.value.status.to_string(),
            expires: answer.value.expires.map(|time| Time(whole_seconds(time))),
            created: Time(whole_seconds(now)),
            account,
            seal: None,
        });
        self.status.authorization_expires = None;
        self.report_wait(seen, reason::ORDERING, "The order is placed", now);
        self.note_progress(seen);
        self.saw_order(answer, now);
        Consequence::decide(vec![Report::Placed(url)])
    }

    fn saw_order(&mut self, answer: AcmeResponse<Order>, now: Timestamp) {
        if let Some(order) = &mut self.status.order {
            order.state = answer.value.status.to_string();
        }
        self.learn().saw_order(answer.value, answer.retry_after, now);
    }

    /// The challenges and their records are about to be presented, and are recorded first. Records that are no longer needed
    /// are marked for removal.
    pub fn begin_presentation(
        &mut self,
        seen: &Snapshot<'_>,
        challenged: &[Challenged],
        needed: Vec<DnsRecordStatus>,
        now: Timestamp,
    ) {
        records::replace(&mut self.status.dns_records, needed, now);
        let before = std::mem::take(&mut self.status.challenges);
        self.status.challenges = challenged.iter().map(|one| one.recorded(&before)).collect();
        // On a retry, the last message stays until there is a new one.
        if matches!(self.learned().proof, Proof::Absent | Proof::Withdrawing) {
            self.report_wait(seen, reason::ORDERING, "The challenges are being presented", now);
        }
    }

    /// The CA was told to validate challenges: all of them, even if one call failed.
    fn told(
        &mut self,
        seen: &Snapshot<'_>,
        answers: Vec<(String, Result<AcmeResponse<Challenge>, AcmeError>)>,
        now: Timestamp,
    ) -> Consequence {
        let (mut taken, mut refusal) = (Vec::new(), None);
        for (url, answer) in answers {
            match answer {
                Ok(answer) => {
                    self.learn().saw_told(&url, now);
                    taken.push(answer);
                }
                Err(error) => refusal = Some(error),
            }
        }
        if let Some(error) = refusal {
            return self.refused(seen, error, now);
        }
        self.note_progress(seen);
        let learned = self.learn();
        taken.iter().for_each(|answer| saw_challenge(learned, &answer.value));
        learned.poll.retry_after = taken.iter().filter_map(|answer| answer.retry_after).max();
        // If the CA validated immediately, the order is read at once.
        if taken.iter().all(|answer| answer.value.status == ChallengeStatus::Valid) {
            learned.poll.at = None;
        }
        Consequence::DECIDE
    }

    fn downloaded(&mut self, seen: &Snapshot<'_>, download: Download, now: Timestamp) -> Consequence {
        match download.chain {
            Ok(chain) => {
                self.learn().chain = Some(chain);
                let not_offered = download.not_offered.map(|(name, offered)| not_offered(&name, &offered));
                Consequence::decide(not_offered.map(Report::Event).into_iter().collect())
            }
            Err(error) => {
                let message = format!(
                    "The CA sent a certificate that does not match the request, so the Secret was not changed: {error}"
                );
                let failure = Failure {
                    reason: reason::CERTIFICATE_REFUSED,
                    message,
                    disposition: Disposition::OrderLost,
                    retry_after: None,
                };
                self.end(seen, Ending::Failed(failure), now)
            }
        }
    }

    /// The TLS Secret is about to be written, and the answer may be lost: records beforehand why that was due.
    pub fn begin_storing(&mut self, seen: &Snapshot<'_>, now: Timestamp) {
        let why = seen.with(self).due(now).map_or(reason::SECRET_MISSING, |due| due.reason);
        self.learn().stored_for = Some(why);
    }

    /// Reports that the certificate is in the Secret, unless that was reported.
    pub(super) fn issued(&mut self, seen: &Snapshot<'_>, now: Timestamp) -> Vec<Report> {
        let learned = self.learned();
        let stored = learned.stored_for.zip(learned.chain.clone());
        let Some((why, chain)) = stored.filter(|(_, chain)| seen.secret.leaf() == Some(chain.leaf())) else {
            return Vec::new();
        };
        self.learn().stored_for = None;
        let leaf = chain.leaf();
        let begun = self.status.order.as_ref().map_or(now, |order| order.created.0);
        let took = Duration::try_from(now.duration_since(begun)).unwrap_or_default();
        let wanted = seen.wanted.as_ref().ok();
        let not_asked = wanted.is_some_and(|wanted| wanted.duration.is_some()) && seen.lifetime().is_none();
        let duration = match not_asked {
            true => format!(
                ". The duration was not requested, because {} does not set enableDurationFeature",
                seen.issuer_in_words()
            ),
            false => String::new(),
        };
        let instead = self.in_use_instead(seen);
        let note = format!(
            "Issued by {}: serial number {}, valid until {}{duration}{instead}",
            leaf.issuer_name, leaf.serial_number, leaf.not_after
        );
        let mut reports = vec![
            Report::Issued {
                why,
                took,
                serial_number: leaf.serial_number.clone(),
                not_after: leaf.not_after,
                by_fallback: !instead.is_empty(),
            },
            Report::Event(Event::normal(reason::ISSUED, "Issue", note)),
        ];
        reports.extend(record_ends(self.status.persist_until.as_ref(), leaf.not_after).map(Report::Event));
        reports
    }
}

/// The warning about a record for dns-persist-01 that may have ended when the certificate is renewed.
fn record_ends(until: Option<&Time>, not_after: Timestamp) -> Option<Event> {
    let until = until.filter(|until| until.0 < not_after)?;
    let note = format!(
        "A TXT record that proves control of the names ends at {}, before the certificate expires at {not_after}: set its \
         persistUntil to a later time, or the renewal waits",
        until.0
    );
    Some(Event::warning(reason::RECORD_ENDS, "Issue", note))
}

/// Records a challenge as the CA returned it.
fn saw_challenge(learned: &mut Learned, seen: &Challenge) {
    let authorizations =
        learned.authorizations.iter_mut().flat_map(|authorizations| &mut authorizations.found);
    let challenges = authorizations.flat_map(|(_, authorization)| &mut authorization.challenges);
    challenges.filter(|known| known.url == seen.url).for_each(|known| {
        (known.status, known.error) = (seen.status.clone(), seen.error.clone());
    });
}

fn not_offered(name: &str, offered: &BTreeSet<String>) -> Event {
    let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
    let note = format!(
        "The CA offers no chain with the issuer {name}, which preferredChain names, so its default chain is used. Issuers \
         in the chains that it offers: {}",
        offered.join("; ")
    );
    Event::warning(reason::PREFERRED_CHAIN_NOT_OFFERED, "Download", note)
}

fn restored(seen: &Snapshot<'_>) -> Event {
    let name = seen.wanted.as_ref().map(|wanted| wanted.secret_name.as_str()).unwrap_or_default();
    let note = format!(
        "Secret {name} was lost again, so its last certificate was restored; too many certificates for the same names \
         were issued within a week to order another one. Find out what deletes or overwrites the Secret"
    );
    Event::warning(reason::SECRET_RESTORED, "Restore", note)
}

/// The event about a record that could not be removed.
pub(crate) fn left_behind(record: &DnsRecordStatus, words: &str) -> Event {
    let note = format!(
        "The TXT record {} with the value {} could not be removed; remove it manually: {words}",
        record.fqdn, record.value
    );
    Event::warning(reason::RECORD_LEFT_BEHIND, "CleanUp", note)
}

fn unsignable(words: &str) -> Failure {
    Failure {
        reason: reason::INVALID_SPEC,
        message: sentence(words),
        disposition: Disposition::NotAllowed,
        retry_after: None,
    }
}
