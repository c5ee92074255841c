//! Deactivating an account: on request by annotation, or when its issuer is deleted.

mod apply;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::state::{Pending, State};
use super::{AccountStep, KeySecret, Situation, Snapshot};
use crate::backoff::Backoff;
use crate::deletion::Deletion;
use certwright_acme::ServerConfig;
use certwright_api::{
    AccountOnDelete, AccountPolicy, AcmeIssuer, IssuerKind, PreviousAccount, issuer_reason as reason,
};

/// How long the deletion of an issuer waits for the CA, unless its policy sets another timeout.
const DEACTIVATION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// Bounds of the wait between attempts while the deletion of an issuer waits for the CA.
const BACKOFF_OF_DELETION: Backoff =
    Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(30) };
/// The number of requests of a requested deactivation: for the directory, a nonce, the deactivation, and its confirmation.
const REQUESTS: u32 = 4;
/// The minimum time that the CA has to answer.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// What is known about the account that an annotation names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the issuer's current account.
    Current,
    /// It is a previous account of the issuer, and the account key Secret holds its key.
    Previous {
        /// URL of the directory of its CA.
        server: String,
        /// The key in the Secret's data that holds its private key.
        secret_key: String,
    },
    /// It is deactivated.
    Ended,
    /// It is not an account of the issuer.
    Unknown,
}

/// What is known about the account `url`.
pub fn standing(state: &State, snapshot: &Snapshot<'_>, url: &str) -> Standing {
    standing_in(&snapshot.with(state), url)
}

fn standing_in(situation: &Situation<'_>, url: &str) -> Standing {
    let previous = situation.state.history.iter().find(|account| account.uri == url);
    match previous {
        Some(PreviousAccount { deactivation_time: None, secret_key: Some(key), server, .. }) => {
            return Standing::Previous { server: server.clone(), secret_key: key.clone() };
        }
        Some(_) => return Standing::Ended,
        None => {}
    }
    let in_status = situation.state.status.acme.as_ref().filter(|acme| acme.uri == url);
    let on_secret = situation.on_secret().filter(|recorded| recorded.url == url);
    let ended = in_status.is_some_and(|acme| acme.deactivation_time.is_some())
        || on_secret.is_some_and(|recorded| recorded.deactivated.is_some());
    match (in_status.is_some() || on_secret.is_some(), ended) {
        (true, true) => Standing::Ended,
        (true, false) => Standing::Current,
        (false, _) => Standing::Unknown,
    }
}

/// The progress of the deactivation that the annotation requests, as the condition reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// No deactivation is requested, or the issuer's account is not known yet.
    Nothing,
    /// The account is not deactivated yet. The condition reports the last failure, if any.
    Pending,
    /// The account is deactivated, as this message says.
    Done(String),
    /// The account is not one of this issuer's, as this message says.
    Unknown(String),
}

/// The progress of the deactivation that the annotation requests.
fn asked(situation: &Situation<'_>) -> Asked {
    let Some(url) = situation.asked_to_deactivate() else { return Asked::Nothing };
    match standing_in(situation, url) {
        Standing::Current | Standing::Previous { .. } => Asked::Pending,
        Standing::Ended => Asked::Done(format!("The account {url} is deactivated")),
        Standing::Unknown if situation.state.status.acme.is_none() => Asked::Nothing,
        Standing::Unknown => {
            let acme = situation.state.status.acme.iter().map(|acme| acme.uri.as_str());
            let known: Vec<_> =
                acme.chain(situation.state.history.iter().map(|account| account.uri.as_str())).collect();
            Asked::Unknown(format!(
                "certwright.dev/deactivate-account names {url}, which is not an account of this issuer; its accounts are {}",
                known.join(", ")
            ))
        }
    }
}

/// How long the CA of an issuer may take to answer a request.
pub fn request_timeout(spec: &AcmeIssuer) -> Duration {
    spec.request_timeout.map_or(ServerConfig::TIMEOUT, Into::into)
}

