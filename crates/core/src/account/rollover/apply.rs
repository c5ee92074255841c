//! What follows from the steps of an account key rollover.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Known, due, failures, has_stale_failure};
use crate::account::outcome::{Consequence, Outcome, Report};
use crate::account::{Recorded, Snapshot, State};
use crate::conditions::condition;
use crate::consequence::Next;
use crate::disposition::words;
use crate::events::Event;
use crate::renewal::whole_seconds;
use certwright_acme::{AcmeError, Operation};
use certwright_api::{AcmeAccountStatus, CONDITION_KEY_ROLLOVER, FailedKeyRollover, issuer_reason as reason};

/// The end of every failure message.
const GOES_ON: &str = "The account keeps its current key";

/// The action of the events.
const ACTION: &str = "RollOver";

impl State {
    pub(in crate::account) fn apply_rollover(
        &mut self,
        snapshot: &Snapshot<'_>,
        outcome: Outcome,
        now: Timestamp,
    ) -> Consequence {
        match outcome {
            Outcome::NextKeyStored => {
                // The CA does not know the next key yet.
                self.known = Some(Known::Current);
                Consequence::DECIDE
            }
            Outcome::KeyChangeNotOffered => {
                let message = format!(
                    "The account key was not changed: the CA at {} does not support key changes: its directory has no keyChange. \
                     {GOES_ON}",
                    snapshot.spec.server
                );
                self.not_changed(reason::KEY_CHANGE_NOT_OFFERED, message, None, snapshot, now)
            }
            Outcome::WaitedForValidations { until } => self.rest_until(until, snapshot, now),
            // No request was sent, so nothing has failed.
            Outcome::KeyNotChanged(AcmeError::Paused { until }) => self.rest_until(until, snapshot, now),
            Outcome::KeyNotChanged(error) => self.kept(Err(error), snapshot, now),
            Outcome::KeyChangeAsked(answer) => {
                self.change = Some(answer);
                self.known = None;
                Consequence::DECIDE
            }
            Outcome::NextKeyLookedUp(account, answer) => self.next_looked_up(account, answer, snapshot, now),
            Outcome::PresentKeyLookedUp(account, answer) => {
                self.present_looked_up(account, answer, snapshot, now)
            }
            Outcome::KeyPromoted => self.promoted(snapshot, now),
            Outcome::NextKeyDiscarded => self.discarded(snapshot, now),
            Outcome::KeyChangeRefused { reason, message } => {
                self.not_changed(reason, message, None, snapshot, now)
            }
            _ => Consequence::DECIDE,
        }
    }

    fn rest_until(&mut self, until: Timestamp, snapshot: &Snapshot<'_>, now: Timestamp) -> Consequence {
        Consequence { next: Next::Wait(Some(until)), ..self.rest(snapshot, now) }
    }

    fn next_looked_up(
        &mut self,
        account: Recorded,
        answer: Result<Option<String>, AcmeError>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        match answer {
            Ok(Some(url)) if url == account.url => self.learn(account, Known::Next, snapshot, now),
            Ok(Some(_)) => self.learn(account, Known::NextIsTaken, snapshot, now),
            // Not every CA answers `accountDoesNotExist` for an unknown key. Next, the CA is asked about the current key.
            Ok(None) | Err(AcmeError::Problem { status: 400..=404, .. }) => {
                self.next_is_unknown = true;
                Consequence::DECIDE
            }
            Err(error) => self.refused(&error, Operation::LookUpAccount, snapshot, now),
        }
    }

    fn present_looked_up(
        &mut self,
        account: Recorded,
        answer: Result<bool, AcmeError>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        self.next_is_unknown = false;
        match answer {
            Ok(true) => self.learn(account, Known::Current, snapshot, now),
            Ok(false) => {
                let message = format!(
                    "The CA knows neither the current nor the next key of the account {}, which are in Secret {}",
                    account.url, snapshot.key_secret_name.0
                );
                self.account_unusable(None, &message, snapshot, now)
            }
            Err(error) => self.refused(&error, Operation::LookUpAccount, snapshot, now),
        }
    }

    /// Records which key the account has, according to the CA.
    fn learn(
        &mut self,
        account: Recorded,
        known: Known,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let mut reports = vec![Report::KeyKnown { url: account.url.clone(), known }];
        self.asked_about = Some(account);
        self.known = Some(known);
        if known == Known::Next {
            self.awaited = true;
            return Consequence::decide(reports);
        }
        // The account can be used again, even if the status cannot be written.
        self.awaited = false;
        reports.extend([Report::KeySettled, Report::WakeCertificates]);
        match self.change.take_if(|_| known == Known::Current) {
            Some(answer) => self.kept(answer, snapshot, now).after(reports),
            None => Consequence::decide(reports),
        }
    }

    /// The next key is now the account key in the Secret.
    fn promoted(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) -> Consequence {
        self.known = Some(Known::Current);
        self.change = None;
        let thumbprint = snapshot.thumbprint().unwrap_or_default().to_owned();
        let url = self.asked_about.as_ref().map(|account| account.url.clone()).unwrap_or_default();
        if let Some(before) = self.status.acme.clone() {
            self.status.acme = Some(AcmeAccountStatus {
                key_thumbprint: thumbprint.clone(),
                key_algorithm: snapshot.key_algorithm(),
                ..before.clone()
            });
            self.note_key_dates(Some(before), snapshot, now);
        }
        let event = Event::normal(reason::KEY_ROLLED_OVER, ACTION, self.changed_message());
        Consequence::decide(vec![
            Report::KeySettled,
            Report::LiftRefusal,
            Report::KeyChanged { url, thumbprint },
            Report::Write,
            Report::Event(event),
            Report::WakeSharing,
        ])
    }

