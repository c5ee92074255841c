//! Account key rollover (RFC 8555 section 7.3.5): when it is due, and its steps.
//!
//! The next key is stored in the Secret before the CA is asked to change the key. From then on, only the CA knows which of the
//! two keys the account has. The operator asks it after every answer, because an answer may be lost or untrue, and after every
//! interruption.

mod apply;
mod keys;
mod step;

pub use keys::{Keys, Known, NextKey, Peer, account_key_algorithm, stated_algorithm};
pub use step::RolloverStep;

use jiff::{SignedDuration, Timestamp};

use super::{KeySecret, Recorded, Situation};
use crate::renewal::whole_seconds_up;
use certwright_api::issuer_reason as reason;
use certwright_pki::KeyAlgorithm;

/// How long to wait for challenges that the CA may be validating. Their answers contain the thumbprint of the key that the
/// account had when the validation began.
const LONGEST_VALIDATION: SignedDuration = SignedDuration::from_secs(30);

/// The step that settles which key the account has, if that is in doubt. It comes before any other request for the account.
pub(super) fn in_doubt(situation: &Situation<'_>) -> Option<RolloverStep> {
    situation.keys.next?;
    let KeySecret::Key { thumbprint, account: on_secret, .. } = situation.key_secret else { return None };
    let in_status = situation.state.status.acme.as_ref().filter(|acme| acme.key_thumbprint == *thumbprint);
    if in_status.is_some_and(|acme| acme.deactivation_time.is_some()) {
        return None;
    }
    let in_status = in_status.map(|acme| Recorded {
        url: acme.uri.clone(),
        server: acme.server.clone(),
        key_id: acme.bound_key_id.clone(),
        deactivated: None,
    });
    let account = on_secret.clone().or(in_status)?;
    if account.server != situation.spec.server || account.deactivated.is_some() {
        return None;
    }
    match situation.state.known {
        None if situation.state.next_is_unknown => Some(RolloverStep::AskForPresentKey(account)),
        None => Some(RolloverStep::AskWhichKey(account)),
        Some(Known::Next) => Some(RolloverStep::PromoteKey(account)),
        Some(Known::NextIsTaken) => Some(RolloverStep::DiscardNextKey),
        Some(Known::Current) => None,
    }
}

/// The next step of a rollover, for an account that needs nothing else; `None` if none is due now.
pub(super) fn next_step(situation: &Situation<'_>, now: Timestamp) -> Option<RolloverStep> {
    if due(situation)? > now {
        return None;
    }
    let keys = &situation.keys;
    let wanted = wanted_algorithm(situation)?;
    if let Some(why) = keys.must_stay {
        let secret = situation.named(situation.key_secret_name.0);
        let message = format!("The account key was not changed: Secret {secret} {why}");
        return Some(RolloverStep::Refuse { reason: reason::ACCOUNT_KEY_NOT_OURS, message });
    }
    if let Some(refused) = refused_by_peers(situation, wanted) {
        return Some(refused);
    }
    let Some(next) = keys.next.filter(|next| next.algorithm == wanted) else {
        return Some(RolloverStep::StoreNextKey(wanted));
    };
    let stored = next.created.unwrap_or(now);
    let tried_from = planned_retry(situation).map_or(stored, |retry| stored.max(retry));
    let until = tried_from.saturating_add(LONGEST_VALIDATION).unwrap_or(now);
    if keys.validating && until > now {
        return Some(RolloverStep::WaitForValidations { until });
    }
    let account = situation.state.status.acme.as_ref()?.uri.clone();
    Some(RolloverStep::ChangeKey { account })
}

/// When the next rollover, or the retry of a failed one, is due. This may be in the past.
fn due(situation: &Situation<'_>) -> Option<Timestamp> {
    let wanted = wanted_at(situation)?;
    Some(planned_retry(situation).map_or(wanted, |retry| retry.max(wanted)))
}

/// When the spec or a user requires a rollover.
fn wanted_at(situation: &Situation<'_>) -> Option<Timestamp> {
    let (keys, acme) = (&situation.keys, situation.state.status.acme.as_ref()?);
    let asked = keys.request.is_some() && keys.request != acme.observed_rollover_request.as_deref();
    // A key that the user provided is not rolled over merely because the spec states another algorithm or size.
    let of_another_kind = situation.key_is_ours()
        && stated_algorithm(situation.spec).is_some_and(|stated| keys.algorithm != Some(stated));
    if asked || of_another_kind {
        return Some(Timestamp::MIN);
    }
    let interval = SignedDuration::from(situation.spec.account_key.as_ref()?.rollover_interval?);
    Some(whole_seconds_up(keys.created?.saturating_add(interval).unwrap_or(Timestamp::MAX)))
}

/// When a failed attempt is retried, if neither the spec nor the request has changed since.
fn planned_retry(situation: &Situation<'_>) -> Option<Timestamp> {
    let acme = situation.state.status.acme.as_ref()?;
    let failed = acme.failed_key_rollover.as_ref()?;
    let same =
        failed.generation == situation.generation && failed.request.as_deref() == situation.keys.request;
    acme.next_key_rollover.as_ref().filter(|_| same).map(|time| time.0)
}

/// How many attempts at the current rollover have failed in a row.
fn failures(situation: &Situation<'_>) -> i32 {
    let failed = situation.state.status.acme.as_ref().and_then(|acme| acme.failed_key_rollover.as_ref());
    let same = planned_retry(situation).is_some();
    failed.filter(|_| same).map_or(0, |failed| failed.attempts)
}

/// The algorithm and size of the next key: those in the spec, or else those of the current key.
fn wanted_algorithm(situation: &Situation<'_>) -> Option<KeyAlgorithm> {
    stated_algorithm(situation.spec).or_else(|| match situation.keys.algorithm? {
        KeyAlgorithm::Rsa(bits) => {
            KeyAlgorithm::RSA_SIZES.into_iter().find(|size| *size >= bits).map(KeyAlgorithm::Rsa)
        }
        other => Some(other),
    })
}

/// Refuses a rollover that does not suit another issuer with the same key, because it affects all of them.
fn refused_by_peers(situation: &Situation<'_>, wanted: KeyAlgorithm) -> Option<RolloverStep> {
    let (secret, _) = situation.key_secret_name;
    let secret = situation.named(secret);
    let peers = situation.keys.peers;
    let message = if let Some(peer) = peers.iter().find(|peer| peer.server != situation.spec.server) {
        format!(
            "The account key was not changed: {} also uses the key in Secret {secret}, at {}, where it would not be \
             changed; give each issuer its own Secret with privateKeySecretRef",
            peer.name, peer.server
        )
    } else {
        let peer = peers.iter().find(|peer| peer.algorithm.is_some_and(|stated| stated != wanted))?;
        format!(
            "The account key was not changed: {} also uses the key in Secret {secret}, but its accountKey specifies a \
             different key; make them the same",
            peer.name
        )
    };
    Some(RolloverStep::Refuse { reason: reason::ACCOUNT_KEY_SHARED, message })
}

/// Whether the status has a failed attempt at a rollover that is no longer required.
fn has_stale_failure(situation: &Situation<'_>, now: Timestamp) -> bool {
    situation.state.status.acme.as_ref().is_some_and(|acme| acme.failed_key_rollover.is_some())
        && wanted_at(situation).is_none_or(|wanted| wanted > now)
}

#[cfg(test)]
mod tests;
