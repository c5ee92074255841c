//! The algorithms of private keys.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaSigningAlgorithm,
};

/// The algorithm and size of a key.
///
/// A Certificate's fields have types of their own in `certwright-api`, because there the size is a separate field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on a NIST curve.
    Ecdsa(Curve),
    /// RSA with this modulus size in bits. Any size from 2048 to 8192 can be parsed; see [`KeyAlgorithm::RSA_SIZES`] for those
    /// that can be generated.
    Rsa(u32),
    /// Ed25519 (RFC 8410).
    Ed25519,
}

impl KeyAlgorithm {
    /// The RSA modulus sizes, in bits, that [`PrivateKey::generate`](super::PrivateKey::generate) supports.
    pub const RSA_SIZES: [u32; 4] = [2048, 3072, 4096, 8192];
    /// ECDSA on P-256.
    pub const ECDSA_P256: Self = Self::Ecdsa(Curve::P256);
    /// ECDSA on P-384.
    pub const ECDSA_P384: Self = Self::Ecdsa(Curve::P384);
    /// ECDSA on P-521.
    pub const ECDSA_P521: Self = Self::Ecdsa(Curve::P521);
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecdsa(curve) => write!(f, "ECDSA {curve}"),
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// A NIST curve, named as in a JWK (RFC 7518 section 6.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// `P-256`, signed with SHA-256.
    P256,
    /// `P-384`, signed with SHA-384.
    P384,
    /// `P-521`, signed with SHA-512.
    P521,
}

impl Curve {
    pub(super) const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The width of a coordinate, in bytes.
    #[must_use]
    pub fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    pub(super) fn fixed(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }

    pub(super) fn asn1(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        })
    }
}
