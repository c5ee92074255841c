//! What the decision on the next step is based on.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::rollover::View;
use super::{KeyId, KeySecret, MacKey};
use crate::backoff::look_again;
use certwright_api::{AcmeIssuer, CONDITION_READY, IssuerStatus, PreviousAccount};

/// How long to wait for a Secret that does not exist yet: Secrets of others are not watched.
const SECRET_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How old the knowledge of a key id in a Secret may become.
const KEY_ID_AGE: SignedDuration = SignedDuration::from_mins(10);

/// What is gathered and what is known, which the next step is decided on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The spec.
    pub spec: &'a AcmeIssuer,
    /// `metadata.generation` of the issuer.
    pub generation: i64,
    /// What is recorded.
    pub status: &'a IssuerStatus,
    /// Name of the account key Secret, and the key in its data.
    pub key_secret_name: (&'a str, &'a str),
    /// The namespace of the issuer's Secrets, where the issuer itself has none.
    pub secrets_namespace: Option<&'a str>,
    /// The account key Secret.
    pub key_secret: &'a KeySecret,
    /// The key id of the external account.
    pub key_id: &'a KeyId,
    /// The MAC key.
    pub mac_key: &'a MacKey,
    /// Version of the Secrets with the MAC key and the key id, if a CA has refused an earlier one.
    pub external_account_version: Option<&'a str>,
    /// The accounts that the issuers of this Secret had before.
    pub history: &'a [PreviousAccount],
    /// The annotation that asks for the deactivation of an account.
    pub deactivate: Option<&'a str>,
    /// Whether the issuer has our finalizer.
    pub held: bool,
    /// Whether the CA was asked, since this process started, if it knows the key.
    pub looked_up: bool,
    /// The account key and the one that is to follow.
    pub rollover: View<'a>,
}

impl Situation<'_> {
    /// Whether Certwright made the account key's Secret.
    pub(super) fn key_is_ours(&self) -> bool {
        matches!(self.key_secret, KeySecret::Key { ours: true, .. })
    }

    /// A Secret's name, with its namespace if that is not the issuer's own.
    pub(super) fn named(&self, secret: &str) -> String {
        match self.secrets_namespace {
            None => secret.to_owned(),
            Some(namespace) => format!("{secret} in namespace {namespace}"),
        }
    }

    /// The key id that the account shall be bound to, if that is known.
    pub(super) fn wanted_key_id(&self) -> Option<&str> {
        match self.key_id {
            KeyId::Known(key_id) => Some(key_id),
            _ => None,
        }
    }

    pub(super) fn may_make_key(&self) -> bool {
        self.spec.disable_account_key_generation != Some(true)
    }

    /// How else a Secret that holds no usable key can be mended.
    pub(super) fn or_have_one_made(&self) -> &'static str {
        if self.may_make_key() { ", or delete the Secret to generate a new one" } else { "" }
    }
}

/// When to read a Secret again that somebody has to change: it is not watched.
pub(super) fn wait_for_secret(situation: &Situation<'_>, now: Timestamp) -> Timestamp {
    let ready = situation.status.conditions.iter().find(|condition| condition.type_ == CONDITION_READY);
    let since = ready.map_or(now, |condition| condition.last_transition_time.0);
    look_again(since, now, None, SECRET_BOUNDS)
}

/// When to look again at the Secret with the key id of an account that is ready: Secrets of others are not watched.
pub fn look_at_key_id(spec: &AcmeIssuer, now: Timestamp) -> Option<Timestamp> {
    let binding = spec.external_account_binding.as_ref()?;
    binding.key_id_secret_ref.as_ref()?;
    now.checked_add(KEY_ID_AGE).ok()
}
