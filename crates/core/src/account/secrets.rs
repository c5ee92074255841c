//! The content of an issuer's Secrets: the account key, and the external account.

use jiff::Timestamp;

use certwright_api::{AcmeIssuer, KeyIdSecretRef};
use certwright_pki::{Curve, KeyAlgorithm};

/// The longest key id, in bytes.
const LONGEST_KEY_ID: usize = 1024;

/// What the account key Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySecret {
    /// There is no such Secret.
    Missing,
    /// The Secret has no such key in its data.
    NoSuchKey,
    /// It does not hold a key that an account can have; the message says why.
    Unusable(String),
    /// It has another owner, such as a Certificate; the message says which.
    OfSomebodyElse(String),
    /// It holds an account key.
    Key {
        /// RFC 7638 thumbprint of the key.
        thumbprint: String,
        /// Whether Certwright created the Secret, and so may replace the key.
        ours: bool,
        /// The account of the key, as recorded in the Secret.
        account: Option<Recorded>,
    },
}

/// An account that is recorded in the status or in the account key Secret.
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

/// The key id of the external account in the spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyId {
    /// The spec has no external account.
    Unbound,
    /// It is known.
    Known(String),
    /// There is no such Secret.
    SecretMissing,
    /// The Secret has no such key in its data.
    NoSuchKey,
    /// It does not hold a key id; the message says why.
    Unusable(String),
}

impl KeyId {
    /// The key id that a user pasted into a Secret.
    pub fn parse(text: &[u8]) -> Self {
        match std::str::from_utf8(text).map(str::trim) {
            Ok("") => Self::Unusable("the key id is empty".to_owned()),
            Ok(text) if text.len() > LONGEST_KEY_ID => {
                Self::Unusable("the key id has more than 1024 characters".to_owned())
            }
            Ok(text) if text.chars().any(char::is_control) => {
                Self::Unusable("the key id has more than one line, or control characters".to_owned())
            }
            Ok(text) => Self::Known(text.to_owned()),
            Err(_) => Self::Unusable("the key id is not text".to_owned()),
        }
    }
}

/// The MAC key of the external account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacKey {
    /// It has not been read.
    NotRead,
    /// There is no such Secret.
    SecretMissing,
    /// The Secret has no such key in its data.
    NoSuchKey,
    /// It does not hold base64; the message says why.
    Unusable(String),
    /// It can be used.
    Usable,
}

/// The key in the data of the Secret with the MAC key.
pub fn mac_key_in_secret(spec: &AcmeIssuer) -> &str {
    let binding = spec.external_account_binding.as_ref();
    binding.and_then(|binding| binding.key_secret_ref.key.as_deref()).unwrap_or("secret")
}

/// The key in the data of the Secret with the key id.
pub fn key_id_in_secret(secret: &KeyIdSecretRef) -> &str {
    secret.key.as_deref().unwrap_or("keyID")
}

/// Why an account cannot have a key of this algorithm and size; `None` if it can.
pub fn refusal_of_key(algorithm: KeyAlgorithm) -> Option<String> {
    match algorithm {
        KeyAlgorithm::Ecdsa(Curve::P256 | Curve::P384) | KeyAlgorithm::Rsa(2048..=4096) => None,
        other => Some(format!(
            "an ACME account cannot have a key of {other}; use ECDSA P-256 or P-384, or RSA 2048 to 4096"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_is_one_line_of_text() {
        for (text, expected) in [
            (&b" kid-1\n"[..], Ok("kid-1")),
            (b"", Err("is empty")),
            (b" \n", Err("is empty")),
            (b"kid\n2", Err("more than one line")),
            (b"kid\0", Err("control characters")),
            (b"\xff", Err("is not text")),
            (&[b'k'; 1024], Ok(&"k".repeat(1024))),
            (&[b'k'; 1025], Err("more than 1024 characters")),
        ] {
            match (KeyId::parse(text), expected) {
                (KeyId::Known(id), Ok(expected)) => assert_eq!(id, expected),
                (KeyId::Unusable(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (parsed, _) => panic!("{text:?}: {parsed:?}"),
            }
        }
    }

    #[test]
    fn a_key_that_no_ca_accepts_for_an_account_is_refused() {
        for usable in [KeyAlgorithm::ECDSA_P256, KeyAlgorithm::ECDSA_P384, KeyAlgorithm::Rsa(3000)] {
            assert_eq!(refusal_of_key(usable), None);
        }
        for other in [KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa(1024), KeyAlgorithm::Rsa(8192)] {
            assert!(refusal_of_key(other).unwrap().contains(&other.to_string()));
        }
    }
}