/// The deactivation that the annotation requests, if an attempt is due.
pub(super) fn due(situation: &Situation<'_>, now: Timestamp) -> Option<AccountStep> {
    let url = situation.asked_to_deactivate()?;
    matches!(standing_in(situation, url), Standing::Current | Standing::Previous { .. }).then_some(())?;
    let patience = request_timeout(situation.spec) * REQUESTS;
    (next_attempt(situation, url) <= Some(now))
        .then(|| AccountStep::Deactivate { url: url.to_owned(), patience })
}

/// When the deactivation that the annotation requests is retried, if it has failed.
fn next_attempt_asked_for(situation: &Situation<'_>) -> Option<Timestamp> {
    next_attempt(situation, situation.asked_to_deactivate()?)
}

fn next_attempt(situation: &Situation<'_>, url: &str) -> Option<Timestamp> {
    let failed = situation.state.status.deactivation.as_ref().filter(|failed| failed.account == url)?;
    failed.next_attempt_time.as_ref().map(|time| time.0)
}

/// Waits, because the account of the key in the Secret is deactivated. Only a user can have another account registered.
pub(super) fn ended(situation: &Situation<'_>, url: &str) -> AccountStep {
    let (name, _) = situation.key_secret_name;
    let another = match situation.spec.external_account_binding {
        Some(_) => "set another keyID in externalAccountBinding, or ",
        None => "",
    };
    AccountStep::Wait {
        until: None,
        reason: reason::DEACTIVATED,
        message: format!(
            "The account {url} is deactivated and cannot be used again. No other account is registered automatically; to \
             register one, {another}delete this issuer and Secret {}, and recreate the issuer",
            situation.named(name)
        ),
    }
}

/// Whether the issuer needs the finalizer: there is an account, or will be, that must be deactivated before the issuer is
/// deleted.
pub(super) fn needs_hold(situation: &Situation<'_>, next: &AccountStep) -> bool {
    if !deactivates(situation.spec.account_policy.as_ref()) {
        return false;
    }
    match next {
        AccountStep::Register | AccountStep::Adopt(_) => true,
        _ => {
            let acme = situation.state.status.acme.as_ref();
            let ended = acme.is_some_and(|acme| {
                acme.deactivation_time.is_some()
                    && situation.thumbprint().is_none_or(|of| of == acme.key_thumbprint)
            });
            !ended && (situation.has_finalizer || acme.is_some())
        }
    }
}

fn deactivates(policy: Option<&AccountPolicy>) -> bool {
    policy.and_then(|policy| policy.on_delete) == Some(AccountOnDelete::Deactivate)
}

/// The next step for an issuer that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastStep {
    /// Release the issuer: there is nothing to deactivate, or nothing left.
    Release,
    /// Release the issuer, and keep its account, because the named issuer uses it.
    Retain(String),
    /// Release the issuer, because the timeout for the deactivation is over.
    GiveUp,
    /// Wait until this time.
    Wait(Timestamp),
    /// Record in the Secret that the account at this URL is deactivated.
    RecordEnd(String),
    /// Deactivate the account at this URL, or the account of the key in the Secret if the URL is not known.
    Deactivate {
        /// URL of the account.
        url: Option<String>,
        /// How long the CA may take.
        patience: Duration,
    },
}

/// Another issuer with the same account key Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherIssuer<'a> {
    /// Its kind.
    pub kind: IssuerKind,
    /// Its name.
    pub name: &'a str,
    /// Its directory.
    pub server: &'a str,
    /// Whether it is being deleted, too.
    pub is_deleted: bool,
}

/// The issuer that keeps the account at `server` when another one is deleted, if there is one: the first by name.
pub fn shared_with<'a>(server: &str, others: impl IntoIterator<Item = OtherIssuer<'a>>) -> Option<String> {
    let keeps = |other: &OtherIssuer<'_>| !other.is_deleted && other.server == server;
    let others = others.into_iter().filter(keeps);
    others.map(|other| format!("{} {}", other.kind.as_str(), other.name)).min()
}

/// Decides the next step for an issuer that is being deleted. `shared_with` names another issuer with the same account.
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
    let in_status = situation.state.status.acme.as_ref().filter(|acme| acme.server == situation.spec.server);
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
    // A failure from before the deletion does not delay the first attempt.
    let failed = situation.state.status.deactivation.as_ref();
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

#[cfg(test)]
mod tests;
