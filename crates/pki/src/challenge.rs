//! Certificates that answer tls-alpn-01 challenges (RFC 8737 section 3).

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use x509_parser::oid_registry::{Oid, asn1_rs::oid};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::Leaf;

/// `id-pe-acmeIdentifier` (RFC 8737 section 6.1).
const ACME_IDENTIFIER: Oid<'static> = oid!(1.3.6.1.5.5.7.1.31);
/// How the value of the extension begins: an octet string with a digest.
const OCTET_STRING: [u8; 2] = [0x04, SHA256_OUTPUT_LEN as u8];
/// The common name of the subject, for people.
const COMMON_NAME: &str = "certwright tls-alpn-01";

/// Signs certificates that answer challenges. Its key is never stored: any key will do.
#[derive(Debug)]
pub struct ChallengeSigner(KeyPair);

/// A certificate that answers a challenge could not be created.
#[derive(Debug, thiserror::Error)]
#[error("the certificate that answers a tls-alpn-01 challenge could not be created: {0}")]
pub struct ChallengeCertificateError(#[from] rcgen::Error);

impl ChallengeSigner {
    /// With a new key.
    ///
    /// # Errors
    /// If the cryptography library fails.
    pub fn generate() -> Result<Self, ChallengeCertificateError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// The private key as PKCS#8 DER.
    #[must_use]
    pub fn key_der(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialize_der())
    }

    /// The DER of the certificate that answers the challenge for `identifier`, a DNS name or an IP address.
    ///
    /// # Errors
    /// If `identifier` is not ASCII, or the cryptography library fails.
    pub fn certificate(
        &self,
        identifier: &str,
        key_authorization: &str,
    ) -> Result<Vec<u8>, ChallengeCertificateError> {
        let mut params = CertificateParams::new([identifier.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
        let identifier = CustomExtension::new_acme_identifier(&acme_identifier(key_authorization));
        params.custom_extensions = vec![identifier];
        Ok(params.self_signed(&self.0)?.der().to_vec())
    }
}

/// The digest in the certificate that answers a challenge.
#[must_use]
pub fn acme_identifier(key_authorization: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut bytes = [0; SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest(&SHA256, key_authorization.as_bytes()).as_ref());
    bytes
}

/// What a certificate is that a server has shown in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownCertificate {
    /// It answers a challenge, with this digest.
    Answer([u8; SHA256_OUTPUT_LEN]),
    /// It answers none, and is for the identifier.
    OfIdentifier,
    /// It answers none, and is for other names.
    OfOthers,
    /// It cannot be parsed.
    Malformed,
}

impl ShownCertificate {
    /// Reads the DER that a server has shown for `identifier`.
    #[must_use]
    pub fn read(der: &[u8], identifier: &str) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Self::Malformed };
        let extensions = certificate.extensions().iter();
        let mut answers = extensions.filter(|one| one.critical && one.oid == ACME_IDENTIFIER);
        if let Some(answer) = answers.next() {
            let digest = answer.value.strip_prefix(&OCTET_STRING).and_then(|digest| digest.try_into().ok());
            return digest.map_or(Self::Malformed, Self::Answer);
        }
        match Leaf::from_der(der) {
            Ok(leaf) if leaf.is_for(identifier) => Self::OfIdentifier,
            Ok(_) => Self::OfOthers,
            Err(_) => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_AUTHORIZATION: &str = "token.thumbprint";

    #[test]
    fn the_answer_has_one_name_and_the_digest_in_a_critical_extension() {
        let signer = ChallengeSigner::generate().unwrap();
        for (identifier, names, addresses) in [
            ("a.test", vec!["a.test"], vec![]),
            ("192.0.2.1", vec![], vec!["192.0.2.1"]),
            ("2001:db8::1", vec![], vec!["2001:db8::1"]),
        ] {
            let der = signer.certificate(identifier, KEY_AUTHORIZATION).unwrap();
            let leaf = Leaf::from_der(&der).unwrap();
            assert!(leaf.dns_names.iter().eq(&names), "{identifier}: {:?}", leaf.dns_names);
            let found: Vec<String> = leaf.ip_addresses.iter().map(ToString::to_string).collect();
            assert_eq!(found, addresses);
            let digest = acme_identifier(KEY_AUTHORIZATION);
            assert_eq!(ShownCertificate::read(&der, identifier), ShownCertificate::Answer(digest));
        }
    }

    #[test]
    fn the_digest_is_that_of_the_key_authorization() {
        let hex: String =
            acme_identifier(KEY_AUTHORIZATION).iter().map(|byte| format!("{byte:02x}")).collect();
        // printf token.thumbprint | sha256sum
        assert_eq!(hex, "eb5ac167fe249c76e53b430da3116c5d9fde4c5507ba6d01e885516e1bd49f92");
    }

    #[test]
    fn other_certificates_are_told_by_their_names() {
        let shown = |names: &[&str], identifier: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
            ShownCertificate::read(certificate.der(), identifier)
        };
        assert_eq!(shown(&["A.test"], "a.test"), ShownCertificate::OfIdentifier);
        assert_eq!(shown(&["*.test"], "A.test"), ShownCertificate::OfIdentifier);
        assert_eq!(shown(&["*.test"], "a.b.test"), ShownCertificate::OfOthers);
        assert_eq!(shown(&["b.test"], "a.test"), ShownCertificate::OfOthers);
        assert_eq!(shown(&["192.0.2.1"], "192.0.2.1"), ShownCertificate::OfIdentifier);
        assert_eq!(ShownCertificate::read(b"\x30\x03abc", "a.test"), ShownCertificate::Malformed);
    }

    #[test]
    fn a_digest_that_is_not_critical_or_of_another_length_answers_nothing() {
        let shown = |content: &[u8], critical: bool| {
            let mut extension =
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 31], content.to_vec());
            extension.set_criticality(critical);
            let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
            params.custom_extensions = vec![extension];
            let key = KeyPair::generate().unwrap();
            ShownCertificate::read(params.self_signed(&key).unwrap().der(), "a.test")
        };
        let good = [&OCTET_STRING[..], &[7; 32]].concat();
        assert_eq!(shown(&good, true), ShownCertificate::Answer([7; 32]));
        assert_eq!(shown(&good, false), ShownCertificate::OfIdentifier);
        assert_eq!(shown(&good[..33], true), ShownCertificate::Malformed);
        assert_eq!(shown(b"", true), ShownCertificate::Malformed);
    }
}
