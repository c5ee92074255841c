//! The keystore format of Java 1.2, `JKS`, as read by `sun.security.provider.JavaKeyStore` and `KeyProtector`. It has not
//! changed since. There is no well-maintained crate for it, and writing it takes little code; the tests read it with `keytool`.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::KeystoreError;

const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
const PRIVATE_KEY: u32 = 1;
const TRUSTED_CERTIFICATE: u32 = 2;
/// The beginning of the input of the file's digest, after the password.
const WHITENER: &[u8] = b"Mighty Aphrodite";
const SALT_LEN: usize = SHA1_OUTPUT_LEN;
/// `SEQUENCE { OBJECT IDENTIFIER 1.3.6.1.4.1.42.2.17.1.1, NULL }`: Sun's own algorithm to protect keys.
const ALGORITHM: [u8; 16] =
    [0x30, 0x0e, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01, 0x05, 0x00];

/// A file with one private key, in PKCS#8, and its chain.
pub(super) fn with_key(
    alias: &str,
    pkcs8: &[u8],
    chain: &[&[u8]],
    time: Timestamp,
    password: &str,
) -> Result<Vec<u8>, KeystoreError> {
    let mut file = File::begin(PRIVATE_KEY, alias, time)?;
    file.bytes(&protected(pkcs8, password)?)?;
    file.number(chain.len())?;
    chain.iter().try_for_each(|certificate| file.certificate(certificate))?;
    Ok(file.end(password))
}

/// A file with one trusted certificate.
pub(super) fn with_trusted(
    alias: &str,
    certificate: &[u8],
    time: Timestamp,
    password: &str,
) -> Result<Vec<u8>, KeystoreError> {
    let mut file = File::begin(TRUSTED_CERTIFICATE, alias, time)?;
    file.certificate(certificate)?;
    Ok(file.end(password))
}

/// All numbers are big-endian, as `DataOutputStream` writes them.
struct File(Vec<u8>);

impl File {
    fn begin(tag: u32, alias: &str, time: Timestamp) -> Result<Self, KeystoreError> {
        let mut file = Self(Vec::new());
        for number in [MAGIC, VERSION, 1, tag] {
            file.0.extend(number.to_be_bytes());
        }
        file.text(&alias.to_lowercase())?;
        file.0.extend(time.as_millisecond().to_be_bytes());
        Ok(file)
    }

    fn number(&mut self, number: usize) -> Result<(), KeystoreError> {
        let number = u32::try_from(number).map_err(|_| KeystoreError::Jks("it is too long"))?;
        self.0.extend(number.to_be_bytes());
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), KeystoreError> {
        self.number(bytes.len())?;
        self.0.extend(bytes);
        Ok(())
    }

    /// Java's modified UTF-8, which equals UTF-8 up to U+FFFF, except for U+0000.
    fn text(&mut self, text: &str) -> Result<(), KeystoreError> {
        if text.chars().any(|c| c == '\0' || c > '\u{ffff}') {
            return Err(KeystoreError::Jks("the alias has a character that Java encodes differently"));
        }
        let len = u16::try_from(text.len()).map_err(|_| KeystoreError::Jks("the alias is too long"))?;
        self.0.extend(len.to_be_bytes());
        self.0.extend(text.as_bytes());
        Ok(())
    }

    fn certificate(&mut self, der: &[u8]) -> Result<(), KeystoreError> {
        self.text("X.509")?;
        self.bytes(der)
    }

    fn end(mut self, password: &str) -> Vec<u8> {
        let digest = sha1(&[&utf16(password), WHITENER, &self.0]);
        self.0.extend(digest);
        self.0
    }
}

/// An `EncryptedPrivateKeyInfo` (RFC 5958 section 3): the salt, the key encrypted with a stream of digests, and a digest to
/// check the password.
fn protected(key: &[u8], password: &str) -> Result<Vec<u8>, KeystoreError> {
    let password = utf16(password);
    let mut salt = [0; SALT_LEN];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| KeystoreError::Jks("no random salt could be generated"))?;
    let mut protected = salt.to_vec();
    let mut stream = salt.to_vec();
    for block in key.chunks(SHA1_OUTPUT_LEN) {
        stream = sha1(&[&password, &stream]);
        protected.extend(block.iter().zip(&stream).map(|(byte, mask)| byte ^ mask));
    }
    protected.extend(sha1(&[&password, key]));
    Ok(der(0x30, &[&ALGORITHM, der(0x04, &protected).as_slice()].concat()))
}

/// A value in DER.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len().to_be_bytes();
    let zeros = len.iter().take_while(|byte| **byte == 0).count();
    let len = len.get(zeros.min(len.len() - 1)..).unwrap_or_default();
    let mut value = vec![tag];
    if content.len() >= 0x80 {
        value.extend(u8::try_from(len.len()).map(|len| 0x80 | len));
    }
    value.extend(len);
    value.extend(content);
    value
}

fn sha1(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}

fn utf16(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.encode_utf16().flat_map(u16::to_be_bytes).collect())
}
