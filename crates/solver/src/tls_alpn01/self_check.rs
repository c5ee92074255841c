//! Makes the handshake of a challenge as a CA would, before the CA is told to validate.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{PROTOCOL, server_name};
use crate::http01::{SelfCheck, SelfCheckFailure};
use certwright_egress::tls::{self, TlsError};
use certwright_pki::{ShownCertificate, acme_identifier};
use certwright_text::clean;

mod failure;

pub use self::failure::HandshakeFailure;

const PORT: u16 = 443;
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The maximum number of characters of the TLS library's message.
const LONGEST_REASON: usize = 200;

static CONNECTOR: LazyLock<Result<TlsConnector, TlsError>> = LazyLock::new(|| {
    let mut config = tls::no_verification()?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
});

impl SelfCheck {
    /// Makes a handshake on port 443 of `identifier`, a DNS name or an IP address, and compares the certificate with the key
    /// authorization `expected`. `remedy` says what must be done so that handshakes lead to the operator.
    ///
    /// Takes at most 15 seconds. Addresses are tried as for http-01: the first that accepts a connection is used.
    ///
    /// # Errors
    /// [`HandshakeFailure`]
    pub async fn check_handshake(
        &self,
        identifier: &str,
        expected: &str,
        remedy: &str,
    ) -> Result<(), HandshakeFailure> {
        let name = ServerName::try_from(server_name(identifier)).map_err(|_| {
            HandshakeFailure::Unreached(SelfCheckFailure::NotAnAddressOrName {
                identifier: identifier.to_owned(),
            })
        })?;
        let (stream, at) = self.reach(identifier, PORT).await.map_err(HandshakeFailure::Unreached)?;
        let target = Target { identifier, name, at, remedy };
        timeout(TIME_LIMIT, target.handshake(stream, expected))
            .await
            .unwrap_or(Err(HandshakeFailure::NoAnswer { at }))
    }
}

struct Target<'a> {
    identifier: &'a str,
    name: ServerName<'static>,
    at: SocketAddr,
    remedy: &'a str,
}

impl Target<'_> {
    async fn handshake<S>(&self, stream: S, expected: &str) -> Result<(), HandshakeFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = CONNECTOR.as_ref().map_err(|error| self.library(error.to_string()))?;
        let stream = connector.connect(self.name.clone(), stream).await;
        self.judge(&stream.map_err(|error| self.refused(&error))?, expected)
    }

    /// What came instead of the answer is told by its kind, but not quoted. Otherwise anyone who can create a Certificate could name
    /// a server that only we can reach, and read its certificate in the condition.
    fn judge<S>(&self, stream: &TlsStream<S>, expected: &str) -> Result<(), HandshakeFailure> {
        let Self { identifier, at, .. } = *self;
        let remedy = self.remedy.to_owned();
        let (_, connection) = stream.get_ref();
        let shown = connection.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.map_or(ShownCertificate::Malformed, |der| ShownCertificate::read(der, identifier));
        let speaks = connection.alpn_protocol() == Some(PROTOCOL);
        match shown {
            ShownCertificate::Answer(digest) if speaks && digest == acme_identifier(expected) => Ok(()),
            ShownCertificate::Answer(_) if speaks => Err(HandshakeFailure::OtherChallenge { at }),
            _ if speaks => Err(HandshakeFailure::NoIdentifier { at, remedy }),
            shown => {
                let got = match shown {
                    ShownCertificate::OfIdentifier => "a certificate for this name",
                    ShownCertificate::OfOthers => "a certificate for other names",
                    ShownCertificate::Malformed | ShownCertificate::Answer(_) => {
                        "a certificate that it cannot use"
                    }
                };
                Err(HandshakeFailure::SomethingElse { at, identifier: identifier.to_owned(), got, remedy })
            }
        }
    }

    fn refused(&self, error: &io::Error) -> HandshakeFailure {
        let (at, remedy) = (self.at, self.remedy.to_owned());
        tracing::debug!(%at, %error, "a handshake failed");
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(alert)) => {
                HandshakeFailure::Alert { at, alert: format!("{alert:?}"), remedy }
            }
            Some(rustls::Error::InvalidMessage(_)) => HandshakeFailure::NotTls { at, remedy },
            Some(library) => self.library(library.to_string()),
            None => HandshakeFailure::Closed { at, remedy },
        }
    }

    fn library(&self, reason: String) -> HandshakeFailure {
        HandshakeFailure::Tls { at: self.at, reason: clean(&reason, LONGEST_REASON) }
    }
}

#[cfg(test)]
mod tests;
