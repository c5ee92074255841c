use std::net::IpAddr;

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
    SigningKey,
};

use crate::{Curve, KeyAlgorithm, PrivateKey};

/// The maximum length of a common name, in characters (RFC 5280 appendix A, `ub-common-name`).
const COMMON_NAME_MAX: usize = 64;

/// The names to request a certificate for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The common name. An ACME CA requires it to be one of the names below (RFC 8555 section 7.4).
    pub common_name: Option<String>,
    /// DNS names in ASCII. Wildcards and A-labels are accepted.
    pub dns_names: Vec<String>,
    /// IP addresses.
    pub ip_addresses: Vec<IpAddr>,
}

/// A certificate signing request (PKCS#10, RFC 2986) as DER, signed by `key`: ECDSA with the curve's own hash, RSA
/// with SHA-256, or Ed25519.
///
/// It contains the subject alternative names and, if at most 64 characters long, the common name. It requests no key usage and
/// no extended key usage: a CA sets them according to its profile, and GlobalSign rejects a request that contains them.
///
/// # Errors
/// [`CsrError::Name`] if a DNS name is not ASCII, [`CsrError::Sign`] if the cryptography library fails.
pub fn certificate_signing_request(key: &PrivateKey, subject: &Subject) -> Result<Vec<u8>, CsrError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = subject.common_name.as_deref().filter(|name| name.chars().count() <= COMMON_NAME_MAX)
    {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    for name in &subject.dns_names {
        let name = Ia5String::try_from(name.as_str()).map_err(|_| CsrError::Name(name.clone()))?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params.subject_alt_names.extend(subject.ip_addresses.iter().copied().map(SanType::IpAddress));

    let request = params.serialize_request(&Signer(key)).map_err(|_| CsrError::Sign(key.algorithm()))?;
    Ok(request.der().to_vec())
}

/// Why a request could not be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// A name is not valid in a certificate.
    #[error("{0:?} is not valid in a certificate: DNS names must be ASCII")]
    Name(String),
    /// The key could not sign the request.
    #[error("the certificate signing request could not be signed with the {0} key")]
    Sign(KeyAlgorithm),
}

struct Signer<'a>(&'a PrivateKey);

impl SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign_x509(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key_bits()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::Ecdsa(Curve::P256) => &PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::Ecdsa(Curve::P384) => &PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Ecdsa(Curve::P521) => &PKCS_ECDSA_P521_SHA512,
            KeyAlgorithm::Rsa(_) => &PKCS_RSA_SHA256,
            KeyAlgorithm::Ed25519 => &PKCS_ED25519,
        }
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::extensions::{GeneralName, ParsedExtension};
    use x509_parser::prelude::FromDer;

    use super::*;
    use crate::signature::signed_by;

    #[test]
    fn a_request_carries_the_names_and_nothing_else() {
        let der = request(KeyAlgorithm::ECDSA_P256, &everything());
        let (rest, request) = X509CertificationRequest::from_der(&der).unwrap();
        assert!(rest.is_empty());
        let subject = &request.certification_request_info.subject;
        assert_eq!(subject.to_string(), "CN=example.com");

        let extensions: Vec<_> = request.requested_extensions().unwrap().collect();
        let [ParsedExtension::SubjectAlternativeName(names)] = extensions.as_slice() else {
            panic!("more than the names is asked for: {extensions:?}");
        };
        assert_eq!(
            names.general_names,
            [
                GeneralName::DNSName("example.com"),
                GeneralName::DNSName("*.example.com"),
                GeneralName::DNSName("xn--bcher-kva.example"),
                GeneralName::IPAddress(&[192, 0, 2, 1]),
                GeneralName::IPAddress(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            ]
        );
    }

    #[test]
    fn a_request_is_signed_with_the_hash_that_belongs_to_the_key() {
        for (algorithm, oid) in [
            (KeyAlgorithm::ECDSA_P256, "1.2.840.10045.4.3.2"),
            (KeyAlgorithm::ECDSA_P384, "1.2.840.10045.4.3.3"),
            (KeyAlgorithm::ECDSA_P521, "1.2.840.10045.4.3.4"),
            (KeyAlgorithm::Rsa(2048), "1.2.840.113549.1.1.11"),
            (KeyAlgorithm::Rsa(3072), "1.2.840.113549.1.1.11"),
            (KeyAlgorithm::Ed25519, "1.3.101.112"),
        ] {
            let der = request(algorithm, &everything());
            let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
            assert_eq!(request.signature_algorithm.algorithm.to_id_string(), oid, "{algorithm}");
            assert!(signed_by(
                &request.certification_request_info.subject_pki,
                &request.signature_algorithm,
                &request.signature_value,
                request.certification_request_info.raw,
            ));
        }
    }

    #[test]
    fn the_public_key_of_a_request_is_that_of_the_key() {
        for algorithm in [KeyAlgorithm::ECDSA_P521, KeyAlgorithm::Rsa(2048), KeyAlgorithm::Ed25519] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let der = certificate_signing_request(&key, &everything()).unwrap();
            let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
            assert_eq!(request.certification_request_info.subject_pki.raw, key.public_key_der());
        }
    }

    #[test]
    fn a_common_name_of_more_than_64_characters_is_left_out() {
        let fits = format!("{}.example", "a".repeat(56));
        let (der, too_long) = (subject_of(&fits), subject_of(&format!("b{fits}")));
        assert_eq!(der, format!("CN={fits}"));
        assert_eq!(too_long, "");
    }

    #[test]
    fn a_name_that_is_not_ascii_is_refused_by_name() {
        let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
        let subject = Subject { dns_names: vec!["bücher.example".into()], ..Subject::default() };
        assert_eq!(
            certificate_signing_request(&key, &subject).unwrap_err().to_string(),
            "\"bücher.example\" is not valid in a certificate: DNS names must be ASCII"
        );
    }

    fn everything() -> Subject {
        Subject {
            common_name: Some("example.com".into()),
            dns_names: vec!["example.com".into(), "*.example.com".into(), "xn--bcher-kva.example".into()],
            ip_addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        }
    }

    fn subject_of(common_name: &str) -> String {
        let subject = Subject {
            common_name: Some(common_name.into()),
            dns_names: vec![common_name.into()],
            ..Subject::default()
        };
        let der = request(KeyAlgorithm::ECDSA_P256, &subject);
        let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
        request.certification_request_info.subject.to_string()
    }

    fn request(algorithm: KeyAlgorithm, subject: &Subject) -> Vec<u8> {
        certificate_signing_request(&PrivateKey::generate(algorithm).unwrap(), subject).unwrap()
    }
}
