//! The content of the Secrets of an issuer: the account key, and the external account.

use jiff::Timestamp;

use certwright_api::{AcmeIssuer, KeyIdSecretRef};

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

/// The key in the data of the MAC key's Secret.
pub fn mac_key_in_secret(spec: &AcmeIssuer) -> &str {
    let binding = spec.external_account_binding.as_ref();
    binding.and_then(|binding| binding.key_secret_ref.key.as_deref()).unwrap_or("secret")
}

/// The key in the data of the Secret with the key id.
pub fn key_id_in_secret(secret: &KeyIdSecretRef) -> &str {
    secret.key.as_deref().unwrap_or("keyID")
}
