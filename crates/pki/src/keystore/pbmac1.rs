//! PBMAC1 (RFC 8018) as the MAC of PKCS#12 (RFC 9579), which the crate that writes PKCS#12 does not offer.

use std::num::NonZeroU32;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{hmac, pbkdf2};
use der::asn1::{Null, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, Sequence};
use pkcs5::pbes2::{PBKDF2_OID, Pbkdf2Params, Pbkdf2Prf};
use spki::AlgorithmIdentifierOwned;

use super::KeystoreError;

/// `id-PBMAC1` (RFC 9579 section 3).
const PBMAC1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.14");
const SALT_LEN: usize = 16;
/// The length of the key, and of the digest, in bytes: those of SHA-256.
const LEN: u16 = 32;
/// As many as the crate uses for the encryption.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

/// A PKCS#12 file (RFC 7292 section 4).
#[derive(Sequence)]
struct Pfx {
    version: u8,
    auth_safe: ContentInfo,
    mac_data: Option<MacData>,
}

/// Content, of the type `data`.
#[derive(Sequence)]
struct ContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: OctetString,
}

#[derive(Sequence)]
struct MacData {
    mac: DigestInfo,
    mac_salt: OctetString,
    #[asn1(default = "one")]
    iterations: u32,
}

#[derive(Sequence)]
struct DigestInfo {
    algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

fn one() -> u32 {
    1
}

/// Replaces the MAC of a PKCS#12 file by one with PBKDF2 and HMAC, both with SHA-256.
///
/// # Errors
/// [`KeystoreError::Mac`]
pub(super) fn with_pbmac1(file: &[u8], password: &str) -> Result<Vec<u8>, KeystoreError> {
    let mut salt = [0; SALT_LEN];
    SystemRandom::new().fill(&mut salt).map_err(|_| KeystoreError::Random)?;
    let mut pfx = Pfx::from_der(file)?;
    let digest = digest(pfx.auth_safe.content.as_bytes(), password, &salt, ITERATIONS);
    let algorithm = AlgorithmIdentifierOwned { oid: PBMAC1, parameters: Some(parameters(&salt)?) };
    pfx.mac_data = Some(MacData {
        mac: DigestInfo { algorithm, digest: OctetString::new(digest.as_ref())? },
        // Both are unused (RFC 9579 section 5).
        mac_salt: OctetString::new(salt.as_slice())?,
        iterations: 1,
    });
    Ok(pfx.to_der()?)
}

/// Password and salt become a key, and that authenticates the content. The password is UTF-8 (RFC 9579 section 5).
fn digest(content: &[u8], password: &str, salt: &[u8], iterations: NonZeroU32) -> hmac::Tag {
    let mut key = [0; LEN as usize];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut key);
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), content)
}

/// `PBMAC1-params`: how the key is derived, and how it authenticates.
fn parameters(salt: &[u8]) -> Result<Any, KeystoreError> {
    let mut derivation =
        Pbkdf2Params::hmac_sha256(ITERATIONS.get(), salt).map_err(|_| KeystoreError::Random)?;
    derivation.key_length = Some(LEN);
    let derivation =
        AlgorithmIdentifierOwned { oid: PBKDF2_OID, parameters: Some(Any::encode_from(&derivation)?) };
    let authentication =
        AlgorithmIdentifierOwned { oid: Pbkdf2Prf::HmacWithSha256.oid(), parameters: Some(Any::from(Null)) };
    // A list has the same encoding as the two fields of the structure.
    Ok(Any::from_der(&[derivation, authentication].to_der()?)?)
}
