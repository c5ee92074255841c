//! The account key, the next one, and what is known about them.

use jiff::Timestamp;

use certwright_api::{AccountKeyAlgorithm, AcmeIssuer};
use certwright_pki::KeyAlgorithm;

/// What was gathered about the account key and the next one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys<'a> {
    /// Algorithm and size of the account key.
    pub algorithm: Option<KeyAlgorithm>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it took the place of another at the CA.
    pub last_rollover: Option<Timestamp>,
    /// The next key, if one is stored.
    pub next: Option<&'a NextKey>,
    /// The annotation that asks for another key.
    pub request: Option<&'a str>,
    /// The other issuers with the same key.
    pub peers: &'a [Peer],
    /// Whether the CA may be looking at answers to challenges of the account.
    pub validating: bool,
    /// Why no other key may be put into the Secret, if that is so: it is somebody else's.
    pub must_stay: Option<&'a str>,
}

/// The keys, and what is known about them.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// What was gathered.
    pub keys: Keys<'a>,
    /// Which of the two the CA knows, if it was asked since that may have changed.
    pub known: Option<Known>,
    /// Whether the CA was asked and does not know the next key.
    pub next_is_unknown: bool,
}

/// The key that is to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextKey {
    /// Algorithm and size.
    pub algorithm: KeyAlgorithm,
    /// When it was stored.
    pub created: Option<Timestamp>,
}

/// Which key the CA knows as that of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The one that it had.
    Current,
    /// The one that was to follow.
    Next,
    /// The one that it had; the one that was to follow is that of another account.
    NextIsTaken,
}

/// Another issuer with the same account key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its kind and name.
    pub name: String,
    /// URL of its directory.
    pub server: String,
    /// The key that its spec asks for, if it does.
    pub algorithm: Option<KeyAlgorithm>,
}

/// The key that the spec asks for, if it asks for one.
pub fn stated_algorithm(spec: &AcmeIssuer) -> Option<KeyAlgorithm> {
    let key = spec.account_key.as_ref()?;
    (key.algorithm.is_some() || key.size.is_some()).then(|| account_key_algorithm(spec))
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
