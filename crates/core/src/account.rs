//! The account of an issuer: one state machine.
//!
//! [`next_step`] decides what to do, a controller does it, and [`State::apply`] makes the transition that follows from the
//! [`Outcome`]. Every condition, event, backoff and reading of a CA's error is made here.

mod apply;
mod contact;
pub mod deactivation;
pub mod evidence;
mod failure;
mod history;
mod outcome;
mod replacement;
pub mod rollover;
mod state;
mod terms;

pub use contact::{note_contact, wanted_contact};
pub use history::{entry_of_previous, with_deactivated, with_previous};
pub use outcome::{CaAccount, Consequence, Next, Outcome, Report, Undone, Verdict};
pub use replacement::Replacement;
pub use state::{Snapshot, State};
pub use terms::{changed_terms, has_other_terms, note_terms};

use std::time::Duration;

use self::state::Pending;
use jiff::{SignedDuration, Timestamp};

use crate::backoff::look_again;
use certwright_api::{
    AccountKeyAlgorithm, AcmeIssuer, CONDITION_READY, IssuerStatus, KeyIdSecretRef, PreviousAccount,
    issuer_reason as reason,
};
use certwright_pki::KeyAlgorithm;

/// How long to wait for a Secret that does not exist yet: Secrets of others are not watched.
const SECRET_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How old the knowledge of a key id in a Secret may become.
const KEY_ID_AGE: SignedDuration = SignedDuration::from_mins(10);

/// What the account key Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySecret {
    /// There is no such Secret.
    Missing,
    /// The Secret has no such key in its data.
    NoSuchKey,
    /// What it holds is not a key that an account can have; the text says why.
    Unusable(String),
    /// It is somebody else's, such as the one of a Certificate; the text says whose.
    OfSomebodyElse(String),
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
    /// When the CA confirmed that it is deactivated.
    pub deactivated: Option<Timestamp>,
}

/// The key id of the external account that the spec wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyId {
    /// The spec wants no external account.
    Unbound,
    /// It is known.
    Known(String),
    /// There is no such Secret.
    SecretMissing,
    /// The Secret has no such key in its data.
    NoSuchKey,
    /// What it holds is no key id; the text says why.
    Unusable(String),
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

/// What is gathered and what is known, which the next step is decided on.
#[derive(Clone, Copy, Debug)]
struct Situation<'a> {
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
    pub rollover: rollover::View<'a>,
}

impl Situation<'_> {
    /// Whether Certwright made the account key's Secret.
    fn key_is_ours(&self) -> bool {
        matches!(self.key_secret, KeySecret::Key { ours: true, .. })
    }

    /// A Secret's name, with its namespace if that is not the issuer's own.
    fn named(&self, secret: &str) -> String {
        match self.secrets_namespace {
            None => secret.to_owned(),
            Some(namespace) => format!("{secret} in namespace {namespace}"),
        }
    }

    /// The key id that the account shall be bound to, if that is known.
    fn wanted_key_id(&self) -> Option<&str> {
        match self.key_id {
            KeyId::Known(key_id) => Some(key_id),
            _ => None,
        }
    }

    fn may_make_key(&self) -> bool {
        self.spec.disable_account_key_generation != Some(true)
    }

    /// How else a Secret that holds no usable key can be mended.
    fn or_have_one_made(&self) -> &'static str {
        if self.may_make_key() { ", or delete the Secret to generate a new one" } else { "" }
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
        /// A constant of [`issuer_reason`](certwright_api::issuer_reason).
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
    /// Write to the Secret of the key that the CA has confirmed its account.
    RecordAccount {
        /// URL of the account.
        url: String,
        /// Key id of the external account that it is bound to.
        key_id: Option<String>,
    },
    /// Write to the Secret that the account at this URL is deactivated.
    RecordEnd(String),
    /// Take note that the account on record is deactivated.
    NoteEnd(Recorded),
    /// Put back the key of an account that the issuer had before; the present one is kept beside it.
    ReturnTo(PreviousAccount),
    /// Tell the CA the new e-mail addresses.
    UpdateContact,
    /// Deactivate the account at this URL.
    Deactivate(String),
    /// Have the issuer's deletion wait for us.
    SetFinalizer,
    /// Have the issuer's deletion wait for us no more.
    DropFinalizer,
    /// Change the account key, or find out whether it was changed.
    Rollover(rollover::Step),
}

/// Decides what to do next.
pub fn next_step(state: &State, snapshot: &Snapshot<'_>, now: Timestamp) -> Step {
    match &state.pending {
        Some(Pending::Confirmed { account, .. }) => {
            return Step::RecordAccount { url: account.url.clone(), key_id: snapshot.wanted_key_id() };
        }
        Some(Pending::Ended { url, .. }) => return Step::RecordEnd(url.clone()),
        Some(Pending::Unknown { .. }) => return Step::LookUp,
        None => {}
    }
    let situation = snapshot.with(state);
    let step = decide(&situation, now);
    // The CA refuses the account while another key stands ready: it may have taken that one after all.
    let is_doubtful = step == Step::Rest
        && snapshot.verdict.is_some()
        && snapshot.keys.next.is_some()
        && state.asked_about.is_none();
    if is_doubtful {
        let rollover = rollover::View { known: None, ..situation.rollover };
        return decide(&Situation { rollover, ..situation }, now);
    }
    step
}

