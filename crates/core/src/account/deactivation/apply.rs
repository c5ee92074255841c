//! What follows from the attempts to deactivate an account.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Asked, BACKOFF_OF_DELETION, LastStep, asked, next_attempt_asked_for};
use crate::account::failure::reason_of;
use crate::account::outcome::{Consequence, Report, Undone};
use crate::account::state::Pending;
use crate::account::{Recorded, Snapshot, State};
use crate::conditions::{condition, sentence};
use crate::disposition::{self, Disposition, about, disposition, words};
use crate::events::Event;
use crate::remedy::with_remedy;
use crate::renewal::whole_seconds;
use certwright_acme::{AcmeError, Place, Problem};
use certwright_api::{
    AcmeAccountStatus, CONDITION_ACCOUNT_DEACTIVATED, DeactivationStatus, issuer_reason as reason,
};

/// The action of the events.
const ACTION: &str = "Deactivate";

/// A failed attempt, as the status reports it.
struct Described {
    reason: &'static str,
    message: String,
    /// Whether only a user can fix the cause.
    slow: bool,
    retry_after: Option<Duration>,
}

impl State {
    /// Records in the status the progress of the deactivation that the annotation requests.
    pub(in crate::account) fn note_deactivation(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) {
        match asked(&snapshot.with(self)) {
            Asked::Nothing => {
                let conditions = &mut self.status.conditions;
                conditions.retain(|condition| condition.type_ != CONDITION_ACCOUNT_DEACTIVATED);
                if snapshot.deleted.is_none() {
                    self.status.deactivation = None;
                }
            }
            Asked::Pending => {}
            Asked::Done(message) => {
                // Earlier failures no longer count. They may still be recorded, if the process was killed before it could
                // remove them.
                self.status.deactivation = None;
                self.set_condition(
                    CONDITION_ACCOUNT_DEACTIVATED,
                    true,
                    reason::DEACTIVATED,
                    &message,
                    snapshot,
                    now,
                );
            }
            Asked::Unknown(message) => {
                self.status.deactivation = None;
                self.set_condition(
                    CONDITION_ACCOUNT_DEACTIVATED,
                    false,
                    reason::UNKNOWN_ACCOUNT,
                    &message,
                    snapshot,
                    now,
                );
            }
        }
    }

    /// When the deactivation that the annotation requests is retried, if it has failed.
    pub(in crate::account) fn next_deactivation(&self, snapshot: &Snapshot<'_>) -> Option<Timestamp> {
        next_attempt_asked_for(&snapshot.with(self))
    }

    /// An event to publish with the status, if the condition has a new message about a deactivation that has not succeeded.
    pub(in crate::account) fn news_of_deactivation(&self) -> Option<Event> {
        let now = condition(&self.status.conditions, CONDITION_ACCOUNT_DEACTIVATED)?;
        let before = condition(&self.recorded.conditions, CONDITION_ACCOUNT_DEACTIVATED);
        let is_news = now.status == "False" && before.is_none_or(|before| before.message != now.message);
        is_news.then(|| Event::warning(now.reason.clone(), ACTION, now.message.clone()))
    }

    /// What to report before `step` about the account of an issuer that is being deleted.
    pub fn last_words(&self, step: &LastStep, snapshot: &Snapshot<'_>) -> Vec<Report> {
        let account = self.status.acme.as_ref().map_or("of its key", |acme| acme.uri.as_str());
        match step {
            LastStep::Retain(other) => {
                let note = format!("The account {account} is kept, because {other} uses it");
                let event = Event::normal(reason::ACCOUNT_RETAINED, ACTION, note.clone());
                vec![Report::Retained(note), Report::Event(event)]
            }
            LastStep::GiveUp => {
                let said = condition(&self.status.conditions, CONDITION_ACCOUNT_DEACTIVATED);
                let note = format!(
                    "The account {account} could not be deactivated and is left behind; its key is in Secret {}. {}",
                    snapshot.key_secret_name.0,
                    said.map_or("", |said| said.message.as_str())
                );
                let event = Event::warning(reason::ACCOUNT_LEFT_BEHIND, ACTION, note.clone());
                vec![Report::LeftBehind(note), Report::Event(event)]
            }
            LastStep::Wait(_) => vec![Report::Write],
            _ => Vec::new(),
        }
    }

    /// What follows from an attempt to deactivate an account.
    pub(in crate::account) fn deactivated(
        &mut self,
        url: Option<String>,
        answer: Result<Option<String>, Undone>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        match answer {
            Ok(Some(url)) => {
                self.status.deactivation = None;
                self.pending = Some(Pending::Ended { url, by_us: true });
                Consequence::DECIDE
            }
            // The key has no account: the process crashed before registering one.
            Ok(None) => {
                self.status.deactivation = None;
                self.status.acme = None;
                self.has_no_account = true;
                Consequence::DECIDE
            }
            Err(undone) => self.not_deactivated(url.unwrap_or_default(), undone, snapshot, now),
        }
    }

