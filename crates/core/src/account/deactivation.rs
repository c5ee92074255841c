//! The end of an account: asked for by annotation, or with the issuer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::state::{Pending, Snapshot, State};
use super::{KeySecret, Recorded, Situation, Step};
use crate::backoff::Backoff;
use crate::deletion::Deletion;
use certwright_api::{AccountOnDelete, AccountPolicy, PreviousAccount, issuer_reason as reason};

/// For how long the deletion of an issuer waits for the CA, unless its policy says otherwise.
const DEACTIVATION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// How often the CA is asked while the deletion of an issuer waits for it.
const BACKOFF_OF_DELETION: Backoff =
    Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(30) };
/// The least that a CA is given to answer.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// What is known of an account that an annotation names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the issuer's account.
    Current,
    /// The issuer had it before; its key is under this key in the data of the account key Secret.
    Previous {
        /// URL of the directory of its CA.
        server: String,
        /// Where its key is.
        secret_key: String,
    },
    /// It is deactivated.
    Ended,
    /// The issuer has nothing to do with it.
    Unknown,
}

/// What is known of the account `url`.
pub fn standing(state: &State, snapshot: &Snapshot<'_>, url: &str) -> Standing {
    standing_in(&snapshot.with(state), url)
}

fn standing_in(situation: &Situation<'_>, url: &str) -> Standing {
    let previous = situation.history.iter().find(|account| account.uri == url);
    match previous {
        Some(PreviousAccount { deactivation_time: None, secret_key: Some(key), server, .. }) => {
            return Standing::Previous { server: server.clone(), secret_key: key.clone() };
        }
        Some(_) => return Standing::Ended,
        None => {}
    }
    let in_status = situation.status.acme.as_ref().filter(|acme| acme.uri == url);
    let on_secret = situation.on_secret().filter(|recorded| recorded.url == url);
    let ended = in_status.is_some_and(|acme| acme.deactivation_time.is_some())
        || on_secret.is_some_and(|recorded| recorded.deactivated.is_some());
    match (in_status.is_some() || on_secret.is_some(), ended) {
        (true, true) => Standing::Ended,
        (true, false) => Standing::Current,
        (false, _) => Standing::Unknown,
    }
}

/// What the condition says of the deactivation that the annotation asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// Nothing is asked for, or nothing is known yet.
    Nothing,
    /// It is still to be done; the condition says what went wrong so far.
    Pending,
    /// It is done.
    Done(String),
    /// It cannot be done, as this sentence says.
    Unknown(String),
}

/// What has become of the deactivation that the annotation asks for.
fn asked(situation: &Situation<'_>) -> Asked {
    let Some(url) = situation.asked_to_deactivate() else { return Asked::Nothing };
    match standing_in(situation, url) {
        Standing::Current | Standing::Previous { .. } => Asked::Pending,
        Standing::Ended => Asked::Done(format!("The account {url} is deactivated")),
        Standing::Unknown if situation.status.acme.is_none() => Asked::Nothing,
        Standing::Unknown => {
            let acme = situation.status.acme.iter().map(|acme| acme.uri.as_str());
            let known: Vec<_> =
                acme.chain(situation.history.iter().map(|account| account.uri.as_str())).collect();
            Asked::Unknown(format!(
                "certwright.dev/deactivate-account names {url}, which is not an account of this issuer; its accounts are {}",
                known.join(", ")
            ))
        }
    }
}

/// The deactivation that a human asks for, if it is time for it.
pub(super) fn due(situation: &Situation<'_>, now: Timestamp) -> Option<Step> {
    let url = situation.asked_to_deactivate()?;
    matches!(standing_in(situation, url), Standing::Current | Standing::Previous { .. }).then_some(())?;
    (next_attempt(situation, url) <= Some(now)).then(|| Step::Deactivate(url.to_owned()))
}

/// When the deactivation that a human asks for is tried again.
fn next_attempt_asked_for(situation: &Situation<'_>) -> Option<Timestamp> {
    next_attempt(situation, situation.asked_to_deactivate()?)
}

fn next_attempt(situation: &Situation<'_>, url: &str) -> Option<Timestamp> {
    let failed = situation.status.deactivation.as_ref().filter(|failed| failed.account == url)?;
    failed.next_attempt_time.as_ref().map(|time| time.0)
}

/// The account of the key in the Secret is deactivated: nothing is registered in its place, unless a human sees to it.
pub(super) fn ended(situation: &Situation<'_>, url: &str) -> Step {
    let (name, _) = situation.key_secret_name;
    let another = match situation.spec.external_account_binding {
        Some(_) => "set another keyID in externalAccountBinding, or ",
        None => "",
    };
    Step::Wait {
        until: None,
        reason: reason::DEACTIVATED,
        message: format!(
            "The account {url} is deactivated and cannot be used again. No other account is registered automatically; to \
             register one, {another}delete this issuer and Secret {}, and recreate the issuer",
            situation.named(name)
        ),
    }
}