fn decide(situation: &Situation<'_>, now: Timestamp) -> Step {
    let step = match rollover::in_doubt(situation) {
        // Nothing can be asked of the account before it is known which key it has.
        Some(doubt) => holding(situation, now).unwrap_or(Step::Rollover(doubt)),
        None => deactivation::due(situation, now)
            .or_else(|| holding(situation, now))
            .unwrap_or_else(|| with_secret(situation, now)),
    };
    match (situation.held, deactivation::needs_hold(situation, &step)) {
        (false, true) => Step::SetFinalizer,
        (true, false) => Step::DropFinalizer,
        _ => step,
    }
}

fn with_secret(situation: &Situation<'_>, now: Timestamp) -> Step {
    let (name, key) = situation.key_secret_name;
    let name = situation.named(name);
    let until = Some(wait_for_secret(situation, now));
    match situation.key_secret {
        KeySecret::Missing => without_secret(situation, now),
        KeySecret::NoSuchKey => Step::Wait {
            until,
            reason: reason::SECRET_KEY_NOT_FOUND,
            message: format!(
                "Secret {name} has no key {key} for the account key; add it{}",
                situation.or_have_one_made()
            ),
        },
        KeySecret::Unusable(why) => Step::Wait {
            until,
            reason: reason::INVALID_ACCOUNT_KEY,
            message: format!(
                "Secret {name}, key {key}: {why}; put a private key there, as PEM or JWK{}",
                situation.or_have_one_made()
            ),
        },
        KeySecret::OfSomebodyElse(why) => Step::Wait {
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

fn without_secret(situation: &Situation<'_>, now: Timestamp) -> Step {
    let name = situation.named(situation.key_secret_name.0);
    let account = situation.status.acme.as_ref().filter(|_| lost(situation));
    let message = match account {
        Some(acme) if acme.deactivation_time.is_some() => return deactivation::ended(situation, &acme.uri),
        Some(acme) => format!(
            "Secret {name}, which held the key of account {}, does not exist; restore it, or delete and recreate \
             this issuer to register a new account",
            acme.uri
        ),
        None if situation.may_make_key() => return Step::MakeKey,
        None => format!(
            "Secret {name} with the account key does not exist, and disableAccountKeyGeneration prevents generating one; create it"
        ),
    };
    Step::Wait { until: Some(wait_for_secret(situation, now)), reason: reason::SECRET_NOT_FOUND, message }
}

fn with_key(
    situation: &Situation<'_>,
    thumbprint: &str,
    ours: bool,
    on_secret: Option<&Recorded>,
    now: Timestamp,
) -> Step {
    let spec = situation.spec;
    let wanted_key_id = situation.wanted_key_id();
    let in_status = situation.status.acme.as_ref().filter(|acme| acme.key_thumbprint == thumbprint);
    let bound_as_wanted = |key_id: Option<&str>| wanted_key_id.is_none() || key_id == wanted_key_id;
    let in_status = in_status.filter(|acme| acme.server == spec.server);
    let on_secret = on_secret.filter(|recorded| recorded.server == spec.server);
    let ended = on_secret.filter(|recorded| recorded.deactivated.is_some());
    if let Some(acme) = in_status
        && bound_as_wanted(acme.bound_key_id.as_deref())
    {
        return match (&acme.deactivation_time, ended) {
            (Some(_), _) => deactivation::ended(situation, &acme.uri),
            (None, Some(ended)) => Step::NoteEnd(ended.clone()),
            (None, None) if contact::is_told(acme, &wanted_contact(spec)) => {
                rollover::next_step(situation, now).map_or(Step::Rest, Step::Rollover)
            }
            (None, None) => Step::UpdateContact,
        };
    }
    if let Some(recorded) = on_secret
        && bound_as_wanted(recorded.key_id.as_deref())
    {
        let recorded = recorded.clone();
        return if ended.is_some() { Step::NoteEnd(recorded) } else { Step::Adopt(recorded) };
    }
    if let Some(key_id) = wanted_key_id.filter(|_| ours)
        && let Some(previous) = history::to_return_to(situation.history, &spec.server, key_id)
    {
        return Step::ReturnTo(previous.clone());
    }
    let bound_to = in_status
        .map(|acme| acme.bound_key_id.as_deref())
        .or_else(|| on_secret.map(|recorded| recorded.key_id.as_deref()));
    match bound_to {
        Some(_) if ours && situation.may_make_key() => Step::ReplaceKey,
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
             another; put a new private key there{}",
            situation.or_have_one_made()
        ),
    }
}

fn register(situation: &Situation<'_>, now: Timestamp) -> Step {
    let Some(binding) = &situation.spec.external_account_binding else { return Step::Register };
    let mac_key = (binding.key_secret_ref.name.as_str(), mac_key_in_secret(situation.spec), "keySecretRef");
    let key_id = binding.key_id_secret_ref.as_ref();
    let key_id = key_id.map_or(("", "", "keyID"), |secret| {
        (secret.name.as_str(), key_id_in_secret(secret), "keyIDSecretRef")
    });
    let (reason, message) = match (situation.key_id, situation.mac_key) {
        (KeyId::SecretMissing, _) => no_secret(situation, key_id),
        (KeyId::NoSuchKey, _) => no_key(situation, key_id),
        (KeyId::Unusable(why), _) => (
            reason::INVALID_KEY_ID,
            format!(
                "Secret {}, key {}: {why}; paste the key id as the CA shows it",
                situation.named(key_id.0),
                key_id.1
            ),
        ),
        (KeyId::Known(_) | KeyId::Unbound, MacKey::NotRead) => return Step::ReadMacKey,
        (KeyId::Known(_) | KeyId::Unbound, MacKey::Usable) => return Step::Register,
        (_, MacKey::SecretMissing) => no_secret(situation, mac_key),
        (_, MacKey::NoSuchKey) => no_key(situation, mac_key),
        (_, MacKey::Unusable(why)) => (
            reason::INVALID_MAC_KEY,
            format!(
                "Secret {}, key {}: {why}; paste the MAC key as the CA shows it",
                situation.named(mac_key.0),
                mac_key.1
            ),
        ),
    };
    Step::Wait { until: Some(wait_for_secret(situation, now)), reason, message }
}

/// A part of the external account: the name of its Secret, the key in the data of that, and the field that names both.
type Part<'a> = (&'a str, &'a str, &'a str);

fn no_secret(situation: &Situation<'_>, (name, _, field): Part<'_>) -> (&'static str, String) {
    let name = situation.named(name);
    let message =
        format!("Secret {name}, which externalAccountBinding.{field} names, does not exist; create it");
    (reason::SECRET_NOT_FOUND, message)
}

fn no_key(situation: &Situation<'_>, (name, key, field): Part<'_>) -> (&'static str, String) {
    let name = situation.named(name);
    let message = format!(
        "Secret {name} has no key {key}, which externalAccountBinding.{field} names; add it, or name another"
    );
    (reason::SECRET_KEY_NOT_FOUND, message)
}

/// The condition says why nothing is done, and that has not changed.
fn holding(situation: &Situation<'_>, now: Timestamp) -> Option<Step> {
    let status = situation.status;
    let ready = status.conditions.iter().find(|condition| condition.type_ == CONDITION_READY)?;
    if ready.observed_generation != Some(situation.generation) || ready.status == "True" {
        return None;
    }
    status.failed_attempts?;
    // What the CA has refused may have been the MAC key or the key id: others are tried at once.
    let refused = status.refused_external_account_version.as_deref();
    if refused.is_some() && situation.external_account_version.is_some_and(|version| Some(version) != refused)
    {
        return None;
    }
    let look = refused.map(|_| wait_for_secret(situation, now));
    match &status.next_attempt_time {
        // The account is unusable, and nothing but another spec, or another Secret, can mend that.
        None => Some(Step::Hold { until: look }),
        Some(until) if until.0 > now => Some(Step::Hold { until: look.into_iter().chain([until.0]).min() }),
        Some(_) => None,
    }
}

/// Whether the Secret that is missing held the key of an account that is on record.
fn lost(situation: &Situation<'_>) -> bool {
    situation.status.acme.as_ref().is_some_and(|acme| {
        let wanted = situation.wanted_key_id();
        acme.server == situation.spec.server && (wanted.is_none() || acme.bound_key_id.as_deref() == wanted)
    })
}

fn wait_for_secret(situation: &Situation<'_>, now: Timestamp) -> Timestamp {
    let ready = situation.status.conditions.iter().find(|condition| condition.type_ == CONDITION_READY);
    let since = ready.map_or(now, |condition| condition.last_transition_time.0);
    look_again(since, now, None, SECRET_BOUNDS)
}

/// The key in the data of the MAC key's Secret.
pub fn mac_key_in_secret(spec: &AcmeIssuer) -> &str {
    let binding = spec.external_account_binding.as_ref();
    binding.and_then(|binding| binding.key_secret_ref.key.as_deref()).unwrap_or("secret")
}

/// The key in the data of the Secret with the key id.
pub fn key_id_in_secret(secret: &KeyIdSecretRef) -> &str {
    secret.key.as_deref().unwrap_or("keyID")
}

/// When to look again at the Secret with the key id of an account that is ready: Secrets of others are not watched.
pub fn look_at_key_id(spec: &AcmeIssuer, now: Timestamp) -> Option<Timestamp> {
    let binding = spec.external_account_binding.as_ref()?;
    binding.key_id_secret_ref.as_ref()?;
    now.checked_add(KEY_ID_AGE).ok()
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
