//! Decides the next step for an account.

use jiff::Timestamp;

use super::registration::register;
use super::situation::{Situation, wait_for_secret};
use super::state::{Pending, State};
use super::{
    AccountStep, KeySecret, Recorded, Snapshot, check, contact, deactivation, history, rebinding, rollover,
    wanted_contact,
};
use crate::conditions::condition;
use certwright_api::{CONDITION_READY, issuer_reason as reason};

/// Decides what to do next.
pub fn next_step(state: &State, snapshot: &Snapshot<'_>, now: Timestamp) -> AccountStep {
    match &state.pending {
        Some(Pending::Confirmed { account, .. }) => {
            return AccountStep::RecordAccount {
                url: account.url.clone(),
                key_id: snapshot.wanted_key_id().map(str::to_owned),
            };
        }
        Some(Pending::Ended { url, .. }) => return AccountStep::RecordEnd(url.clone()),
        Some(Pending::Unknown { .. }) => return AccountStep::LookUp,
        None => {}
    }
    let step = decide(&snapshot.with(state), now);
    // The CA rejects the account while a next key is stored: the account may have that key after all.
    let is_doubtful = step == AccountStep::Rest
        && snapshot.refusal.is_some()
        && snapshot.keys.next.is_some()
        && state.asked_about.is_none();
    if is_doubtful {
        let doubtful = State { known: None, ..state.clone() };
        return decide(&snapshot.with(&doubtful), now);
    }
    step
}

/// When to look at the account again after a look at its authorizations, which was due `until` otherwise. With their last TXT
/// record, the reason for the finalizer may be gone: at once then, also if this look has added that record.
pub fn due_after_authorizations(
    state: &State,
    snapshot: &Snapshot<'_>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let is_over = next_step(state, snapshot, now) == AccountStep::DropFinalizer;
    if is_over { Some(now) } else { until }
}

pub(super) fn decide(situation: &Situation<'_>, now: Timestamp) -> AccountStep {
    let step = match rollover::in_doubt(situation) {
        // No request can be made for the account until it is known which key it has.
        Some(doubt) => holding(situation, now).unwrap_or(AccountStep::Rollover(doubt)),
        None => deactivation::due(situation, now)
            .or_else(|| rebinding::due(situation, now))
            .or_else(|| holding(situation, now))
            .unwrap_or_else(|| with_secret(situation, now)),
    };
    // A TXT record must be removed before the issuer is deleted, too.
    let holds = deactivation::needs_hold(situation, &step) || !situation.state.status.dns_records.is_empty();
    match (situation.has_finalizer, holds) {
        (false, true) => AccountStep::SetFinalizer,
        (true, false) => AccountStep::DropFinalizer,
        _ => step,
    }
}

fn with_secret(situation: &Situation<'_>, now: Timestamp) -> AccountStep {
    let (name, key) = situation.key_secret_name;
    let name = situation.named(name);
    let until = Some(wait_for_secret(situation, now));
    match situation.key_secret {
        KeySecret::Missing => without_secret(situation, now),
        KeySecret::NoSuchKey => AccountStep::Wait {
            until,
            reason: reason::SECRET_KEY_NOT_FOUND,
            message: format!(
                "Secret {name} has no key {key} for the account key; add it{}",
                situation.or_have_one_made()
            ),
        },
        KeySecret::Unusable(why) => AccountStep::Wait {
            until,
            reason: reason::INVALID_ACCOUNT_KEY,
            message: format!(
                "Secret {name}, key {key}: {why}; put a private key there, as PEM or JWK{}",
                situation.or_have_one_made()
            ),
        },
        KeySecret::OfSomebodyElse(why) => AccountStep::Wait {
            until,
            reason: reason::INVALID_ACCOUNT_KEY,
            message: format!(
                "Secret {name} {why}, so its key cannot be used for an account; name another Secret in privateKeySecretRef"
            ),
        },
        KeySecret::Key { thumbprint, ours, account } => {
            with_key(situation, thumbprint, *ours, account.as_ref(), now)
        }
    }
}

fn without_secret(situation: &Situation<'_>, now: Timestamp) -> AccountStep {
    let name = situation.named(situation.key_secret_name.0);
    let account = situation.state.status.acme.as_ref().filter(|_| lost(situation));
    let message = match account {
        Some(acme) if acme.deactivation_time.is_some() => return deactivation::ended(situation, &acme.uri),
        Some(acme) => format!(
            "Secret {name}, which held the key of account {}, does not exist; restore it, or delete and recreate \
             this issuer to register a new account",
            acme.uri
        ),
        None if situation.may_make_key() => return AccountStep::MakeKey,
        None => format!(
            "Secret {name} with the account key does not exist, and disableAccountKeyGeneration prevents generating one; create it"
        ),
    };
    AccountStep::Wait {
        until: Some(wait_for_secret(situation, now)),
        reason: reason::SECRET_NOT_FOUND,
        message,
    }
}

