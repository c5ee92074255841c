//! Registering an account, with an external account binding if the spec has one.

use jiff::Timestamp;

use super::situation::{Situation, wait_for_secret};
use super::{AccountStep, KeyId, MacKey, key_id_in_secret, mac_key_in_secret};
use certwright_api::issuer_reason as reason;

/// Registers the account. If the spec has an external account, reads it first, or waits for its Secrets.
pub(super) fn register(situation: &Situation<'_>, now: Timestamp) -> AccountStep {
    let Some(binding) = &situation.spec.external_account_binding else { return AccountStep::Register };
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
        (KeyId::Known(_) | KeyId::Unbound, MacKey::NotRead) => return AccountStep::ReadMacKey,
        (KeyId::Known(_) | KeyId::Unbound, MacKey::Usable) => return AccountStep::Register,
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
    AccountStep::Wait { until: Some(wait_for_secret(situation, now)), reason, message }
}

/// A part of the external account: the name of its Secret, the key in the Secret's data, and the field that names both.
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