    /// The next key was removed, because it belongs to another account.
    fn discarded(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) -> Consequence {
        self.known = Some(Known::Current);
        let said = match self.change.take() {
            // This reconcile has not asked the CA to change the key, so no attempt has failed.
            None => return Consequence::DECIDE,
            Some(Ok(())) => "the CA reported success, but".to_owned(),
            Some(Err(error)) => format!("{}:", words(&error)),
        };
        let message = format!(
            "The account key was not changed: {said} the next key belongs to another account. It is discarded, \
             and the next attempt generates another. {GOES_ON}"
        );
        self.not_changed(reason::KEY_CHANGE_REFUSED, message, None, snapshot, now)
    }

    /// What follows from `answer`, the CA's answer to a key change, if the account still has the current key.
    fn kept(
        &mut self,
        answer: Result<(), AcmeError>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let (reason, message, retry_after) = match answer {
            Ok(()) => {
                let kept = "the CA reported success, but kept the old key";
                (reason::KEY_CHANGE_REFUSED, kept.to_owned(), None)
            }
            Err(error) => {
                let reason = match error.status() {
                    Some(404 | 405 | 501) => reason::KEY_CHANGE_NOT_OFFERED,
                    Some(429) => reason::RATE_LIMITED,
                    Some(400..=499) => reason::KEY_CHANGE_REFUSED,
                    _ if matches!(error, AcmeError::NotOffered { .. }) => reason::KEY_CHANGE_NOT_OFFERED,
                    _ => reason::CA_UNAVAILABLE,
                };
                (reason, words(&error), error.retry_after())
            }
        };
        let message = format!("The account key was not changed: {message}. {GOES_ON}");
        self.not_changed(reason, message, retry_after, snapshot, now)
    }

    /// Records a failed rollover. The account remains usable, and the rollover is retried after hours.
    fn not_changed(
        &mut self,
        reason: &'static str,
        message: String,
        retry_after: Option<Duration>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let attempts = failures(&snapshot.with(self)).saturating_add(1);
        let counted = u32::try_from(attempts).unwrap_or(1);
        let until = snapshot.backoff.slow().next_attempt(counted, retry_after, now, snapshot.uid);
        let failed = FailedKeyRollover {
            attempts,
            time: Time(whole_seconds(now)),
            generation: snapshot.generation,
            request: snapshot.keys.request.map(str::to_owned),
        };
        if let Some(acme) = &mut self.status.acme {
            acme.failed_key_rollover = Some(failed);
            acme.next_key_rollover = Some(Time(until));
        }
        let before = condition(&self.status.conditions, CONDITION_KEY_ROLLOVER);
        let is_news = before.is_none_or(|before| before.message != message);
        self.set_condition(CONDITION_KEY_ROLLOVER, false, reason, &message, snapshot, now);
        let event = is_news.then(|| Report::Event(Event::warning(reason, ACTION, message.clone())));
        let told = Report::KeyNotChanged { reason, attempts, until, message };
        Consequence::decide([told, Report::Write].into_iter().chain(event).collect())
    }

    /// Records the dates of the key in the status. If the key was changed since `before`, by any of the issuers that share it,
    /// the request for a rollover is fulfilled.
    pub(in crate::account) fn note_key_dates(
        &mut self,
        before: Option<AcmeAccountStatus>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) {
        let rolled_over = snapshot.keys.last_rollover;
        let request = snapshot.keys.request.map(str::to_owned);
        let Some(acme) = &mut self.status.acme else { return };
        acme.key_created = snapshot.keys.created.map(|created| Time(whole_seconds(created)));
        acme.last_key_rollover = rolled_over.map(Time);
        let Some(before) = before.filter(|before| before.uri == acme.uri) else {
            // A new account has a new key, or one that is seen for the first time.
            acme.observed_rollover_request = request;
            return;
        };
        if rolled_over.is_some() && before.last_key_rollover != acme.last_key_rollover {
            acme.observed_rollover_request = request;
            acme.failed_key_rollover = None;
            self.awaited = true;
            let message = self.changed_message();
            self.set_condition(
                CONDITION_KEY_ROLLOVER,
                true,
                reason::KEY_ROLLED_OVER,
                &message,
                snapshot,
                now,
            );
        } else {
            acme.observed_rollover_request = before.observed_rollover_request;
            acme.failed_key_rollover = before.failed_key_rollover;
            acme.next_key_rollover = before.next_key_rollover;
        }
    }

    /// Records when the next rollover is due, and returns that time.
    pub(in crate::account) fn plan_rollover(
        &mut self,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if has_stale_failure(&snapshot.with(self), now) {
            self.status.acme.iter_mut().for_each(|acme| acme.failed_key_rollover = None);
            let conditions = &mut self.status.conditions;
            conditions.retain(|one| one.type_ != CONDITION_KEY_ROLLOVER || one.status == "True");
        }
        let due = due(&snapshot.with(self)).filter(|due| *due > now);
        if let Some(acme) = &mut self.status.acme {
            acme.key_created = snapshot.keys.created.map(|created| Time(whole_seconds(created)));
            acme.next_key_rollover = due.map(Time);
        }
        due
    }

    fn changed_message(&self) -> String {
        let thumbprint = self.status.acme.as_ref().map_or("", |acme| acme.key_thumbprint.as_str());
        format!("The account key was changed; the thumbprint of the new one is {thumbprint}")
    }
}

#[cfg(test)]
mod tests;
