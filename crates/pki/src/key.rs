mod algorithm;
mod jwk;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P521_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use p384::ecdsa::signature::hazmat::PrehashSigner;
use p384::pkcs8::DecodePrivateKey;
use pem::{EncodeConfig, LineEnding, Pem};
use x509_parser::asn1_rs::{Any, FromDer, OctetString, Sequence};
use zeroize::{Zeroize, Zeroizing};

pub use self::algorithm::{Curve, KeyAlgorithm};

/// A private key for an ACME account or a certificate: RSA, ECDSA on a NIST curve, or Ed25519.
///
/// The key is stored parsed, in memory that aws-lc wipes when the last clone is dropped. Cloning is cheap, and `Debug` shows
/// only the algorithm.
#[derive(Clone)]
pub struct PrivateKey(Arc<Held>);

struct Held {
    pair: Pair,
    public_key_der: Vec<u8>,
}

enum Pair {
    Ecdsa(Curve, EcdsaKeyPair),
    Rsa(rsa::KeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// Generates a new key.
    ///
    /// Generating an RSA key takes from a tenth of a second to many seconds of CPU time: call this within `spawn_blocking`.
    ///
    /// # Errors
    /// [`KeyError::RsaSize`] for an RSA size not in [`KeyAlgorithm::RSA_SIZES`], [`KeyError::Generate`] if the
    /// cryptography library fails.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generate(algorithm);
        let pair = match algorithm {
            KeyAlgorithm::Ecdsa(curve) => {
                Pair::Ecdsa(curve, EcdsaKeyPair::generate(curve.fixed()).map_err(failed)?)
            }
            KeyAlgorithm::Rsa(bits) => Pair::Rsa(rsa::KeyPair::generate(key_size(bits)?).map_err(failed)?),
            KeyAlgorithm::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        };
        Self::holding(pair)
    }

