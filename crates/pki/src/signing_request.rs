use std::net::IpAddr;

use pem::{EncodeConfig, LineEnding, Pem};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, ParsedExtension};
use x509_parser::oid_registry::{self as oid, Oid};
use x509_parser::prelude::FromDer;

use crate::chain::{common_name, ip_address};
use crate::signature::{key_algorithm, verify};
use crate::{KeyAlgorithm, Subject};

/// The PEM labels of a request: that of RFC 7468, and the one that older tools such as `keytool` write.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
/// The sizes of RSA keys, in bits. CAs reject smaller ones, and larger ones are slow to verify.
const RSA_SIZES: std::ops::RangeInclusive<u32> = 2048..=8192;

/// A certificate signing request (PKCS#10, RFC 2986) that somebody else has created, for a private key that we do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    /// The names, as they are in the request: the common name may be anything.
    pub subject: Subject,
    /// The algorithm of the public key.
    pub key: KeyAlgorithm,
    /// The `SubjectPublicKeyInfo` as DER.
    pub public_key_der: Vec<u8>,
    /// Whether the hash of its signature is SHA-256.
    pub is_sha256: bool,
    /// The request as DER, which is what a CA receives.
    pub der: Vec<u8>,
}

impl SigningRequest {
    /// Parses a PEM text with one request, and checks that a public CA could accept it: its signature is valid and uses SHA-2 or
    /// Ed25519, its key is of a usual algorithm and size, and it requests no extended key usage and no CA certificate.
    ///
    /// # Errors
    /// The first failure in this order, as a variant of [`SigningRequestError`].
    pub fn parse_pem(text: &[u8]) -> Result<Self, SigningRequestError> {
        let blocks = pem::parse_many(text).map_err(|_| SigningRequestError::Pem)?;
        let [block] = <[Pem; 1]>::try_from(blocks).map_err(|blocks| match blocks.len() {
            0 => SigningRequestError::Pem,
            _ => SigningRequestError::Several,
        })?;
        if !LABELS.contains(&block.tag()) {
            return Err(SigningRequestError::Pem);
        }
        Self::from_der(block.contents())
    }

    /// The same for a request in DER.
    ///
    /// # Errors
    /// As [`SigningRequest::parse_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, SigningRequestError> {
        let Ok(([], request)) = X509CertificationRequest::from_der(der) else {
            return Err(SigningRequestError::Malformed);
        };
        let info = &request.certification_request_info;
        let key = key_algorithm(&info.subject_pki).filter(|key| match key {
            KeyAlgorithm::Rsa(bits) => RSA_SIZES.contains(bits),
            KeyAlgorithm::Ecdsa(_) | KeyAlgorithm::Ed25519 => true,
        });
        let key = key.ok_or(SigningRequestError::Key)?;
        let algorithm = &request.signature_algorithm;
        if !SIGNATURES.contains(&algorithm.algorithm) {
            return Err(SigningRequestError::SignatureAlgorithm);
        }
        match verify(&info.subject_pki, algorithm, &request.signature_value, info.raw) {
            Some(true) => {}
            Some(false) => return Err(SigningRequestError::Signature),
            None => return Err(SigningRequestError::SignatureAlgorithm),
        }
        let mut subject = Subject { common_name: common_name(&info.subject), ..Subject::default() };
        for attribute in info.attributes() {
            match attribute.parsed_attribute() {
                ParsedCriAttribute::ExtensionRequest(requested) => {
                    for extension in &requested.extensions {
                        read_extension(extension.parsed_extension(), &mut subject)?;
                    }
                }
                _ if attribute.oid == oid::OID_PKCS9_EXTENSION_REQUEST => {
                    return Err(SigningRequestError::Malformed);
                }
                _ => {}
            }
        }
        Ok(Self {
            subject,
            key,
            public_key_der: info.subject_pki.raw.to_vec(),
            is_sha256: [oid::OID_PKCS1_SHA256WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA256]
                .contains(&algorithm.algorithm),
            der: der.to_vec(),
        })
    }

    /// The request as PEM, with `\n` line endings.
    #[must_use]
    pub fn pem(&self) -> String {
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        pem::encode_config(&Pem::new("CERTIFICATE REQUEST", self.der.as_slice()), config)
    }
}

