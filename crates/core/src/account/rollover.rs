//! When an account key is changed at the CA (RFC 8555 section 7.3.5), and the steps of it.
//!
//! The next key is in the Secret before the CA is asked. From then on the CA alone knows which of the two the account
//! has: it is asked with both after every answer, since an answer may be lost or untrue, and after every interruption.

mod apply;
mod keys;
mod step;

pub use keys::{Keys, Known, NextKey, Peer, View, account_key_algorithm, stated_algorithm};
pub use step::Step;

use jiff::{SignedDuration, Timestamp};

use super::{KeySecret, Recorded, Situation};
use crate::renewal::whole_seconds_up;
use certwright_api::issuer_reason as reason;
use certwright_pki::KeyAlgorithm;

/// For how long challenges that the CA may be looking at are waited for: what it sees proves control by the thumbprint of
/// the key that the account had when it began to look.
const LONGEST_VALIDATION: SignedDuration = SignedDuration::from_secs(30);

/// What comes before anything else is asked of the account: to find out which key it has.
pub(super) fn in_doubt(situation: &Situation<'_>) -> Option<Step> {
    let view = &situation.rollover;
    view.keys.next?;
    let KeySecret::Key { thumbprint, account: on_secret, .. } = situation.key_secret else { return None };
    let in_status = situation.status.acme.as_ref().filter(|acme| acme.key_thumbprint == *thumbprint);
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
    match view.known {
        None if view.next_is_unknown => Some(Step::AskForPresentKey(account)),
        None => Some(Step::AskWhichKey(account)),
        Some(Known::Next) => Some(Step::PromoteKey),
        Some(Known::NextIsTaken) => Some(Step::DiscardNextKey),
        Some(Known::Current) => None,
    }
}

/// The next step of an account that is otherwise as it shall be; `None` if there is none now.
pub(super) fn next_step(situation: &Situation<'_>, now: Timestamp) -> Option<Step> {
    if due(situation)? > now {
        return None;
    }
    let view = &situation.rollover;
    let wanted = wanted_algorithm(situation)?;
    if let Some(why) = view.keys.must_stay {
        let secret = situation.named(situation.key_secret_name.0);
        let message = format!("The account key was not changed: Secret {secret} {why}");
        return Some(Step::Refuse { reason: reason::ACCOUNT_KEY_NOT_OURS, message });
    }
    if let Some(refused) = refused_by_peers(situation, wanted) {
        return Some(refused);
    }
    let Some(next) = view.keys.next.filter(|next| next.algorithm == wanted) else {
        return Some(Step::StoreNextKey(wanted));
    };
    let stored = next.created.unwrap_or(now);
    let tried_from = planned_retry(situation).map_or(stored, |retry| stored.max(retry));
    let until = tried_from.saturating_add(LONGEST_VALIDATION).unwrap_or(now);
    if view.keys.validating && until > now {
        return Some(Step::WaitForValidations { until });
    }
    Some(Step::ChangeKey)
}

/// When the key is changed next, or that is tried again; in the past if that is due now.
fn due(situation: &Situation<'_>) -> Option<Timestamp> {
    let wanted = wanted_at(situation)?;
    Some(planned_retry(situation).map_or(wanted, |retry| retry.max(wanted)))
}

/// When the spec or a human wants the key to be changed.
fn wanted_at(situation: &Situation<'_>) -> Option<Timestamp> {
    let (view, acme) = (&situation.rollover, situation.status.acme.as_ref()?);
    let asked = view.keys.request.is_some() && view.keys.request != acme.observed_rollover_request.as_deref();
    // A key that the user brought is changed when that is asked for, and not because it is of another kind.
    let of_another_kind = situation.key_is_ours()
        && stated_algorithm(situation.spec).is_some_and(|stated| view.keys.algorithm != Some(stated));
    if asked || of_another_kind {
        return Some(Timestamp::MIN);
    }
    let interval = SignedDuration::from(situation.spec.account_key.as_ref()?.rollover_interval?);
    Some(whole_seconds_up(view.keys.created?.saturating_add(interval).unwrap_or(Timestamp::MAX)))
}

/// When an attempt that failed is repeated, if nothing has changed since.
fn planned_retry(situation: &Situation<'_>) -> Option<Timestamp> {
    let acme = situation.status.acme.as_ref()?;
    let failed = acme.failed_key_rollover.as_ref()?;
    let same = failed.generation == situation.generation
        && failed.request.as_deref() == situation.rollover.keys.request;
    acme.next_key_rollover.as_ref().filter(|_| same).map(|time| time.0)
}

/// How often in a row the attempt has failed that is made now.
fn failures(situation: &Situation<'_>) -> i32 {
    let failed = situation.status.acme.as_ref().and_then(|acme| acme.failed_key_rollover.as_ref());
    let same = planned_retry(situation).is_some();
    failed.filter(|_| same).map_or(0, |failed| failed.attempts)
}

/// The key that shall follow: what the spec asks for, else one like the present one.
fn wanted_algorithm(situation: &Situation<'_>) -> Option<KeyAlgorithm> {
    stated_algorithm(situation.spec).or_else(|| match situation.rollover.keys.algorithm? {
        KeyAlgorithm::Rsa(bits) => {
            KeyAlgorithm::RSA_SIZES.into_iter().find(|size| *size >= bits).map(KeyAlgorithm::Rsa)
        }
        other => Some(other),
    })
}

/// Issuers that share a key share what becomes of it.
fn refused_by_peers(situation: &Situation<'_>, wanted: KeyAlgorithm) -> Option<Step> {
    let (secret, _) = situation.key_secret_name;
    let secret = situation.named(secret);
    let peers = situation.rollover.keys.peers;
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
    Some(Step::Refuse { reason: reason::ACCOUNT_KEY_SHARED, message })
}

/// Whether an attempt has failed that nobody wants any more.
fn has_stale_failure(situation: &Situation<'_>, now: Timestamp) -> bool {
    situation.status.acme.as_ref().is_some_and(|acme| acme.failed_key_rollover.is_some())
        && wanted_at(situation).is_none_or(|wanted| wanted > now)
}

#[cfg(test)]
mod tests;
