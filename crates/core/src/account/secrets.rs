//! The content of an issuer's Secrets: the account key, and the external account.

use jiff::Timestamp;

use certwright_api::{AcmeIssuer, KeyIdSecretRef};

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