fn with_key(
    situation: &Situation<'_>,
    thumbprint: &str,
    ours: bool,
    on_secret: Option<&Recorded>,
    now: Timestamp,
) -> AccountStep {
    let spec = situation.spec;
    let wanted_key_id = situation.wanted_key_id();
    let in_status = situation.state.status.acme.as_ref().filter(|acme| acme.key_thumbprint == thumbprint);
    let bound_as_wanted = |key_id: Option<&str>| wanted_key_id.is_none() || key_id == wanted_key_id;
    let in_status = in_status.filter(|acme| acme.server == spec.server);
    let on_secret = on_secret.filter(|recorded| recorded.server == spec.server);
    let ended = on_secret.filter(|recorded| recorded.deactivated.is_some());
    if let Some(acme) = in_status
        && bound_as_wanted(acme.bound_key_id.as_deref())
    {
        return match (&acme.deactivation_time, ended) {
            (Some(_), _) => deactivation::ended(situation, &acme.uri),
            (None, Some(ended)) => AccountStep::NoteEnd(ended.clone()),
            (None, None) if !contact::is_told(acme, &wanted_contact(spec)) => {
                AccountStep::UpdateContact { account: acme.uri.clone() }
            }
            (None, None) => check::due(acme, now)
                .or_else(|| rollover::next_step(situation, now).map(AccountStep::Rollover))
                .unwrap_or(AccountStep::Rest),
        };
    }
    if let Some(recorded) = on_secret
        && bound_as_wanted(recorded.key_id.as_deref())
    {
        let recorded = recorded.clone();
        return if ended.is_some() { AccountStep::NoteEnd(recorded) } else { AccountStep::Adopt(recorded) };
    }
    if let Some(key_id) = wanted_key_id.filter(|_| ours)
        && let Some(previous) = history::to_return_to(&situation.state.history, &spec.server, key_id)
    {
        return AccountStep::ReturnTo(previous.clone());
    }
    let bound_to = in_status
        .map(|acme| acme.bound_key_id.as_deref())
        .or_else(|| on_secret.map(|recorded| recorded.key_id.as_deref()));
    match bound_to {
        Some(_) if ours && situation.may_make_key() => AccountStep::ReplaceKey,
        Some(bound_to) => bound_otherwise(situation, bound_to, now),
        None if let Some(previous) = rebinding::withdrawn(situation) => {
            AccountStep::ReturnTo(previous.clone())
        }
        None if !situation.state.looked_up => AccountStep::LookUp,
        None => register(situation, now),
    }
}

/// Waits for another key: a key has only one account, whose binding cannot change, and Certwright must not replace this key.
fn bound_otherwise(situation: &Situation<'_>, bound_to: Option<&str>, now: Timestamp) -> AccountStep {
    let (name, key) = situation.key_secret_name;
    let name = situation.named(name);
    let bound_to = bound_to.map_or("no external account".to_owned(), |key_id| format!("the key id {key_id}"));
    AccountStep::Wait {
        until: Some(wait_for_secret(situation, now)),
        reason: reason::INVALID_ACCOUNT_KEY,
        message: format!(
            "Secret {name}, key {key}: the account of this private key is bound to {bound_to} and cannot be bound to \
             another; put a new private key there{}",
            situation.or_have_one_made()
        ),
    }
}

/// Waits for the next attempt after a failure, unless the spec or the Secrets of a rejected external account have changed.
fn holding(situation: &Situation<'_>, now: Timestamp) -> Option<AccountStep> {
    let status = &situation.state.status;
    let ready = condition(&status.conditions, CONDITION_READY)?;
    if ready.observed_generation != Some(situation.generation) || ready.status == "True" {
        return None;
    }
    status.failed_attempts?;
    if let Some(previous) = rebinding::withdrawn(situation) {
        return Some(rebinding::forget_failures(previous, now));
    }
    // The CA may have rejected the MAC key or the key id. If they have changed, the next attempt is made immediately.
    let refused = status.refused_external_account_version.as_deref();
    if refused.is_some() && situation.external_account_version.is_some_and(|version| Some(version) != refused)
    {
        return None;
    }
    let look = refused.map(|_| wait_for_secret(situation, now));
    match &status.next_attempt_time {
        // The account stays unusable until the spec or a Secret changes.
        None => Some(AccountStep::Hold { until: look }),
        Some(until) if until.0 > now => {
            Some(AccountStep::Hold { until: look.into_iter().chain([until.0]).min() })
        }
        Some(_) => None,
    }
}

/// Whether the missing Secret held the key of the account recorded in the status.
fn lost(situation: &Situation<'_>) -> bool {
    situation.state.status.acme.as_ref().is_some_and(|acme| {
        let wanted = situation.wanted_key_id();
        acme.server == situation.spec.server && (wanted.is_none() || acme.bound_key_id.as_deref() == wanted)
    })
}