    fn not_deactivated(
        &mut self,
        url: String,
        undone: Undone,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let Described { reason, message, slow, retry_after } = describe(undone, &url, snapshot);
        let before = self.status.deactivation.as_ref().filter(|failed| failed.account == url);
        let attempts = before.map_or(0, |failed| failed.failed_attempts).saturating_add(1);
        let backoff = match (snapshot.deleted, slow) {
            (Some(_), _) => BACKOFF_OF_DELETION,
            (None, true) => snapshot.backoff.slow(),
            (None, false) => snapshot.backoff,
        };
        let failures = u32::try_from(attempts).unwrap_or(1);
        let until = backoff.next_attempt(failures, retry_after, now, snapshot.uid);
        self.status.deactivation = Some(DeactivationStatus {
            account: url.clone(),
            failed_attempts: attempts,
            last_failure_time: Some(Time(whole_seconds(now))),
            next_attempt_time: Some(Time(until)),
        });
        self.set_condition(CONDITION_ACCOUNT_DEACTIVATED, false, reason, &message, snapshot, now);
        Consequence::decide(vec![Report::NotDeactivated { url, attempts, until, message }])
    }

    /// The deactivation is recorded in the Secret, and is now recorded in the status.
    pub(in crate::account) fn end_recorded(&mut self, url: &str, by_us: bool, now: Timestamp) -> Consequence {
        if let Some(acme) = self.status.acme.as_mut().filter(|acme| acme.uri == url) {
            acme.deactivation_time = Some(Time(whole_seconds(now)));
        }
        if !by_us {
            return Consequence::DECIDE;
        }
        let note = format!("The CA has deactivated the account {url}");
        let event = Event::normal(reason::DEACTIVATED, ACTION, note);
        Consequence::decide(vec![
            Report::Deactivated(url.to_owned()),
            Report::Event(event),
            Report::WakeSharing,
        ])
    }

    /// Records in the status the deactivation that is recorded in the Secret.
    pub(in crate::account) fn note_end(&mut self, recorded: &Recorded, snapshot: &Snapshot<'_>) {
        let ended = recorded.deactivated.map(|time| Time(whole_seconds(time)));
        let thumbprint = snapshot.thumbprint().unwrap_or_default();
        match &mut self.status.acme {
            Some(acme) if acme.uri == recorded.url && acme.key_thumbprint == thumbprint => {
                acme.deactivation_time = ended
            }
            acme => {
                *acme = Some(AcmeAccountStatus {
                    uri: recorded.url.clone(),
                    server: recorded.server.clone(),
                    key_thumbprint: thumbprint.to_owned(),
                    key_algorithm: snapshot.key_algorithm(),
                    bound_key_id: recorded.key_id.clone(),
                    deactivation_time: ended,
                    previous_accounts: self.history.clone(),
                    ..AcmeAccountStatus::default()
                });
            }
        }
    }
}

fn describe(undone: Undone, url: &str, snapshot: &Snapshot<'_>) -> Described {
    let error = match undone {
        Undone::Refused(error) => error,
        Undone::Timeout => {
            return Described {
                reason: reason::CA_UNAVAILABLE,
                message: "Deactivating the account failed: the CA did not answer in time".to_owned(),
                slow: false,
                retry_after: None,
            };
        }
        Undone::NoKey(entry) => {
            return Described {
                reason: reason::SECRET_KEY_NOT_FOUND,
                message: format!(
                    "The account {url} cannot be deactivated: its private key is not under {entry} in Secret {}; restore it",
                    snapshot.key_secret_name.0
                ),
                slow: false,
                retry_after: None,
            };
        }
    };
    let code = error.code();
    let code_of_ca = error.problem().map(Problem::code).unwrap_or_default();
    let (disposition, reason) = match &error {
        AcmeError::Problem { operation, status, .. } | AcmeError::Http { operation, status, .. } => {
            (disposition(code, Some(*status), about(*operation)), disposition::reason(code))
        }
        AcmeError::Paused { .. } => (Disposition::TooFast, None),
        _ => (Disposition::Stumbled, None),
    };
    Described {
        reason: reason.unwrap_or(reason_of(disposition)),
        message: with_remedy(&sentence(&words(&error)), code_of_ca, Place::Account, None),
        slow: !matches!(disposition, Disposition::Stumbled | Disposition::TooFast),
        retry_after: error.retry_after(),
    }
}

#[cfg(test)]
mod tests;
