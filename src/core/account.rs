//! The next step of an issuer's account.

use std::time::Duration;

use jiff::Timestamp;

use super::backoff::look_again;
use crate::api::{AccountKeyAlgorithm, AcmeIssuer, CONDITION_READY, IssuerStatus, issuer_reason as reason};
use crate::pki::KeyAlgorithm;

/// How long to wait for a Secret that does not exist yet: Secrets of others are not watched.
const SECRET_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What the account key Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySecret {
    /// There is no such Secret.
    Missing,
    /// The Secret has no such key in its data.
    NoSuchKey,
    /// What it holds is not a key that an account can have; the text says why.
    Unusable(String),
    /// A key.
    Key {
        /// RFC 7638 thumbprint of the key.
        thumbprint: String,
        /// Whether Certwright made the Secret, so that it may put another key there.
        ours: bool,
        /// The account that the Secret says the key has.
        account: Option<Recorded>,
    },
}

/// An account that is on record, in status or on the account key's Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// URL of the account.
    pub url: String,
    /// URL of the directory.
    pub server: String,
    /// Key id of the external account that it is bound to.
    pub key_id: Option<String>,
}

/// The MAC key of the external account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacKey {
    /// It was not looked for.
    NotRead,
    /// There is no such Secret.
    SecretMissing,
    /// The Secret has no such key in its data.
    NoSuchKey,
    /// What it holds is not base64; the text says why.
    Unusable(String),
    /// It can be used.
    Usable,
}

/// What the next step is decided on.
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
    /// The MAC key.
    pub mac_key: &'a MacKey,
    /// Whether the CA was asked, since this process started, if it knows the key.
    pub looked_up: bool,
}

