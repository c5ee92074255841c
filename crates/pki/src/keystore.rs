//! Keystores: a key and its chain, or a trusted certificate, in one password-protected file.

mod jks;
mod pbmac1;

use aws_lc_rs::hmac;
use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKeyChain,
};

use crate::{Chain, ChainError, KeyError, PrivateKey};

/// The default alias of the key.
pub const ALIAS: &str = "certificate";
/// The length of a mark, in bytes.
const MARK_LEN: usize = 16;
/// The alias of the trusted certificate.
const TRUSTED_ALIAS: &str = "ca";

/// The encryption of a PKCS#12 keystore.
///
/// A Certificate's field has a type of its own in `certwright-api`, because this crate knows nothing of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkcs12Encryption {
    /// AES-256, with a SHA-256 MAC.
    Aes256,
    /// AES-256, with the MAC PBMAC1 (RFC 9579).
    Aes256Pbmac1,
    /// Triple DES, with a SHA-1 MAC.
    TripleDes,
    /// 40-bit RC2, with a SHA-1 MAC.
    Rc2,
}

/// PKCS#12 (RFC 7292) with the key and the chain.
///
/// # Errors
/// [`KeystoreError`]
pub fn pkcs12(
    key: &PrivateKey,
    chain: &Chain,
    password: &str,
    encryption: Pkcs12Encryption,
) -> Result<Vec<u8>, KeystoreError> {
    let certificates = chain.certificates().map(Certificate::from_der).collect::<Result<Vec<_>, _>>()?;
    let key = p12_keystore::PrivateKey::from_der(&key.pkcs8_der()?)?;
    let entry = PrivateKeyChain::new(ALIAS, key, certificates);
    write_pkcs12(ALIAS, KeyStoreEntry::PrivateKeyChain(entry), password, encryption)
}

/// PKCS#12 with a trusted certificate.
///
/// # Errors
/// [`KeystoreError`]
pub fn pkcs12_trusting(
    ca_der: &[u8],
    password: &str,
    encryption: Pkcs12Encryption,
) -> Result<Vec<u8>, KeystoreError> {
    let entry = KeyStoreEntry::Certificate(Certificate::from_der(ca_der)?);
    write_pkcs12(TRUSTED_ALIAS, entry, password, encryption)
}

fn write_pkcs12(
    alias: &str,
    entry: KeyStoreEntry,
    password: &str,
    encryption: Pkcs12Encryption,
) -> Result<Vec<u8>, KeystoreError> {
    let mut store = KeyStore::new();
    store.add_entry(alias, entry);
    let (algorithm, mac) = match encryption {
        Pkcs12Encryption::Aes256 | Pkcs12Encryption::Aes256Pbmac1 => {
            (EncryptionAlgorithm::PbeWithHmacSha256AndAes256, MacAlgorithm::HmacSha256)
        }
        Pkcs12Encryption::TripleDes => {
            (EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc, MacAlgorithm::HmacSha1)
        }
        // The crate calls it RC4, but writes RC2.
        Pkcs12Encryption::Rc2 => (EncryptionAlgorithm::PbeWithShaAnd40BitRc4Cbc, MacAlgorithm::HmacSha1),
    };
    let file = store.writer(password).encryption_algorithm(algorithm).mac_algorithm(mac).write()?;
    match encryption {
        Pkcs12Encryption::Aes256Pbmac1 => pbmac1::with_pbmac1(&file, password),
        _ => Ok(file),
    }
}

/// A Java keystore with the key, under this alias, and the chain.
///
/// # Errors
/// [`KeystoreError`]
pub fn jks(key: &PrivateKey, chain: &Chain, alias: &str, password: &str) -> Result<Vec<u8>, KeystoreError> {
    let certificates: Vec<&[u8]> = chain.certificates().collect();
    jks::with_key(alias, &key.pkcs8_der()?, &certificates, chain.leaf().not_before, password)
}

/// A Java keystore with a trusted certificate; `chain` determines its timestamp.
///
/// # Errors
/// [`KeystoreError`]
pub fn jks_trusting(ca_der: &[u8], chain: &Chain, password: &str) -> Result<Vec<u8>, KeystoreError> {
    jks::with_trusted(TRUSTED_ALIAS, ca_der, chain.leaf().not_before, password)
}

/// A digest of the inputs of keystores, which are in `parts`. It cannot be computed without the private key, so it cannot be
/// used to guess passwords.
///
/// # Errors
/// [`KeystoreError::Key`]
pub fn mark(key: &PrivateKey, parts: &[&str]) -> Result<String, KeystoreError> {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &key.pkcs8_der()?);
    let mut context = hmac::Context::with_key(&secret);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    Ok(context.sign().as_ref().iter().take(MARK_LEN).map(|byte| format!("{byte:02x}")).collect())
}

/// Why a keystore could not be created.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The key could not be encoded.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The chain cannot be parsed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The PKCS#12 file could not be created.
    #[error("creating the PKCS#12 keystore failed: {0}")]
    Pkcs12(#[from] p12_keystore::error::Error),
    /// The MAC of the PKCS#12 file could not be written.
    #[error("creating the PKCS#12 keystore failed: {0}")]
    Mac(#[from] der::Error),
    /// There are no random numbers.
    #[error("creating the PKCS#12 keystore failed: the system has no random numbers")]
    Random,
    /// The Java keystore could not be created.
    #[error("creating the Java keystore failed: {0}")]
    Jks(&'static str),
    /// The operator is shutting down.
    #[error("creating the keystores failed: the operator is shutting down")]
    Interrupted,
}

#[cfg(test)]
mod tests;
