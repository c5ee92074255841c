//! What the decision on the next step is based on.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::rollover::View;
use super::{KeyId, KeySecret, MacKey};
use crate::backoff::look_again;
use certwright_api::{AcmeIssuer, CONDITION_READY, IssuerStatus, PreviousAccount};

/// Bounds of the wait for a Secret that does not exist yet. Secrets that users create are not watched.
const SECRET_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a key id is used before its Secret is read again.
const KEY_ID_AGE: SignedDuration = SignedDuration::from_mins(10);

/// What the decision on the next step is based on: a snapshot, and the state of the account.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The spec.
    pub spec: &'a AcmeIssuer,
    /// `metadata.generation` of the issuer.
    pub generation: i64,
    /// The status to record.
    pub status: &'a IssuerStatus,
    /// Name of the account key Secret, and the key in its data.
    pub key_secret_name: (&'a str, &'a str),
    /// The namespace of the Secrets of a `ClusterIssuer`; `None` for an `Issuer`.
    pub secrets_namespace: Option<&'a str>,
    /// The account key Secret.
    pub key_secret: &'a KeySecret,
    /// The key id of the external account.
    pub key_id: &'a KeyId,
    /// The MAC key.
    pub mac_key: &'a MacKey,
    /// Version of the Secrets with the key id and the MAC key; `None` if neither has been read.
    pub external_account_version: Option<&'a str>,
    /// The previous accounts of the issuers that use this Secret.
    pub history: &'a [PreviousAccount],
    /// The annotation that requests the deactivation of an account.
    pub deactivate: Option<&'a str>,
    /// Whether the issuer has our finalizer.
    pub has_finalizer: bool,
    /// Whether the key is known to have no account: it was just generated, or the CA has said so.
    pub looked_up: bool,
    /// The current key and the next key, and what the CA said about them.
    pub rollover: View<'a>,
}

impl Situation<'_> {
    /// Whether Certwright created the account key Secret.
    pub(super) fn key_is_ours(&self) -> bool {
        matches!(self.key_secret, KeySecret::Key { ours: true, .. })
    }

    /// The name of a Secret, with its namespace if the issuer has none.
    pub(super) fn named(&self, secret: &str) -> String {
        match self.secrets_namespace {
            None => secret.to_owned(),
            Some(namespace) => format!("{secret} in namespace {namespace}"),
        }
    }

    /// The key id to bind the account to, if it is known.
    pub(super) fn wanted_key_id(&self) -> Option<&str> {
        match self.key_id {
            KeyId::Known(key_id) => Some(key_id),
            _ => None,
        }
    }

    pub(super) fn may_make_key(&self) -> bool {
        self.spec.disable_account_key_generation != Some(true)
    }

    /// The other way to fix a Secret without a usable key, as the end of a message.
    pub(super) fn or_have_one_made(&self) -> &'static str {
        if self.may_make_key() { ", or delete the Secret to generate a new one" } else { "" }
    }
}

/// When to read a Secret again that a user has to create or change, because it is not watched.
pub(super) fn wait_for_secret(situation: &Situation<'_>, now: Timestamp) -> Timestamp {
    let ready = situation.status.conditions.iter().find(|condition| condition.type_ == CONDITION_READY);
    let since = ready.map_or(now, |condition| condition.last_transition_time.0);
    look_again(since, now, None, SECRET_BOUNDS)
}

/// When to read the Secret with the key id again while the account is ready, because it is not watched.
pub fn look_at_key_id(spec: &AcmeIssuer, now: Timestamp) -> Option<Timestamp> {
    let binding = spec.external_account_binding.as_ref()?;
    binding.key_id_secret_ref.as_ref()?;
    now.checked_add(KEY_ID_AGE).ok()
}
