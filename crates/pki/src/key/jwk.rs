//! Private keys as JWK (RFC 7517), the format of certbot's account keys.

use aws_lc_rs::rsa;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Curve, KeyError, Pair, PrivateKey, sec1_pair};

/// The members of a private key (RFC 7518 section 6), each in base64url.
#[derive(Deserialize)]
#[serde(tag = "kty")]
enum Jwk {
    #[serde(rename = "EC")]
    Ec { crv: String, x: String, y: String, d: SecretText },
    #[serde(rename = "RSA")]
    Rsa {
        n: String,
        e: String,
        d: SecretText,
        p: SecretText,
        q: SecretText,
        dp: SecretText,
        dq: SecretText,
        qi: SecretText,
    },
}

/// Text that is wiped when it is dropped.
struct SecretText(Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl PrivateKey {
    /// Parses a private key from a PEM text, see [`PrivateKey::from_pem`], or from a JWK: an EC key, or an RSA key with its
    /// primes.
    ///
    /// # Errors
    /// Those of [`PrivateKey::from_pem`]; [`KeyError::Jwk`] if the text is JSON but not such a key.
    pub fn from_pem_or_jwk(text: &[u8]) -> Result<Self, KeyError> {
        match text.trim_ascii_start().first() {
            Some(b'{') => Self::from_jwk(text),
            _ => Self::from_pem(text),
        }
    }

    fn from_jwk(text: &[u8]) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_slice(text).map_err(|_| KeyError::Jwk)?;
        let pair = match jwk {
            Jwk::Ec { crv, x, y, d } => {
                let curve =
                    Curve::ALL.into_iter().find(|curve| curve.to_string() == crv).ok_or(KeyError::Jwk)?;
                let der = sec1(curve, &decode(&x)?, &decode(&y)?, &decode(&d.0)?).ok_or(KeyError::Jwk)?;
                sec1_pair(&der)
            }
            Jwk::Rsa { n, e, d, p, q, dp, dq, qi } => {
                let secrets = [d, p, q, dp, dq, qi].map(|secret| decode(&secret.0));
                let mut numbers = vec![Zeroizing::new(vec![0]), decode(&n)?, decode(&e)?];
                for secret in secrets {
                    numbers.push(secret?);
                }
                let mut content = Zeroizing::new(Vec::new());
                numbers.iter().for_each(|number| integer(number, &mut content));
                rsa::KeyPair::from_der(&tagged(SEQUENCE, &content)).ok().map(Pair::Rsa)
            }
        };
        Self::holding(pair.ok_or(KeyError::Rejected)?)
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// The tag of the public key in a SEC 1 key: context-specific, constructed.
const PUBLIC_KEY: u8 = 0xa1;

/// RFC 5915 section 3, without the curve, which is known.
fn sec1(curve: Curve, x: &[u8], y: &[u8], d: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let width = curve.coordinate_len();
    let mut point = vec![0, 0x04];
    point.extend(padded(x, width)?.iter());
    point.extend(padded(y, width)?.iter());
    let mut content = Zeroizing::new(Vec::new());
    integer(&[1], &mut content);
    content.extend_from_slice(&tagged(OCTET_STRING, &padded(d, width)?));
    content.extend_from_slice(&tagged(PUBLIC_KEY, &tagged(BIT_STRING, &point)));
    Some(tagged(SEQUENCE, &content))
}

/// Some programs omit leading zeros.
fn padded(number: &[u8], width: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut padded = Zeroizing::new(vec![0; width.checked_sub(number.len())?]);
    padded.extend_from_slice(number);
    Some(padded)
}

fn integer(number: &[u8], into: &mut Vec<u8>) {
    let leading_zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(leading_zeros..).unwrap_or_default();
    let mut content = Zeroizing::new(Vec::new());
    // Neither empty nor negative.
    if digits.first().is_none_or(|first| first & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    into.extend_from_slice(&tagged(INTEGER, &content));
}

fn tagged(tag: u8, content: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut der = Zeroizing::new(vec![tag]);
    match u8::try_from(content.len()) {
        Ok(short @ 0..=0x7f) => der.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let significant = length.iter().skip_while(|byte| **byte == 0);
            let count = u8::try_from(significant.clone().count()).unwrap_or_default();
            der.push(0x80 | count);
            der.extend(significant);
        }
    }
    der.extend_from_slice(content);
    der
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    URL_SAFE.decode(text).map(Zeroizing::new).map_err(|_| KeyError::Jwk)
}

const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;
    use crate::{KeyAlgorithm, PublicNumbers};

    /// RFC 7517 appendix A.2.
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
        "use":"enc","kid":"1"}"#;

    #[test]
    fn the_ec_key_of_rfc_7517_is_read() {
        let key = PrivateKey::from_pem_or_jwk(EC.as_bytes()).unwrap();
        assert_eq!(key.algorithm(), KeyAlgorithm::ECDSA_P256);
        let PublicNumbers::Ec { x, .. } = key.public_numbers() else { panic!("not an EC key") };
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(x), "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4");
        assert!(!key.sign(b"message").unwrap().is_empty());
    }

    #[test]
    fn an_rsa_key_as_certbot_writes_it_is_the_key_of_its_pem() {
        let jwk = include_bytes!("../../../../tests/fixtures/account-rsa-jwk.json");
        let pem = include_bytes!("../../../../tests/fixtures/account-rsa-pkcs1.pem");
        let key = PrivateKey::from_pem_or_jwk(jwk).unwrap();
        assert_eq!(key.algorithm(), KeyAlgorithm::Rsa(2048));
        assert_eq!(key.public_key_der(), PrivateKey::from_pem_or_jwk(pem).unwrap().public_key_der());
        assert_eq!(
            key.sign(b"message").unwrap(),
            PrivateKey::from_pem(pem).unwrap().sign(b"message").unwrap(),
            "PKCS#1 signatures are always the same"
        );
    }

    #[test]
    fn json_that_is_not_a_private_key_is_rejected_without_being_quoted() {
        let public = EC.replace(r#""d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","#, "");
        for text in [
            "{",
            "{}",
            r#"{"kty":"oct","k":"AQAB"}"#,
            &public,
            &EC.replace("P-256", "secp256k1"),
            &EC.replace("870MB6", "!!!!!!"),
            &EC.replace("870MB6", "AAAAAAAA"),
        ] {
            assert_eq!(PrivateKey::from_pem_or_jwk(text.as_bytes()).unwrap_err(), KeyError::Jwk, "{text}");
        }
        let other = EC.replace(
            "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        );
        assert_eq!(PrivateKey::from_pem_or_jwk(other.as_bytes()).unwrap_err(), KeyError::Rejected);
    }

    #[test]
    fn leading_zeros_that_a_writer_left_out_are_put_back() {
        assert_eq!(padded(&[1, 2], 4).unwrap().as_slice(), [0, 0, 1, 2]);
        assert!(padded(&[1, 2, 3], 2).is_none());
        let mut der = Vec::new();
        for number in [&[][..], &[0, 0], &[0x7f], &[0x80]] {
            integer(number, &mut der);
        }
        assert_eq!(der, [2, 1, 0, 2, 1, 0, 2, 1, 0x7f, 2, 2, 0, 0x80]);
    }
}
