//! Keystores: a key and its chain, or what is trusted, in one file under a password.

mod jks;

use aws_lc_rs::hmac;
use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKeyChain,
};

use crate::{Chain, ChainError, KeyError, PrivateKey};

/// Alias of the key, where the spec gives none.
pub const ALIAS: &str = "certificate";
/// So many bytes tell one from another.
const MARK_LEN: usize = 16;
/// Alias of what is trusted.
const TRUSTED_ALIAS: &str = "ca";

/// How a PKCS#12 keystore is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkcs12Encryption {
    /// AES-256, with a MAC of SHA-256.
    Aes256,
    /// Triple DES, with a MAC of SHA-1.
    TripleDes,
    /// RC2 of 40 bits, with a MAC of SHA-1.
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

/// PKCS#12 with a certificate that is trusted.
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
    let (encryption, mac) = match encryption {
        Pkcs12Encryption::Aes256 => {
            (EncryptionAlgorithm::PbeWithHmacSha256AndAes256, MacAlgorithm::HmacSha256)
        }
        Pkcs12Encryption::TripleDes => {
            (EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc, MacAlgorithm::HmacSha1)
        }
        // The crate's name for it says RC4; what it writes is RC2.
        Pkcs12Encryption::Rc2 => (EncryptionAlgorithm::PbeWithShaAnd40BitRc4Cbc, MacAlgorithm::HmacSha1),
    };
    Ok(store.writer(password).encryption_algorithm(encryption).mac_algorithm(mac).write()?)
}

/// A Java keystore with the key, under this alias, and the chain.
///
/// # Errors
/// [`KeystoreError`]
pub fn jks(key: &PrivateKey, chain: &Chain, alias: &str, password: &str) -> Result<Vec<u8>, KeystoreError> {
    let certificates: Vec<&[u8]> = chain.certificates().collect();
    jks::with_key(alias, &key.pkcs8_der()?, &certificates, chain.leaf().not_before, password)
}

/// A Java keystore with a certificate that is trusted; `chain` gives its time.
///
/// # Errors
/// [`KeystoreError`]
pub fn jks_trusting(ca_der: &[u8], chain: &Chain, password: &str) -> Result<Vec<u8>, KeystoreError> {
    jks::with_trusted(TRUSTED_ALIAS, ca_der, chain.leaf().not_before, password)
}

/// A digest of what keystores were made with, as `parts` say it. It cannot be computed, and so no password be guessed by
/// it, without the private key.
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

/// Why a keystore could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The key could not be written.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The chain cannot be read.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The PKCS#12 file could not be written.
    #[error("the PKCS#12 keystore could not be made: {0}")]
    Pkcs12(#[from] p12_keystore::error::Error),
    /// The Java keystore could not be written.
    #[error("the Java keystore could not be made: {0}")]
    Jks(&'static str),
    /// The operator is being stopped.
    #[error("the keystores could not be made: the operator is being stopped")]
    Interrupted,
}

#[cfg(test)]
mod tests;