/// Whether the account has to be deactivated before the issuer may go, and there is or will be one.
pub(super) fn needs_hold(situation: &Situation<'_>, next: &Step) -> bool {
    if !deactivates(situation.spec.account_policy.as_ref()) {
        return false;
    }
    match next {
        Step::Register | Step::Adopt(_) => true,
        _ => {
            let acme = situation.status.acme.as_ref();
            let ended = acme.is_some_and(|acme| {
                acme.deactivation_time.is_some()
                    && situation.thumbprint().is_none_or(|of| of == acme.key_thumbprint)
            });
            !ended && (situation.held || acme.is_some())
        }
    }
}

fn deactivates(policy: Option<&AccountPolicy>) -> bool {
    policy.and_then(|policy| policy.on_delete) == Some(AccountOnDelete::Deactivate)
}

/// What to do next for an issuer that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastStep {
    /// Let it go: there is nothing to deactivate, or nothing any more.
    Release,
    /// Let it go: another issuer, which this names, uses its account.
    Retain(String),
    /// Let it go: the CA had time enough.
    GiveUp,
    /// Wait.
    Wait(Timestamp),
    /// Write to the Secret that the account at this URL is deactivated.
    RecordEnd(String),
    /// Deactivate the account at this URL, or the one of the key in the Secret if the URL is not known.
    Deactivate {
        /// URL of the account.
        url: Option<String>,
        /// How long the CA may take.
        patience: Duration,
    },
}

/// Decides what to do next for an issuer that is being deleted. `shared_with` is another one that has the
/// same account.
pub fn last_step(
    state: &State,
    snapshot: &Snapshot<'_>,
    shared_with: Option<&str>,
    deletion: Deletion,
    now: Timestamp,
) -> LastStep {
    if let Some(Pending::Ended { url, .. }) = &state.pending {
        return LastStep::RecordEnd(url.clone());
    }
    if state.has_no_account {
        return LastStep::Release;
    }
    decide_last(&snapshot.with(state), shared_with, deletion, now)
}

fn decide_last(
    situation: &Situation<'_>,
    shared_with: Option<&str>,
    deletion: Deletion,
    now: Timestamp,
) -> LastStep {
    if !deactivates(situation.spec.account_policy.as_ref()) {
        return LastStep::Release;
    }
    let on_secret = situation.on_secret().filter(|recorded| recorded.server == situation.spec.server);
    let in_status = situation.status.acme.as_ref().filter(|acme| acme.server == situation.spec.server);
    let ended = in_status.is_some_and(|acme| acme.deactivation_time.is_some())
        || on_secret.is_some_and(|recorded| recorded.deactivated.is_some());
    let url = in_status.map(|acme| &acme.uri).or(on_secret.map(|recorded| &recorded.url));
    let has_key = matches!(situation.key_secret, KeySecret::Key { .. });
    if ended || (url.is_none() && !has_key) {
        return LastStep::Release;
    }
    if let Some(other) = shared_with {
        return LastStep::Retain(other.to_owned());
    }
    let end = deletion.end(timeout(situation.spec.account_policy.as_ref()));
    // What has failed before the issuer was deleted is tried at once.
    let failed = situation.status.deactivation.as_ref();
    let failed = failed
        .filter(|failed| failed.last_failure_time.as_ref().is_some_and(|time| time.0 >= deletion.since));
    match failed.and_then(|failed| failed.next_attempt_time.as_ref()) {
        Some(_) if now >= end => return LastStep::GiveUp,
        Some(next) if next.0 > now => return LastStep::Wait(next.0.min(end)),
        _ => {}
    }
    let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
    LastStep::Deactivate { url: url.cloned(), patience: left.max(LEAST_PATIENCE) }
}

fn timeout(policy: Option<&AccountPolicy>) -> SignedDuration {
    let set = policy.and_then(|policy| policy.deactivation_timeout);
    set.map_or(DEACTIVATION_TIMEOUT, SignedDuration::from)
}

impl Situation<'_> {
    /// The account that the Secret says its key has.
    pub(super) fn on_secret(&self) -> Option<&Recorded> {
        match self.key_secret {
            KeySecret::Key { account, .. } => account.as_ref(),
            _ => None,
        }
    }

    fn thumbprint(&self) -> Option<&str> {
        match self.key_secret {
            KeySecret::Key { thumbprint, .. } => Some(thumbprint),
            _ => None,
        }
    }

    fn asked_to_deactivate(&self) -> Option<&str> {
        self.deactivate.map(str::trim).filter(|url| !url.is_empty())
    }
}

mod apply;

#[cfg(test)]
mod tests;