impl Situation<'_> {
    /// A Secret's name, with its namespace if that is not the issuer's own.
    fn named(&self, secret: &str) -> String {
        match self.secrets_namespace {
            None => secret.to_owned(),
            Some(namespace) => format!("{secret} in namespace {namespace}"),
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the account can be used.
    Rest,
    /// Nothing, before `until` or a change of the spec.
    Wait {
        /// When to look again; `None` if only a change of the spec helps.
        until: Option<Timestamp>,
        /// A constant of [`issuer_reason`](crate::api::issuer_reason).
        reason: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// Nothing, before `until`: the condition says what went wrong. `None`: not before the spec changes.
    Hold {
        /// When to look again.
        until: Option<Timestamp>,
    },
    /// Make a key and store it.
    MakeKey,
    /// Put a new key in the place of the one that is bound to another external account; the old one is kept beside it.
    ReplaceKey,
    /// Ask the CA whether it knows the key.
    LookUp,
    /// Read the MAC key.
    ReadMacKey,
    /// Register.
    Register,
    /// Take over the account that is on record: read its state from the CA.
    Adopt(Recorded),
    /// Tell the CA the new e-mail address.
    UpdateContact,
}

/// Decides what to do next.
pub fn next_step(situation: &Situation<'_>, now: Timestamp) -> Step {
    if let Some(step) = holding(situation, now) {
        return step;
    }
    let (name, key) = situation.key_secret_name;
    let name = situation.named(name);
    match situation.key_secret {
        KeySecret::Missing if lost(situation) => Step::Wait {
            until: Some(wait_for_secret(situation, now)),
            reason: reason::SECRET_NOT_FOUND,
            message: format!(
                "Secret {name}, which held the key of account {}, does not exist; restore it, or give up the account by \
                 deleting this issuer and applying it again",
                situation.status.acme.as_ref().map_or("", |acme| acme.uri.as_str())
            ),
        },
        KeySecret::Missing => Step::MakeKey,
        KeySecret::NoSuchKey => Step::Wait {
            until: Some(wait_for_secret(situation, now)),
            reason: reason::SECRET_KEY_NOT_FOUND,
            message: format!(
                "Secret {name} has no key {key} for the account key; add it, or delete the Secret to have one made"
            ),
        },
        KeySecret::Unusable(why) => Step::Wait {
            until: Some(wait_for_secret(situation, now)),
            reason: reason::INVALID_ACCOUNT_KEY,
            message: format!(
                "Secret {name}, key {key}: {why}; put a PEM private key there, or delete the Secret to have one made"
            ),
        },
        KeySecret::Key { thumbprint, ours, account } => {
            with_key(situation, thumbprint, *ours, account.as_ref(), now)
        }
    }
}

fn with_key(
    situation: &Situation<'_>,
    thumbprint: &str,
    ours: bool,
    on_secret: Option<&Recorded>,
    now: Timestamp,
) -> Step {
    let spec = situation.spec;
    let wanted_key_id = spec.external_account_binding.as_ref().map(|binding| binding.key_id.as_str());
    let in_status = situation.status.acme.as_ref().filter(|acme| acme.key_thumbprint == thumbprint);
    let bound_as_wanted = |key_id: Option<&str>| wanted_key_id.is_none() || key_id == wanted_key_id;
    let in_status = in_status.filter(|acme| acme.server == spec.server);
    let on_secret = on_secret.filter(|recorded| recorded.server == spec.server);
    if let Some(acme) = in_status
        && bound_as_wanted(acme.bound_key_id.as_deref())
    {
        return match wanted_contact(spec) == acme.last_registered_email.as_deref() {
            true => Step::Rest,
            false => Step::UpdateContact,
        };
    }
    if let Some(recorded) = on_secret
        && bound_as_wanted(recorded.key_id.as_deref())
    {
        return Step::Adopt(recorded.clone());
    }
    let bound_to = in_status
        .map(|acme| acme.bound_key_id.as_deref())
        .or_else(|| on_secret.map(|recorded| recorded.key_id.as_deref()));
    match bound_to {
        Some(_) if ours => Step::ReplaceKey,
        Some(bound_to) => bound_otherwise(situation, bound_to, now),
        None if !situation.looked_up => Step::LookUp,
        None => register(situation, now),
    }
}

/// A key has one account, and that is bound once and for all. A key of the user's is not ours to replace.
fn bound_otherwise(situation: &Situation<'_>, bound_to: Option<&str>, now: Timestamp) -> Step {
    let (name, key) = situation.key_secret_name;
    let name = situation.named(name);
    let bound_to = bound_to.map_or("no external account".to_owned(), |key_id| format!("the key id {key_id}"));
    Step::Wait {
        until: Some(wait_for_secret(situation, now)),
        reason: reason::INVALID_ACCOUNT_KEY,
        message: format!(
            "Secret {name}, key {key}: the account of this private key is bound to {bound_to} and cannot be bound to \
             another; put a new private key there, or delete the Secret to have one made"
        ),
    }
}

fn register(situation: &Situation<'_>, now: Timestamp) -> Step {
    let Some(binding) = &situation.spec.external_account_binding else { return Step::Register };
    let (name, key) = (situation.named(&binding.key_secret_ref.name), mac_key_in_secret(situation.spec));
    let (reason, message) = match situation.mac_key {
        MacKey::NotRead => return Step::ReadMacKey,
        MacKey::Usable => return Step::Register,
        MacKey::SecretMissing => (
            reason::SECRET_NOT_FOUND,
            format!(
                "Secret {name}, which externalAccountBinding.keySecretRef names, does not exist; apply it"
            ),
        ),
        MacKey::NoSuchKey => (
            reason::SECRET_KEY_NOT_FOUND,
            format!(
                "Secret {name} has no key {key}, which externalAccountBinding.keySecretRef names; add it, or name another"
            ),
        ),
        MacKey::Unusable(why) => (
            reason::INVALID_MAC_KEY,
            format!("Secret {name}, key {key}: {why}; paste the MAC key as the CA shows it"),
        ),
    };
    Step::Wait { until: Some(wait_for_secret(situation, now)), reason, message }
}

/// The condition says why nothing is done, and that has not changed.
fn holding(situation: &Situation<'_>, now: Timestamp) -> Option<Step> {
    let status = situation.status;
    let ready = status.conditions.iter().find(|condition| condition.type_ == CONDITION_READY)?;
    if ready.observed_generation != Some(situation.generation) || ready.status == "True" {
        return None;
    }
    status.failed_attempts?;
    match &status.next_attempt_time {
        // The account is unusable, and nothing but another spec can mend that.
        None => Some(Step::Hold { until: None }),
        Some(until) => (until.0 > now).then_some(Step::Hold { until: Some(until.0) }),
    }
}

/// Whether the Secret that is missing held the key of an account that is on record.
fn lost(situation: &Situation<'_>) -> bool {
    situation.status.acme.as_ref().is_some_and(|acme| {
        let wanted = situation.spec.external_account_binding.as_ref().map(|binding| &binding.key_id);
        acme.server == situation.spec.server && (wanted.is_none() || acme.bound_key_id.as_ref() == wanted)
    })
}

fn wait_for_secret(situation: &Situation<'_>, now: Timestamp) -> Timestamp {
    let ready = situation.status.conditions.iter().find(|condition| condition.type_ == CONDITION_READY);
    let since = ready.map_or(now, |condition| condition.last_transition_time.0);
    look_again(since, now, None, SECRET_BOUNDS)
}

/// The contact that the CA shall have.
pub fn wanted_contact(spec: &AcmeIssuer) -> Option<&str> {
    spec.email.as_deref().filter(|email| !email.is_empty())
}

/// The key in the data of the MAC key's Secret.
pub fn mac_key_in_secret(spec: &AcmeIssuer) -> &str {
    let binding = spec.external_account_binding.as_ref();
    binding.and_then(|binding| binding.key_secret_ref.key.as_deref()).unwrap_or("secret")
}

/// The account key to make.
pub fn account_key_algorithm(spec: &AcmeIssuer) -> KeyAlgorithm {
    let key = spec.account_key.clone().unwrap_or_default();
    match (key.algorithm.unwrap_or_default(), key.size) {
        (AccountKeyAlgorithm::Ecdsa, Some(384)) => KeyAlgorithm::ECDSA_P384,
        (AccountKeyAlgorithm::Ecdsa, _) => KeyAlgorithm::ECDSA_P256,
        (AccountKeyAlgorithm::Rsa, Some(2048)) => KeyAlgorithm::Rsa(2048),
        (AccountKeyAlgorithm::Rsa, Some(4096)) => KeyAlgorithm::Rsa(4096),
        (AccountKeyAlgorithm::Rsa, _) => KeyAlgorithm::Rsa(3072),
    }
}

#[cfg(test)]
mod tests;
