//! The TLS configuration of all HTTP clients: one shared store of the system's roots, and no session resumption.
//!
//! A client that loads the system's roots itself needs about 200 KiB for them, and there is a client for each ACME server in an
//! Issuer. A session ticket can be up to 64 KiB long, and rustls stores eight for each of 256 names. Connections are kept open
//! for a while instead, so few handshakes would benefit from a ticket.

use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// Why the verification of server certificates could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The bundle contains no certificate, or one that cannot be parsed.
    #[error("the CA bundle contains no usable PEM certificate")]
    Bundle,
    /// The TLS library failed.
    #[error("{0}")]
    Setup(String),
}

/// Trusts the system's roots, as they were when the first client was created.
///
/// # Errors
/// [`TlsError::Setup`], if the system has no roots.
pub fn system_roots() -> Result<ClientConfig, TlsError> {
    static SYSTEM: LazyLock<Result<Arc<Verifier>, TlsError>> = LazyLock::new(|| {
        Verifier::new(provider()).map(Arc::new).map_err(|error| TlsError::Setup(error.to_string()))
    });
    config(SYSTEM.clone()?)
}

/// Trusts only the certificates in `pem` and those that they issued.
///
/// # Errors
/// [`TlsError::Bundle`]
pub fn bundle(pem: &[u8]) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| TlsError::Bundle)?).map_err(|_| TlsError::Bundle)?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build();
    config(verifier.map_err(|_| TlsError::Bundle)?)
}

/// Trusts every certificate.
///
/// # Errors
/// [`TlsError::Setup`]
pub fn no_verification() -> Result<ClientConfig, TlsError> {
    config(Arc::new(NoVerification(provider().signature_verification_algorithms)))
}

fn config(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| TlsError::Setup(error.to_string()))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// For `skipTLSVerify`.
#[derive(Debug)]
struct NoVerification(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
