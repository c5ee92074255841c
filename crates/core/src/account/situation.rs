//! What the decision on the next step is based on.

use std::ops::Deref;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::outcome::AccountRefusal;
use super::rollover::Keys;
use super::{KeyId, KeySecret, MacKey, Recorded, State};
use crate::backoff::{Backoff, look_again};
use crate::conditions::condition;
use certwright_api::{AcmeIssuer, CONDITION_READY};

/// Bounds of the wait for a Secret that does not exist yet. Secrets that users create are not watched.
const SECRET_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a key id is used before its Secret is read again.
const KEY_ID_AGE: SignedDuration = SignedDuration::from_mins(10);

/// What was gathered about an issuer. The state machine does not change any of it.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The spec.
    pub spec: &'a AcmeIssuer,
    /// Name of the issuer.
    pub name: &'a str,
    /// `metadata.uid` of the issuer.
    pub uid: &'a str,
    /// `metadata.generation` of the issuer.
    pub generation: i64,
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
    /// The annotation that requests the deactivation of an account.
    pub deactivate: Option<&'a str>,
    /// The annotation that requests a rebinding of the account.
    pub rebind: Option<&'a str>,
    /// The annotation that requests a retry.
    pub retry_request: Option<&'a str>,
    /// Since when the issuer is being deleted.
    pub deleted: Option<Timestamp>,
    /// Whether the issuer has our finalizer.
    pub has_finalizer: bool,
    /// What was gathered about the current key and the next key.
    pub keys: Keys<'a>,
    /// What the CA said about the account when a Certificate used it, if it was an error.
    pub refusal: Option<&'a AccountRefusal>,
    /// The terms of service in the directory that was fetched last.
    pub latest_terms: Option<&'a str>,
    /// Bounds of the wait after failures.
    pub backoff: Backoff,
    /// How many orders the account may have at a time.
    pub orders_per_account: usize,
}

/// What the decision on the next step is based on: a snapshot, and the state of the account.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What was gathered.
    pub seen: &'a Snapshot<'a>,
    /// The state of the account.
    pub state: &'a State,
}

impl<'a> Deref for Situation<'a> {
    type Target = Snapshot<'a>;

    fn deref(&self) -> &Snapshot<'a> {
        self.seen
    }
}

impl<'a> Snapshot<'a> {
    /// The snapshot together with the state.
    pub(super) fn with(&'a self, state: &'a State) -> Situation<'a> {
        Situation { seen: self, state }
    }

    /// RFC 7638 thumbprint of the account key.
    pub(super) fn thumbprint(&self) -> Option<&'a str> {
        match self.key_secret {
            KeySecret::Key { thumbprint, .. } => Some(thumbprint),
            _ => None,
        }
    }

    /// Algorithm and size of the account key, as the status shows them.
    pub(super) fn key_algorithm(&self) -> String {
        self.keys.algorithm.map(|algorithm| algorithm.to_string()).unwrap_or_default()
    }

    /// Whether Certwright created the account key Secret.
    pub(super) fn key_is_ours(&self) -> bool {
        matches!(self.key_secret, KeySecret::Key { ours: true, .. })
    }

    /// The account recorded in the account key Secret.
    pub(super) fn on_secret(&self) -> Option<&'a Recorded> {
        match self.key_secret {
            KeySecret::Key { account, .. } => account.as_ref(),
            _ => None,
        }
    }

    /// The name of a Secret, with its namespace if the issuer has none.
    pub(super) fn named(&self, secret: &str) -> String {
        match self.secrets_namespace {
            None => secret.to_owned(),
            Some(namespace) => format!("{secret} in namespace {namespace}"),
        }
    }

    /// The key id to bind the account to, if it is known.
    pub(super) fn wanted_key_id(&self) -> Option<&'a str> {
        match self.key_id {
            KeyId::Known(key_id) => Some(key_id),
            _ => None,
        }
    }

    /// URL of the account that the annotation requests to deactivate.
    pub(super) fn asked_to_deactivate(&self) -> Option<&'a str> {
        self.deactivate.map(str::trim).filter(|url| !url.is_empty())
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
    let ready = condition(&situation.state.status.conditions, CONDITION_READY);
    let since = ready.map_or(now, |condition| condition.last_transition_time.0);
    look_again(since, now, None, SECRET_BOUNDS)
}

/// When to read the Secret with the key id again while the account is ready, because it is not watched.
pub fn look_at_key_id(spec: &AcmeIssuer, now: Timestamp) -> Option<Timestamp> {
    let binding = spec.external_account_binding.as_ref()?;
    binding.key_id_secret_ref.as_ref()?;
    now.checked_add(KEY_ID_AGE).ok()
}
