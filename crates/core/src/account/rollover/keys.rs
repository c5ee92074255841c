//! The current account key, the next one, and what is known about them.

use jiff::Timestamp;

use certwright_api::{AccountKeyAlgorithm, AcmeIssuer};
use certwright_pki::KeyAlgorithm;

/// What was gathered about the current key and the next key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys<'a> {
    /// Algorithm and size of the current key.
    pub algorithm: Option<KeyAlgorithm>,
    /// When the current key was generated.
    pub created: Option<Timestamp>,
    /// When the current key replaced another one at the CA.
    pub last_rollover: Option<Timestamp>,
    /// The next key, if one is stored.
    pub next: Option<&'a NextKey>,
    /// The annotation that requests a rollover.
    pub request: Option<&'a str>,
    /// The other issuers with the same key.
    pub peers: &'a [Peer],
    /// Whether the CA may be validating challenges of the account.
    pub validating: bool,
    /// Why the key in the Secret must not be replaced: the Secret belongs to somebody else. `None` if the key may be replaced.
    pub must_stay: Option<&'a str>,
}

/// The next key, which is stored in the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextKey {
    /// Algorithm and size.
    pub algorithm: KeyAlgorithm,
    /// When it was stored.
    pub created: Option<Timestamp>,
}

/// Which key the account has at the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The current key.
    Current,
    /// The next key.
    Next,
    /// The current key. The next key belongs to another account.
    NextIsTaken,
}

/// Another issuer with the same account key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its kind and name.
    pub name: String,
    /// URL of its directory.
    pub server: String,
    /// The algorithm and size in its spec, if it states them.
    pub algorithm: Option<KeyAlgorithm>,
}

/// The algorithm and size in the spec, if it states them.
pub fn stated_algorithm(spec: &AcmeIssuer) -> Option<KeyAlgorithm> {
    let key = spec.account_key.as_ref()?;
    (key.algorithm.is_some() || key.size.is_some()).then(|| account_key_algorithm(spec))
}

/// The algorithm and size of the account key to generate.
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
