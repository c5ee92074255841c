//! Answers handshakes with the protocol `acme-tls/1`, on every replica.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;

use super::PROTOCOL;
use certwright_pki::{ChallengeCertificateError, ChallengeSigner};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// The pending challenges.
pub trait PendingChallenges: Send + Sync + 'static {
    /// The challenge whose handshake has this server name, in lower case.
    fn pending(&self, server_name: &str) -> Option<PendingChallenge>;
}

/// A pending challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingChallenge {
    /// A DNS name or an IP address.
    pub identifier: String,
    /// The key authorization.
    pub key_authorization: String,
}

/// Answers handshakes.
pub struct Responder(Arc<ServerConfig>);

/// Why a [`Responder`] could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ResponderSetupError {
    /// There is no key.
    #[error(transparent)]
    Key(#[from] ChallengeCertificateError),
    /// The TLS library rejected the key, or its own defaults.
    #[error("TLS for tls-alpn-01 cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Responder {
    /// Answers for `challenges`.
    ///
    /// # Errors
    /// [`ResponderSetupError`]
    pub fn new(challenges: Arc<dyn PendingChallenges>) -> Result<Self, ResponderSetupError> {
        Self::with_versions(challenges, &VERSIONS)
    }

    fn with_versions(
        challenges: Arc<dyn PendingChallenges>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, ResponderSetupError> {
        let signer = ChallengeSigner::generate()?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signer.key_der().to_vec()));
        let resolver = Resolver { key: any_supported_type(&key)?, signer, challenges };
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions)?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    /// Answers one handshake and closes the connection, since no data follows (RFC 8737 section 3). Calls `greeted` when the
    /// client's first message is complete.
    ///
    /// # Errors
    /// If the handshake fails, which says nothing about us: anybody can connect.
    pub async fn answer<S>(&self, stream: S, greeted: impl FnOnce()) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        greeted();
        start.into_stream(self.0.clone()).await?.shutdown().await
    }
}

/// Signs a certificate for each handshake.
struct Resolver {
    signer: ChallengeSigner,
    key: Arc<dyn SigningKey>,
    challenges: Arc<dyn PendingChallenges>,
}

impl ResolvesServerCert for Resolver {
    /// Without a certificate, the TLS library ends the handshake. It also does so if the client offers only other protocols.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.alpn()?.next()?;
        let PendingChallenge { identifier, key_authorization } =
            self.challenges.pending(&hello.server_name()?.to_ascii_lowercase())?;
        let der = self.signer.certificate(&identifier, &key_authorization);
        let der = der.inspect_err(|error| tracing::warn!(%error, "a handshake cannot be answered")).ok()?;
        Some(Arc::new(CertifiedKey::new(vec![CertificateDer::from(der)], self.key.clone())))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use rustls::{AlertDescription, Error};
    use tokio::io::AsyncReadExt;
    use tokio_rustls::TlsConnector;

    use super::*;
    use certwright_egress::tls::no_verification;
    use certwright_pki::{ShownCertificate, acme_identifier};

    #[tokio::test]
    async fn a_pending_challenge_is_answered_and_the_connection_is_closed() {
        for versions in [&[&version::TLS12][..], &[&version::TLS13]] {
            for name in ["a.test", "A.test"] {
                let shown = handshake(name, &[PROTOCOL], versions).await.unwrap();
                let digest = acme_identifier("token.thumb");
                assert_eq!(ShownCertificate::read(&shown, "a.test"), ShownCertificate::Answer(digest));
            }
            let shown = handshake("1.2.0.192.in-addr.arpa", &[PROTOCOL], versions).await.unwrap();
            let leaf = certwright_pki::Leaf::from_der(&shown).unwrap();
            assert!(leaf.ip_addresses.contains(&"192.0.2.1".parse().unwrap()), "{leaf:?}");
        }
    }

    #[tokio::test]
    async fn other_names_and_protocols_get_an_alert_and_no_certificate() {
        use AlertDescription::{AccessDenied, NoApplicationProtocol};
        for (name, protocols, alert) in [
            ("b.test", &[PROTOCOL][..], AccessDenied),
            ("a.test", &[b"h2"], NoApplicationProtocol),
            ("a.test", &[], AccessDenied),
            // An address is not sent as a server name.
            ("192.0.2.1", &[PROTOCOL], AccessDenied),
        ] {
            let error = handshake(name, protocols, &VERSIONS).await.unwrap_err();
            let library = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
            assert_eq!(library, Some(&Error::AlertReceived(alert)), "{name} {protocols:?}");
        }
    }

    #[tokio::test]
    async fn garbage_ends_the_connection_without_being_greeted() {
        let (mut theirs, ours) = tokio::io::duplex(1024);
        theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let answered = responder(&VERSIONS).answer(ours, || panic!("this is no greeting")).await;
        assert_eq!(answered.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    /// The certificate that is shown in a handshake.
    async fn handshake(
        name: &str,
        protocols: &[&[u8]],
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<Vec<u8>> {
        let mut config = no_verification().unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let (theirs, ours) = tokio::io::duplex(16 * 1024);
        let server = {
            let responder = responder(versions);
            tokio::spawn(async move { responder.answer(ours, || {}).await })
        };
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, theirs).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(PROTOCOL));
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        // With TLS 1.3, the server may end the handshake only after the client's part.
        assert_eq!(stream.read(&mut [0]).await?, 0, "the connection is closed");
        server.await.unwrap()?;
        Ok(shown)
    }

    fn responder(versions: &[&'static SupportedProtocolVersion]) -> Responder {
        Responder::with_versions(Arc::new(Pending), versions).unwrap()
    }

    struct Pending;

    impl PendingChallenges for Pending {
        fn pending(&self, server_name: &str) -> Option<PendingChallenge> {
            let identifier = match server_name {
                "a.test" => "a.test",
                "1.2.0.192.in-addr.arpa" => "192.0.2.1",
                _ => return None,
            };
            Some(PendingChallenge {
                identifier: identifier.to_owned(),
                key_authorization: "token.thumb".to_owned(),
            })
        }
    }
}
