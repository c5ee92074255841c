//! A key that is shared with the name server.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hickory_resolver::proto::rr::Name;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use zeroize::Zeroizing;

use super::Algorithm;
use super::algorithm::AlgorithmError;
use crate::dns01::resolver::fully_qualified;
use crate::dns01::undotted;

/// Base64 as in key files; padding is optional because it gets lost in copying.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A key that is shared with the name server. `Debug` shows everything but the secret.
#[derive(Clone)]
pub struct TsigKey {
    pub(super) name: Name,
    pub(super) algorithm: Algorithm,
    pub(super) secret: SecretSlice<u8>,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is not a DNS name.
    #[error("the TSIG key's name {0:?} is not a DNS name; write it as in the name server's configuration")]
    Name(String),
    /// The algorithm is unknown.
    #[error(transparent)]
    Algorithm(#[from] AlgorithmError),
    /// The secret is not base64.
    #[error("the TSIG secret is not base64; store it as in the name server's key file")]
    NotBase64,
    /// The secret is empty.
    #[error("the TSIG secret is empty; store it as in the name server's key file")]
    Empty,
}

impl TsigKey {
    /// Creates a key from its name, its algorithm ([`Algorithm::default`] if `None`), and its secret in base64 as in key files.
    /// White space and missing padding are ignored.
    pub fn new(name: &str, algorithm: Option<&str>, secret: &SecretString) -> Result<Self, KeyError> {
        let parsed = Name::from_ascii(name.trim()).map_err(|_| KeyError::Name(name.to_owned()))?;
        if parsed.iter().len() == 0 {
            return Err(KeyError::Name(name.to_owned()));
        }
        let algorithm = match algorithm.map(str::trim) {
            None | Some("") => Algorithm::default(),
            Some(algorithm) => algorithm.parse()?,
        };
        let text: Zeroizing<String> = Zeroizing::new(secret.expose_secret().split_whitespace().collect());
        let secret = BASE64.decode(text.as_bytes()).map_err(|_| KeyError::NotBase64)?;
        if secret.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self { name: fully_qualified(parsed), algorithm, secret: secret.into() })
    }

    /// The name as shown in messages.
    pub(super) fn shown_name(&self) -> String {
        undotted(&self.name.to_ascii()).to_owned()
    }
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TsigKey({}, {})", self.shown_name(), self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, secret: &str) -> Result<TsigKey, KeyError> {
        TsigKey::new(name, None, &SecretString::from(secret))
    }

    #[test]
    fn a_secret_is_accepted_in_spite_of_copying_errors() {
        for secret in ["c2VjcmV0IQ==", "c2VjcmV0IQ", " c2Vj\ncmV0IQ=\n="] {
            assert_eq!(key("k.test", secret).unwrap().secret.expose_secret(), b"secret!");
        }
    }

    #[test]
    fn an_invalid_key_is_rejected_without_showing_the_secret() {
        assert_eq!(key("k", "hunter2!").unwrap_err(), KeyError::NotBase64);
        assert_eq!(key("k", " ").unwrap_err(), KeyError::Empty);
        assert_eq!(key("", "c2VjcmV0IQ==").unwrap_err(), KeyError::Name(String::new()));
        assert_eq!(key("a..b", "c2VjcmV0IQ==").unwrap_err(), KeyError::Name("a..b".to_owned()));
        let error = TsigKey::new("k", Some("rot13"), &SecretString::from("c2VjcmV0IQ==")).unwrap_err();
        assert!(matches!(error, KeyError::Algorithm(_)), "{error:?}");
    }

    #[test]
    fn a_key_does_not_show_its_secret() {
        assert_eq!(format!("{:?}", key("k.test", "c2VjcmV0IQ==").unwrap()), "TsigKey(k.test, hmac-sha256)");
    }
}
