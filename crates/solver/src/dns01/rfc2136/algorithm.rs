//! The MACs of TSIG (RFC 8945 section 6).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac as lc;
use hickory_resolver::proto::rr::rdata::tsig::TsigAlgorithm;
use hmac::{Hmac, Mac};
use md5::Md5;
use secrecy::{ExposeSecret, SecretSlice};

/// The algorithm of a signature. It is written as in cert-manager (`HMACSHA256`) or with its name in DNS (`hmac-sha256`), in
/// upper or lower case, and displayed as the latter.
///
/// The solver's field is a text, because it can be written in several ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC-MD5. It should not be used any more (RFC 8945 section 6), but old servers support nothing else.
    Md5,
    /// HMAC-SHA-1, likewise.
    Sha1,
    /// HMAC-SHA-224.
    Sha224,
    /// HMAC-SHA-256, the default, which every server must support.
    #[default]
    Sha256,
    /// HMAC-SHA-384.
    Sha384,
    /// HMAC-SHA-512.
    Sha512,
}

/// The text is not an algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a TSIG algorithm; write HMACSHA256, HMACSHA512, HMACSHA384, HMACSHA224, HMACSHA1 or HMACMD5"
)]
pub struct AlgorithmError(pub String);

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 6] =
        [Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    pub(super) fn to_dns(self) -> TsigAlgorithm {
        match self {
            Self::Md5 => TsigAlgorithm::HmacMd5,
            Self::Sha1 => TsigAlgorithm::HmacSha1,
            Self::Sha224 => TsigAlgorithm::HmacSha224,
            Self::Sha256 => TsigAlgorithm::HmacSha256,
            Self::Sha384 => TsigAlgorithm::HmacSha384,
            Self::Sha512 => TsigAlgorithm::HmacSha512,
        }
    }

    pub(super) fn sign(self, key: &SecretSlice<u8>, data: &[u8]) -> Vec<u8> {
        match self.of_aws_lc() {
            Some(algorithm) => {
                lc::sign(&lc::Key::new(algorithm, key.expose_secret()), data).as_ref().to_vec()
            }
            None => md5(key)
                .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
                .unwrap_or_default(),
        }
    }

    /// Whether `mac` is the MAC of `data`. A truncated MAC (RFC 8945 section 5.2.2.1) is rejected.
    pub(super) fn verify(self, key: &SecretSlice<u8>, data: &[u8], mac: &[u8]) -> bool {
        match self.of_aws_lc() {
            Some(algorithm) => lc::verify(&lc::Key::new(algorithm, key.expose_secret()), data, mac).is_ok(),
            None => md5(key).is_some_and(|state| state.chain_update(data).verify_slice(mac).is_ok()),
        }
    }

    fn of_aws_lc(self) -> Option<lc::Algorithm> {
        match self {
            Self::Md5 => None,
            Self::Sha1 => Some(lc::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha224 => Some(lc::HMAC_SHA224),
            Self::Sha256 => Some(lc::HMAC_SHA256),
            Self::Sha384 => Some(lc::HMAC_SHA384),
            Self::Sha512 => Some(lc::HMAC_SHA512),
        }
    }
}

/// Keys of any length are valid, so this is never `None`.
fn md5(key: &SecretSlice<u8>) -> Option<Hmac<Md5>> {
    Hmac::new_from_slice(key.expose_secret()).ok()
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        let error = || AlgorithmError(text.to_owned());
        let lower = text.trim().trim_end_matches('.').to_ascii_lowercase();
        Ok(match lower.strip_suffix(".sig-alg.reg.int").unwrap_or(&lower).replace('-', "").as_str() {
            "hmacmd5" => Self::Md5,
            "hmacsha1" => Self::Sha1,
            "hmacsha224" => Self::Sha224,
            "hmacsha256" => Self::Sha256,
            "hmacsha384" => Self::Sha384,
            "hmacsha512" => Self::Sha512,
            _ => return Err(error()),
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "hmac-md5",
            Self::Sha1 => "hmac-sha1",
            Self::Sha224 => "hmac-sha224",
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_algorithm_is_understood() {
        for (algorithm, spellings) in Algorithm::ALL.into_iter().zip([
            ["HMACMD5", "hmac-md5.sig-alg.reg.int."],
            ["HMACSHA1", "hmac-sha1"],
            ["HMACSHA224", "hmac-sha224."],
            ["HMACSHA256", "HMAC-SHA256"],
            ["hmacsha384", "hmac-sha384"],
            ["HmacSha512", "hmac-sha512"],
        ]) {
            for spelling in spellings.map(str::to_owned).into_iter().chain([algorithm.to_string()]) {
                assert_eq!(spelling.parse(), Ok(algorithm), "{spelling}");
            }
        }
        assert!(
            "hmac-sha3".parse::<Algorithm>().unwrap_err().to_string().starts_with("\"hmac-sha3\" is not")
        );
    }

    #[test]
    fn the_macs_are_those_of_the_rfcs() {
        // RFC 2202 section 2 and 3, test case 2; RFC 4231 section 4.3.
        let key = SecretSlice::from(b"Jefe".to_vec());
        for (algorithm, start) in [
            (Algorithm::Md5, "750c783e6ab0b503eaa86e310a5db738"),
            (Algorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Algorithm::Sha224, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
            (Algorithm::Sha256, "5bdcc146bf60754e6a042426089575c7"),
            (Algorithm::Sha384, "af45d2e376484031617f78d2b58a6b1b"),
            (Algorithm::Sha512, "164b7a7bfcf819e2e395fbe73b56e0a3"),
        ] {
            let mac = algorithm.sign(&key, b"what do ya want for nothing?");
            let hex = mac.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            assert!(hex.starts_with(start), "{algorithm}: {hex}");
            assert!(algorithm.verify(&key, b"what do ya want for nothing?", &mac));
            assert!(!algorithm.verify(&key, b"what do ya want for nothing!", &mac));
            assert!(!algorithm.verify(&key, b"what do ya want for nothing?", &mac[..10]));
        }
    }
}
