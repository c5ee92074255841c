//! The TLS configuration of all HTTP clients: one shared store of the system's roots, and no session resumption.
//!
//! A client that loads the system's roots itself needs about 200 KiB for them, and there is a client for each ACME server in an
//! Issuer. A session ticket can be up to 64 KiB long, and rustls stores eight for each of 256 names. Connections are kept open
//! for a while instead, so few handshakes would benefit from a ticket.

use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
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
    config(Arc::new(NoVerification::new()))
}

/// Trusts every certificate, and records what the server shows, even if the handshake fails afterwards. It offers no protocol of an
/// application, so that it suits any server.
///
/// # Errors
/// [`TlsError::Setup`]
pub fn recording() -> Result<(ClientConfig, RecordedChain), TlsError> {
    let recorded = RecordedChain::default();
    let verifier = Recording { inner: NoVerification::new(), recorded: recorded.clone() };
    let mut config = config(Arc::new(verifier))?;
    config.alpn_protocols.clear();
    Ok((config, recorded))
}

/// The certificates that a server has shown, the first one its own. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RecordedChain(Arc<Mutex<Vec<CertificateDer<'static>>>>);

impl RecordedChain {
    /// Takes them. There are none before the server has shown them.
    #[must_use]
    pub fn take(&self) -> Vec<CertificateDer<'static>> {
        std::mem::take(&mut self.0.lock())
    }
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

/// For `skipTLSVerify`, and for self-checks.
#[derive(Debug)]
struct NoVerification(WebPkiSupportedAlgorithms);

impl NoVerification {
    fn new() -> Self {
        Self(provider().signature_verification_algorithms)
    }
}

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

/// The same, and records the certificates.
#[derive(Debug)]
struct Recording {
    inner: NoVerification,
    recorded: RecordedChain,
}

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.recorded.0.lock() =
            [own].into_iter().chain(others).map(|one| one.clone().into_owned()).collect();
        self.inner.verify_server_cert(own, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, own, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, own, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion, version};

    use super::*;

    #[test]
    fn without_verification_an_expired_certificate_of_another_name_is_accepted() {
        for version in [&version::TLS12, &version::TLS13] {
            let (server, pem) = server_with_an_expired_certificate(version);
            assert_eq!(handshake(no_verification().unwrap(), server.clone()), Ok(()), "{version:?}");
            let refused = handshake(bundle(pem.as_bytes()).unwrap(), server);
            assert!(matches!(refused, Err(rustls::Error::InvalidCertificate(_))), "{version:?}: {refused:?}");
        }
    }

    #[test]
    fn what_a_server_shows_is_recorded_also_if_it_then_asks_for_a_certificate_of_the_client() {
        for version in [&version::TLS12, &version::TLS13] {
            let (server, pem) = server_with_an_expired_certificate(version);
            let (client, recorded) = recording().unwrap();
            assert_eq!(recorded.take(), Vec::new());
            assert_eq!(handshake(client, server), Ok(()), "{version:?}");
            let shown: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect();
            assert_eq!((recorded.take(), recorded.take()), (shown, Vec::new()), "{version:?}");
        }
    }

    fn server_with_an_expired_certificate(
        version: &'static SupportedProtocolVersion,
    ) -> (ServerConfig, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["other.test".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2000, 1, 2);
        let certificate = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]);
        let builder = builder.unwrap().with_no_client_auth();
        (builder.with_single_cert(vec![certificate.der().clone()], key).unwrap(), certificate.pem())
    }

    /// A handshake for the name `a.test`, as the client ends it.
    fn handshake(client: ClientConfig, server: ServerConfig) -> Result<(), rustls::Error> {
        let name = ServerName::try_from("a.test").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.is_handshaking() {
            let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut to_server).unwrap();
            }
            server.read_tls(&mut to_server.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            while server.wants_write() {
                server.write_tls(&mut to_client).unwrap();
            }
            client.read_tls(&mut to_client.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }
}
