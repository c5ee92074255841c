use std::fmt;

use aws_lc_rs::hmac;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

/// The credential with which a CA binds a new account to a customer (RFC 8555 section 7.3.4).
///
/// It is used at registration. An existing account never needs it again.
#[derive(Debug)]
pub struct ExternalAccountKey {
    /// The opaque key id from the CA.
    pub key_id: String,
    /// The key itself; see [`parse_mac_key`].
    pub mac_key: SecretSlice<u8>,
    /// The algorithm that the CA requires; most accept [`MacAlgorithm::Hs256`].
    pub algorithm: MacAlgorithm,
}

impl ExternalAccountKey {
    pub(super) fn sign(&self, message: &[u8]) -> hmac::Tag {
        let algorithm = match self.algorithm {
            MacAlgorithm::Hs256 => hmac::HMAC_SHA256,
            MacAlgorithm::Hs384 => hmac::HMAC_SHA384,
            MacAlgorithm::Hs512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, self.mac_key.expose_secret()), message)
    }
}

/// How the binding is signed (RFC 7518 section 3.2).
///
/// An issuer's field has a type of its own in `certwright-api`, because this crate knows nothing of Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256, which every CA accepts.
    #[default]
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl fmt::Display for MacAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        })
    }
}

/// Decodes a MAC key as people paste it: base64url, as CAs provide it, or standard base64, padded or not, with surrounding
/// white space.
///
/// # Errors
/// [`MacKeyError`] for anything else. The error never quotes the key.
pub fn parse_mac_key(text: &[u8]) -> Result<SecretSlice<u8>, MacKeyError> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(MacKeyError::Empty);
    }
    let standard = text.iter().any(|byte| matches!(byte, b'+' | b'/'));
    let engine = if standard { STANDARD } else { URL_SAFE };
    let mut key = Zeroizing::new(engine.decode(text).map_err(|_| MacKeyError::NotBase64)?);
    Ok(std::mem::take(&mut *key).into())
}

/// Why a MAC key is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacKeyError {
    /// It is empty.
    #[error("the MAC key is empty")]
    Empty,
    /// It is neither base64url nor standard base64.
    #[error("the MAC key is not valid base64url")]
    NotBase64,
}

/// Bits after the last byte are accepted, as in Go: some CAs generate keys from random base64url characters.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_key_is_accepted_in_every_form_that_people_paste() {
        let key = [0xfb, 0xff, 0xbf, 0x01];
        for spelling in
            ["-_-_AQ", "-_-_AQ==", "+/+/AQ==", "+/+/AQ", "-_-_AQ\n", "-_-_AQ==\r\n", " \t+/+/AQ==\n\n"]
        {
            assert_eq!(parse_mac_key(spelling.as_bytes()).unwrap().expose_secret(), key, "{spelling:?}");
        }
    }

    #[test]
    fn a_mac_key_with_bits_after_its_last_byte_is_accepted() {
        assert_eq!(parse_mac_key(b"-_-_AR").unwrap().expose_secret(), [0xfb, 0xff, 0xbf, 0x01]);
    }

    #[test]
    fn a_mac_key_that_is_not_base64_is_rejected() {
        for empty in ["", " ", "\n"] {
            assert_eq!(parse_mac_key(empty.as_bytes()).unwrap_err(), MacKeyError::Empty, "{empty:?}");
        }
        for wrong in ["not base64!", "-_+/", "AAAAA", "AQ===", "AA==AA", "A\nQ", "\u{feff}AQ", "=", "{AQ}"] {
            assert_eq!(parse_mac_key(wrong.as_bytes()).err(), Some(MacKeyError::NotBase64), "{wrong:?}");
        }
        assert_eq!(parse_mac_key(&[0xff, 0xfe]).unwrap_err(), MacKeyError::NotBase64);
    }

    #[test]
    fn a_mac_key_does_not_show_in_debug_output() {
        let key = ExternalAccountKey {
            key_id: "kid-1".to_owned(),
            mac_key: parse_mac_key(b"c2VjcmV0").unwrap(),
            algorithm: MacAlgorithm::Hs256,
        };
        let shown = format!("{key:?}");
        assert!(shown.contains("kid-1") && !shown.contains("115") && !shown.contains("secret"), "{shown}");
    }
}