    /// Parses the first private key in a PEM text: PKCS#8 (`PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`) or SEC1 (`EC PRIVATE
    /// KEY`). Anything else in the text, such as `EC PARAMETERS`, is ignored.
    ///
    /// # Errors
    /// [`KeyError::Pem`], [`KeyError::Missing`], [`KeyError::Encrypted`] or [`KeyError::Rejected`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let blocks = pem::parse_many(text).map_err(|_| KeyError::Pem)?;
        let block =
            blocks.into_iter().find(|block| block.tag().ends_with("PRIVATE KEY")).ok_or(KeyError::Missing)?;
        let encrypted = block.tag() == "ENCRYPTED PRIVATE KEY" || block.headers().get("DEK-Info").is_some();
        let tag = block.tag().to_owned();
        let der = Zeroizing::new(block.into_contents());
        let pair = match tag.as_str() {
            _ if encrypted => return Err(KeyError::Encrypted),
            "PRIVATE KEY" => pkcs8_pair(&der),
            "RSA PRIVATE KEY" => rsa::KeyPair::from_der(&der).ok().map(Pair::Rsa),
            "EC PRIVATE KEY" => sec1_pair(&der),
            _ => None,
        };
        Self::holding(pair.ok_or(KeyError::Rejected)?)
    }

    /// The key as PEM, with `\n` line endings.
    ///
    /// # Errors
    /// [`KeyError::Encode`] if the cryptography library fails.
    pub fn to_pem(&self, encoding: KeyEncoding) -> Result<Zeroizing<String>, KeyError> {
        let (tag, der) = match (encoding, &self.0.pair) {
            (KeyEncoding::Pkcs8, _) | (_, Pair::Ed25519(_)) => ("PRIVATE KEY", self.pkcs8_der()?),
            (KeyEncoding::Pkcs1, Pair::Rsa(_)) => ("RSA PRIVATE KEY", pkcs1_der(&self.pkcs8_der()?)?),
            (KeyEncoding::Pkcs1, Pair::Ecdsa(_, pair)) => {
                let der: EcPrivateKeyRfc5915Der<'_> =
                    pair.private_key().as_der().map_err(|_| KeyError::Encode)?;
                ("EC PRIVATE KEY", Zeroizing::new(der.as_ref().to_vec()))
            }
        };
        let block = Pem::new(tag, der.to_vec());
        let text = pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF));
        block.into_contents().zeroize();
        Ok(Zeroizing::new(text))
    }

    /// The algorithm and size of the key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        match &self.0.pair {
            Pair::Ecdsa(curve, _) => KeyAlgorithm::Ecdsa(*curve),
            Pair::Rsa(pair) => {
                KeyAlgorithm::Rsa(bits(pair.public_key().modulus().big_endian_without_leading_zero()))
            }
            Pair::Ed25519(_) => KeyAlgorithm::Ed25519,
        }
    }

    /// The public key as DER of a `SubjectPublicKeyInfo` (RFC 5280 section 4.1), as in a certificate.
    #[must_use]
    pub fn public_key_der(&self) -> &[u8] {
        &self.0.public_key_der
    }

    /// The numbers of the public key, as in a JWK (RFC 7518 section 6).
    #[must_use]
    pub fn public_numbers(&self) -> PublicNumbers {
        match &self.0.pair {
            Pair::Ecdsa(curve, pair) => {
                // SEC 1 section 2.3.3: 0x04, then both coordinates, each as wide as the field.
                let point = pair.public_key().as_ref();
                let width = curve.coordinate_len();
                let (x, y) = point.get(1..).and_then(|xy| xy.split_at_checked(width)).unwrap_or_default();
                PublicNumbers::Ec { curve: *curve, x: x.to_vec(), y: y.to_vec() }
            }
            Pair::Rsa(pair) => PublicNumbers::Rsa {
                n: pair.public_key().modulus().big_endian_without_leading_zero().to_vec(),
                e: pair.public_key().exponent().big_endian_without_leading_zero().to_vec(),
            },
            Pair::Ed25519(pair) => PublicNumbers::Ed25519 { x: pair.public_key().as_ref().to_vec() },
        }
    }

    /// Signs for a JWS (RFC 7518 section 3.1, RFC 8037): ES256, ES384 or ES512 with `r` and `s` at fixed width, RS256 or EdDSA.
    ///
    /// # Errors
    /// [`KeyError::Sign`] if the cryptography library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.0.pair {
            Pair::Ecdsa(_, pair) => sign_ecdsa(pair, message),
            Pair::Rsa(pair) => sign_rsa(pair, message),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// Signs for X.509: ECDSA as a DER sequence (RFC 5758 section 3.2), RSA with SHA-256, or Ed25519 (RFC 8410).
    pub(super) fn sign_x509(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.0.pair {
            Pair::Ecdsa(curve, _) => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(curve.asn1(), &self.pkcs8_der()?).map_err(|_| KeyError::Sign)?;
                sign_ecdsa(&pair, message)
            }
            Pair::Rsa(pair) => sign_rsa(pair, message),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// Signs with ECDSA and SHA-256, whatever the curve, as a DER sequence.
    pub(super) fn sign_ecdsa_sha256(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let der = self.pkcs8_der()?;
        match &self.0.pair {
            Pair::Ecdsa(Curve::P384, _) => {
                let key = p384::ecdsa::SigningKey::from_pkcs8_der(&der).map_err(|_| KeyError::Sign)?;
                let digest = digest(&SHA256, message);
                let signature: p384::ecdsa::Signature =
                    key.sign_prehash(digest.as_ref()).map_err(|_| KeyError::Sign)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Pair::Ecdsa(Curve::P521, _) => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA256_ASN1_SIGNING, &der);
                sign_ecdsa(&pair.map_err(|_| KeyError::Sign)?, message)
            }
            Pair::Ecdsa(Curve::P256, _) => self.sign_x509(message),
            Pair::Rsa(_) | Pair::Ed25519(_) => Err(KeyError::Sign),
        }
    }

    /// The content of the bit string in [`PrivateKey::public_key_der`].
    pub(super) fn public_key_bits(&self) -> &[u8] {
        match &self.0.pair {
            Pair::Ecdsa(_, pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    fn holding(pair: Pair) -> Result<Self, KeyError> {
        let public_key_der: PublicKeyX509Der<'_> = match &pair {
            Pair::Ecdsa(_, pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
        }
        .map_err(|_| KeyError::Encode)?;
        let public_key_der = public_key_der.as_ref().to_vec();
        Ok(Self(Arc::new(Held { pair, public_key_der })))
    }

    /// The key as DER of PKCS#8 (RFC 5958).
    ///
    /// # Errors
    /// [`KeyError::Encode`] if the cryptography library fails.
    pub fn pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let failed = |_| KeyError::Encode;
        match &self.0.pair {
            Pair::Ecdsa(_, pair) => {
                pair.to_pkcs8v1().map(|der| Zeroizing::new(der.as_ref().to_vec())).map_err(failed)
            }
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair)
                .map(|der| Zeroizing::new(der.as_ref().to_vec()))
                .map_err(failed),
            Pair::Ed25519(pair) => {
                pair.to_pkcs8v1().map(|der| Zeroizing::new(der.as_ref().to_vec())).map_err(failed)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm())
    }
}

/// The PEM encoding of a private key. The names are cert-manager's.
///
/// A Certificate's field has a type of its own in `certwright-api`, because this crate knows nothing of Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyEncoding {
    /// PKCS#1 for an RSA key (RFC 8017), SEC1 for an ECDSA key (RFC 5915), and PKCS#8 for an Ed25519 key, which has no other
    /// encoding.
    #[default]
    Pkcs1,
    /// PKCS#8 (RFC 5958).
    Pkcs8,
}

