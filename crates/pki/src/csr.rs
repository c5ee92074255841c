use std::net::IpAddr;

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, SanType, SignatureAlgorithm,
    SigningKey,
};

use x509_cert::der::asn1::BitString;
use x509_cert::der::oid::db::rfc5912::ECDSA_WITH_SHA_256;
use x509_cert::der::{Decode, Encode};
use x509_cert::request::CertReq;
use x509_cert::spki::AlgorithmIdentifier;

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

/// The hash of a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureHash {
    /// SHA-256 for RSA, and for ECDSA the hash that matches the curve. Ed25519 has a hash of its own.
    #[default]
    MatchKey,
    /// SHA-256, also for ECDSA P-384 and P-521.
    Sha256,
}

/// A certificate signing request (PKCS#10, RFC 2986) as DER, signed by `key`.
///
/// It contains the subject alternative names and, if at most 64 characters long, the common name. It requests no key usage and
/// no extended key usage: a CA sets them according to its profile, and GlobalSign rejects a request that contains them.
///
/// # Errors
/// [`CsrError::Name`] if a DNS name is not ASCII, [`CsrError::Hash`] if the key cannot sign with the hash, [`CsrError::Sign`] if
/// the cryptography library fails.
pub fn certificate_signing_request(
    key: &PrivateKey,
    subject: &Subject,
    hash: SignatureHash,
) -> Result<Vec<u8>, CsrError> {
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
    match (hash, key.algorithm()) {
        (SignatureHash::Sha256, KeyAlgorithm::Ed25519) => Err(CsrError::Hash(key.algorithm())),
        (SignatureHash::Sha256, KeyAlgorithm::Ecdsa(Curve::P384 | Curve::P521)) => {
            signed_with_sha256(request.der(), key).ok_or(CsrError::Sign(key.algorithm()))
        }
        _ => Ok(request.der().to_vec()),
    }
}

/// The request with a signature that uses SHA-256. rcgen has no such signatures for every curve.
fn signed_with_sha256(request: &[u8], key: &PrivateKey) -> Option<Vec<u8>> {
    let mut request = CertReq::from_der(request).ok()?;
    let signature = key.sign_ecdsa_sha256(&request.info.to_der().ok()?).ok()?;
    request.algorithm = AlgorithmIdentifier { oid: ECDSA_WITH_SHA_256, parameters: None };
    request.signature = BitString::from_bytes(&signature).ok()?;
    request.to_der().ok()
}

/// Why a request could not be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// A name is not valid in a certificate.
    #[error("{0:?} is not valid in a certificate: DNS names must be ASCII")]
    Name(String),
    /// The key cannot sign with SHA-256.
    #[error(
        "csrSignatureHash: the issuer requires SHA-256, with which an {0} key cannot sign; use an RSA or ECDSA key"
    )]
    Hash(KeyAlgorithm),
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
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P521_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256,
        UnparsedPublicKey, VerificationAlgorithm,
    };
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

    /// GlobalSign accepts only SHA-256.
    #[test]
    fn a_request_is_signed_with_sha256_if_the_issuer_requires_it() {
        for (algorithm, oid) in [
            (KeyAlgorithm::ECDSA_P256, "1.2.840.10045.4.3.2"),
            (KeyAlgorithm::ECDSA_P384, "1.2.840.10045.4.3.2"),
            (KeyAlgorithm::ECDSA_P521, "1.2.840.10045.4.3.2"),
            (KeyAlgorithm::Rsa(2048), "1.2.840.113549.1.1.11"),
        ] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let der = certificate_signing_request(&key, &everything(), SignatureHash::Sha256).unwrap();
            let (rest, request) = X509CertificationRequest::from_der(&der).unwrap();
            assert!(rest.is_empty());
            let info = &request.certification_request_info;
            assert_eq!(request.signature_algorithm.algorithm.to_id_string(), oid, "{algorithm}");
            assert_eq!(info.subject_pki.raw, key.public_key_der(), "{algorithm}");
            assert_eq!(info.subject.to_string(), "CN=example.com", "{algorithm}");
            assert_eq!(request.requested_extensions().unwrap().count(), 1, "{algorithm}");
            let signature = UnparsedPublicKey::new(
                match algorithm {
                    KeyAlgorithm::ECDSA_P256 => &ECDSA_P256_SHA256_ASN1 as &dyn VerificationAlgorithm,
                    KeyAlgorithm::ECDSA_P384 => &ECDSA_P384_SHA256_ASN1,
                    KeyAlgorithm::ECDSA_P521 => &ECDSA_P521_SHA256_ASN1,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                },
                &info.subject_pki.subject_public_key.data,
            );
            let verified = signature.verify(info.raw, &request.signature_value.data);
            assert!(verified.is_ok(), "{algorithm}");
        }
        let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let error = certificate_signing_request(&key, &everything(), SignatureHash::Sha256).unwrap_err();
        assert_eq!(error, CsrError::Hash(KeyAlgorithm::Ed25519));
    }

    #[test]
    fn the_public_key_of_a_request_is_that_of_the_key() {
        for algorithm in [KeyAlgorithm::ECDSA_P521, KeyAlgorithm::Rsa(2048), KeyAlgorithm::Ed25519] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let der = certificate_signing_request(&key, &everything(), SignatureHash::MatchKey).unwrap();
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
            certificate_signing_request(&key, &subject, SignatureHash::MatchKey).unwrap_err().to_string(),
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
        let key = PrivateKey::generate(algorithm).unwrap();
        certificate_signing_request(&key, subject, SignatureHash::MatchKey).unwrap()
    }
}
