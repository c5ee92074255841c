use aws_lc_rs::signature::{
    ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, UnparsedPublicKey,
    VerificationAlgorithm,
};
use x509_parser::asn1_rs::BitString;
use x509_parser::error::X509Error;
use x509_parser::oid_registry as oid;
use x509_parser::public_key::PublicKey;
use x509_parser::verify::verify_signature;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::{Curve, KeyAlgorithm};

/// Whether `key` made the signature. An algorithm that we do not support is accepted: the clients decide whether to trust it,
/// and a CA may be ahead of us.
pub(super) fn signed_by(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    signature: &BitString<'_>,
    message: &[u8],
) -> bool {
    verify(key, algorithm, signature, message).unwrap_or(true)
}

/// Whether `key` made the signature; `None` if we do not support its algorithm.
pub(super) fn verify(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    signature: &BitString<'_>,
    message: &[u8],
) -> Option<bool> {
    if let Some(p521) = p521_verification(key, algorithm) {
        let key = UnparsedPublicKey::new(p521, &key.subject_public_key.data);
        return Some(key.verify(message, &signature.data).is_ok());
    }
    match verify_signature(key, algorithm, signature, message) {
        Ok(()) => Some(true),
        Err(X509Error::SignatureUnsupportedAlgorithm) => None,
        Err(_) => Some(false),
    }
}

/// x509-parser supports only P-256 and P-384.
fn p521_verification(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    if key_algorithm(key)? != KeyAlgorithm::ECDSA_P521 {
        return None;
    }
    let algorithm = &algorithm.algorithm;
    if *algorithm == oid::OID_SIG_ECDSA_WITH_SHA256 {
        Some(&ECDSA_P521_SHA256_ASN1)
    } else if *algorithm == oid::OID_SIG_ECDSA_WITH_SHA384 {
        Some(&ECDSA_P521_SHA384_ASN1)
    } else if *algorithm == oid::OID_SIG_ECDSA_WITH_SHA512 {
        Some(&ECDSA_P521_SHA512_ASN1)
    } else {
        None
    }
}

/// The algorithm of the public key, if we can generate such keys.
pub(super) fn key_algorithm(key: &SubjectPublicKeyInfo<'_>) -> Option<KeyAlgorithm> {
    match key.parsed().ok()? {
        PublicKey::RSA(rsa) => u32::try_from(rsa.key_size()).ok().map(KeyAlgorithm::Rsa),
        PublicKey::EC(_) => {
            let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
            [
                (oid::OID_EC_P256, Curve::P256),
                (oid::OID_NIST_EC_P384, Curve::P384),
                (oid::OID_NIST_EC_P521, Curve::P521),
            ]
            .into_iter()
            .find_map(|(oid, known)| (curve == oid).then_some(KeyAlgorithm::Ecdsa(known)))
        }
        PublicKey::Unknown(_) if key.algorithm.algorithm == oid::OID_SIG_ED25519 => {
            Some(KeyAlgorithm::Ed25519)
        }
        _ => None,
    }
}