/// The numbers of a public key, all big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicNumbers {
    /// A point on a curve; both coordinates are [`Curve::coordinate_len`] bytes.
    Ec {
        /// The curve.
        curve: Curve,
        /// The x coordinate.
        x: Vec<u8>,
        /// The y coordinate.
        y: Vec<u8>,
    },
    /// Modulus and exponent, without leading zero bytes.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The public exponent.
        e: Vec<u8>,
    },
    /// A point on Curve25519 (RFC 8037).
    Ed25519 {
        /// The public key.
        x: Vec<u8>,
    },
}

/// Why a private key could not be generated, parsed, encoded or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An RSA size that cannot be generated.
    #[error("an RSA key of {0} bits cannot be generated: choose 2048, 3072, 4096 or 8192")]
    RsaSize(u32),
    /// The cryptography library failed to generate a key.
    #[error("generating the {0} key failed")]
    Generate(KeyAlgorithm),
    /// The text is not PEM.
    #[error("the private key is not valid PEM")]
    Pem,
    /// The PEM text contains no private key.
    #[error("the PEM text contains no private key")]
    Missing,
    /// The text is JSON, but not a private key.
    #[error(
        "the JSON text is not a private key in JWK format (RFC 7517): it must be EC, or RSA with its primes"
    )]
    Jwk,
    /// The private key requires a passphrase.
    #[error("the private key is encrypted; store it without a passphrase")]
    Encrypted,
    /// The private key is damaged or not supported.
    #[error(
        "the private key is damaged or not supported: use ECDSA on P-256, P-384 or P-521, RSA of 2048 to 8192 bits, or Ed25519"
    )]
    Rejected,
    /// The key could not be encoded.
    #[error("the private key could not be encoded")]
    Encode,
    /// The key could not sign.
    #[error("the private key could not sign")]
    Sign,
}

fn key_size(bits: u32) -> Result<KeySize, KeyError> {
    match bits {
        2048 => Ok(KeySize::Rsa2048),
        3072 => Ok(KeySize::Rsa3072),
        4096 => Ok(KeySize::Rsa4096),
        8192 => Ok(KeySize::Rsa8192),
        other => Err(KeyError::RsaSize(other)),
    }
}

fn pkcs8_pair(der: &[u8]) -> Option<Pair> {
    let ecdsa = |curve: Curve| Some(Pair::Ecdsa(curve, EcdsaKeyPair::from_pkcs8(curve.fixed(), der).ok()?));
    let rsa = || rsa::KeyPair::from_pkcs8(der).ok().map(Pair::Rsa);
    let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Pair::Ed25519);
    Curve::ALL.into_iter().find_map(ecdsa).or_else(rsa).or_else(ed25519)
}

fn sec1_pair(der: &[u8]) -> Option<Pair> {
    Curve::ALL.into_iter().find_map(|curve| {
        Some(Pair::Ecdsa(curve, EcdsaKeyPair::from_private_key_der(curve.fixed(), der).ok()?))
    })
}

/// The PKCS#1 key inside a PKCS#8 one: version, algorithm, then the key in an octet string (RFC 5958 section 2).
fn pkcs1_der(pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let inner = || {
        let (_, info) = Sequence::from_der(pkcs8).ok()?;
        let (rest, _version) = Any::from_der(&info.content).ok()?;
        let (rest, _algorithm) = Any::from_der(rest).ok()?;
        let (_, key) = OctetString::from_der(rest).ok()?;
        Some(Zeroizing::new(key.as_ref().to_vec()))
    };
    inner().ok_or(KeyError::Encode)
}

fn sign_ecdsa(pair: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::Sign)?;
    Ok(signature.as_ref().to_vec())
}

fn sign_rsa(pair: &rsa::KeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| KeyError::Sign)?;
    Ok(signature)
}

fn bits(big_endian: &[u8]) -> u32 {
    let Some(first) = big_endian.first() else { return 0 };
    let len = u32::try_from(big_endian.len()).unwrap_or(u32::MAX);
    len.saturating_mul(8) - first.leading_zeros()
}

#[cfg(test)]
mod tests;