/// The algorithms of signatures that are accepted.
const SIGNATURES: [Oid<'static>; 7] = [
    oid::OID_PKCS1_SHA256WITHRSA,
    oid::OID_PKCS1_SHA384WITHRSA,
    oid::OID_PKCS1_SHA512WITHRSA,
    oid::OID_SIG_ECDSA_WITH_SHA256,
    oid::OID_SIG_ECDSA_WITH_SHA384,
    oid::OID_SIG_ECDSA_WITH_SHA512,
    oid::OID_SIG_ED25519,
];

fn read_extension(extension: &ParsedExtension<'_>, subject: &mut Subject) -> Result<(), SigningRequestError> {
    match extension {
        ParsedExtension::SubjectAlternativeName(names) => {
            for name in &names.general_names {
                match name {
                    GeneralName::DNSName(name) => subject.dns_names.push((*name).to_owned()),
                    GeneralName::IPAddress(_) => {
                        let address: Option<IpAddr> = ip_address(name);
                        subject.ip_addresses.push(address.ok_or(SigningRequestError::Malformed)?);
                    }
                    _ => return Err(SigningRequestError::OtherName),
                }
            }
            Ok(())
        }
        ParsedExtension::ExtendedKeyUsage(usage) => {
            Err(SigningRequestError::ExtendedKeyUsage(purposes(usage)))
        }
        ParsedExtension::BasicConstraints(constraints) if constraints.ca => Err(SigningRequestError::Ca),
        ParsedExtension::ParseError { .. } => Err(SigningRequestError::Malformed),
        _ => Ok(()),
    }
}

/// The extended key usages, as OpenSSL names them.
fn purposes(usage: &ExtendedKeyUsage<'_>) -> String {
    let known = [
        (usage.any, "anyExtendedKeyUsage"),
        (usage.server_auth, "serverAuth"),
        (usage.client_auth, "clientAuth"),
        (usage.code_signing, "codeSigning"),
        (usage.email_protection, "emailProtection"),
        (usage.time_stamping, "timeStamping"),
        (usage.ocsp_signing, "OCSPSigning"),
        (!usage.other.is_empty(), "others"),
    ];
    let named: Vec<&str> = known.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    named.join(", ")
}

/// Why a request was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningRequestError {
    /// The text is not a request in PEM.
    #[error(
        "it is not a certificate signing request in PEM, which begins with -----BEGIN CERTIFICATE REQUEST-----"
    )]
    Pem,
    /// The text has several PEM blocks.
    #[error("it has several PEM blocks; leave only the certificate signing request")]
    Several,
    /// The request, or an extension in it, cannot be parsed.
    #[error("the certificate signing request cannot be read; create it anew")]
    Malformed,
    /// The key cannot be in a certificate.
    #[error(
        "its key is not one that CAs accept; use RSA with 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
    )]
    Key,
    /// The algorithm of the signature is outdated or unusual.
    #[error(
        "its signature algorithm is not accepted; sign it with SHA-256, for example with `openssl req -sha256`"
    )]
    SignatureAlgorithm,
    /// The signature is wrong: the request was changed, or was not created by the owner of the key.
    #[error("its signature does not match its public key; create it anew")]
    Signature,
    /// It requests extended key usages.
    #[error(
        "it requests the extended key usage {0}; create it without, because the CA's profile decides about that, and some \
         CAs, such as GlobalSign, reject requests that have one"
    )]
    ExtendedKeyUsage(String),
    /// It requests the certificate of a CA.
    #[error("it requests the certificate of a CA (basicConstraints CA:TRUE); create it without")]
    Ca,
    /// It has a name that is neither a DNS name nor an IP address.
    #[error("it requests a name that is neither a DNS name nor an IP address; create it without")]
    OtherName,
}

#[cfg(test)]
mod tests;
