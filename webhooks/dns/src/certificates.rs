//! The certificate that the API server sees: of an authority of our own that the APIService names, or from files.

pub mod authority;
pub mod given;
pub mod keeper;
pub mod kept;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate chain with its key, ready to be served.
#[derive(Debug, PartialEq)]
pub struct Shown {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
    /// When the leaf expires.
    pub expires: Timestamp,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It is not PEM.
    #[error("{what} is not PEM")]
    Pem {
        /// What is not.
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// There is none.
    #[error("{0} contains no certificate")]
    None(&'static str),
    /// It is not an X.509 certificate.
    #[error("{0} is not an X.509 certificate")]
    X509(&'static str),
    /// Certificates and keys do not belong together.
    #[error("ca.crt and ca.key do not have the same number of entries")]
    Keys,
    /// It cannot be created, or its key cannot be used.
    #[error("a certificate cannot be signed: {0}")]
    Sign(#[from] rcgen::Error),
    /// A time is out of range.
    #[error("the lifetime of a certificate is out of range")]
    Time,
}

impl Shown {
    /// From a chain and a key, both PEM.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = certificates("the certificate", chain)?;
        let leaf = chain.first().ok_or(CertificateError::None("the certificate"))?;
        let expires = x509("the certificate", leaf)?.validity().not_after.timestamp();
        let expires = Timestamp::from_second(expires).map_err(|_| CertificateError::Time)?;
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|source| CertificateError::Pem { what: "the private key", source })?;
        Ok(Self { chain, key, expires })
    }
}

/// All certificates in a PEM text.
///
/// # Errors
/// [`CertificateError::Pem`]
pub fn certificates(
    what: &'static str,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    read.map_err(|source| CertificateError::Pem { what, source })
}

/// A certificate, parsed.
///
/// # Errors
/// [`CertificateError::X509`]
pub fn x509<'a>(what: &'static str, der: &'a [u8]) -> Result<X509Certificate<'a>, CertificateError> {
    X509Certificate::from_der(der).map(|(_, parsed)| parsed).map_err(|_| CertificateError::X509(what))
}

/// The first common name of a certificate's subject.
#[must_use]
pub fn common_name<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    certificate.subject().iter_common_name().next()?.as_str().ok()
}
