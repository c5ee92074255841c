//! Looks at the certificates that servers show under a name, with the same name servers and egress rules as self-checks.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::http01::{ConnectFailure, SelfCheck, SelfCheckFailure};
use certwright_egress::tls;
use certwright_egress::{Forbidden, Purpose};
use certwright_text::clean;

/// The maximum number of addresses of a name that are looked at.
const MOST_ADDRESSES: usize = 8;
/// How many of them are looked at at a time.
const ADDRESSES_AT_ONCE: usize = 4;
/// The maximum number of certificates of a chain that are looked at.
const MOST_CERTIFICATES: usize = 10;
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The maximum number of characters of the TLS library's message.
const LONGEST_REASON: usize = 200;

/// Why a server showed no certificate. `Display` continues a sentence that begins with its address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookFailure {
    /// The egress rules forbid the connection.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// There was no connection.
    #[error("{}", match .0 {
        ConnectFailure::Refused => "refused the connection",
        ConnectFailure::Timeout => "did not accept a connection in time",
        ConnectFailure::NoRoute => "cannot be reached from here",
    })]
    NoConnection(ConnectFailure),
    /// There was a connection, and no TLS handshake.
    #[error("accepted the connection but did not complete a TLS handshake ({0})")]
    NoHandshake(String),
}

/// What the server at an address showed: the certificates as DER, the first one its own.
pub type Look = (SocketAddr, Result<Vec<Vec<u8>>, LookFailure>);

impl SelfCheck {
    /// Looks at what is shown for `name`, a DNS name or an IP address, at `port` of each of `addresses`, or of those that DNS has.
    ///
    /// Takes at most 13 seconds for up to eight addresses, four at a time, besides the lookup.
    ///
    /// # Errors
    /// [`SelfCheckFailure`], if the name has no address.
    pub async fn look(
        &self,
        name: &str,
        port: u16,
        addresses: &[IpAddr],
    ) -> Result<Vec<Look>, SelfCheckFailure> {
        let asked = ServerName::try_from(name.to_owned())
            .map_err(|_| SelfCheckFailure::NotAnAddressOrName { identifier: name.to_owned() })?;
        let addresses = match addresses {
            [] => self.addresses_of(name).await?,
            some => some.to_vec(),
        };
        let looks: Vec<_> = addresses
            .into_iter()
            .take(MOST_ADDRESSES)
            .map(|address| self.look_at(name, &asked, SocketAddr::new(address, port)))
            .collect();
        Ok(stream::iter(looks).buffered(ADDRESSES_AT_ONCE).collect().await)
    }

    async fn look_at(&self, name: &str, asked: &ServerName<'static>, at: SocketAddr) -> Look {
        let shown = match self.reach_server(name, at).await {
            Ok(stream) => shown(asked.clone(), stream).await,
            Err(failure) => Err(failure),
        };
        (at, shown)
    }

    /// Whether a client with this configuration accepts what the server at `at` shows for `name`; the library's words, if not.
    ///
    /// # Errors
    /// [`LookFailure`]
    pub async fn verify(&self, name: &str, at: SocketAddr, config: ClientConfig) -> Result<(), LookFailure> {
        let asked = ServerName::try_from(name.to_owned())
            .map_err(|_| LookFailure::NoHandshake("not a DNS name or an IP address".to_owned()))?;
        let stream = self.reach_server(name, at).await?;
        timeout(TIME_LIMIT, handshake(config, asked, stream)).await.unwrap_or_else(|_| Err(too_slow()))
    }

    async fn reach_server(&self, name: &str, at: SocketAddr) -> Result<TcpStream, LookFailure> {
        let stream = self.connect_to(Purpose::Served, name, at).await;
        stream.map_err(|failure| failure.map_or(LookFailure::Forbidden(Forbidden), LookFailure::NoConnection))
    }
}

/// The certificates that a server shows. It may end the handshake afterwards, for example because it requires a certificate of the
/// client.
async fn shown<S>(name: ServerName<'static>, stream: S) -> Result<Vec<Vec<u8>>, LookFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (config, recorded) = tls::recording().map_err(|error| LookFailure::NoHandshake(error.to_string()))?;
    let outcome = timeout(TIME_LIMIT, handshake(config, name, stream)).await;
    let chain = recorded.take();
    if chain.is_empty() {
        outcome.unwrap_or_else(|_| Err(too_slow()))?;
        return Err(LookFailure::NoHandshake("no certificate".to_owned()));
    }
    Ok(chain.into_iter().take(MOST_CERTIFICATES).map(|one| one.to_vec()).collect())
}

async fn handshake<S>(config: ClientConfig, name: ServerName<'static>, stream: S) -> Result<(), LookFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let mut stream = connected.map_err(|error| LookFailure::NoHandshake(words(&error)))?;
    // So that the server does not log a connection that broke.
    let _ = stream.shutdown().await;
    Ok(())
}

fn words(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => format!("it rejected it: {alert:?}"),
        Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS".to_owned(),
        Some(library) => clean(&library.to_string(), LONGEST_REASON),
        None => "it closed the connection".to_owned(),
    }
}

fn too_slow() -> LookFailure {
    LookFailure::NoHandshake("it did not answer in time".to_owned())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::iter::repeat;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::{WebPkiClientVerifier, danger::ClientCertVerifier};
    use rustls::{RootCertStore, ServerConfig};
    use tokio::io::{DuplexStream, duplex};
    use tokio::net::TcpListener;
    use tokio::time::{Instant, interval};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use certwright_egress::{Egress, Rules};

    #[tokio::test]
    async fn the_chain_of_a_server_is_seen_also_if_it_wants_a_certificate_of_the_client() {
        for required in [false, true] {
            let (config, der) = site(required);
            let accept = |stream: DuplexStream| async move {
                let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
            };
            assert_eq!(look(accept).await, Ok(vec![der]), "{required}");
        }
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told_without_a_word_of_what_it_sent() {
        let plain = |mut stream: DuplexStream| async move {
            let _ = stream.write_all(b"220 secret.test ESMTP\r\nsecret secret secret\r\n").await;
        };
        let failure = LookFailure::NoHandshake("it does not speak TLS".to_owned());
        assert_eq!(look(plain).await, Err(failure));
        let silent = |stream: DuplexStream| async move { drop(stream) };
        let failure = LookFailure::NoHandshake("it closed the connection".to_owned());
        assert_eq!(look(silent).await, Err(failure));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stalls_or_sends_garbage_is_given_up() {
        let silent = |stream: DuplexStream| async move {
            let _stream = stream;
            pending().await
        };
        // A record that is announced, and comes a byte a second.
        let slow = |mut stream: DuplexStream| async move {
            let mut second = interval(Duration::from_secs(1));
            for byte in b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc".iter().chain(repeat(&0)) {
                second.tick().await;
                if stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        };
        let begun = Instant::now();
        assert_eq!(look(silent).await, Err(too_slow()));
        assert_eq!(begun.elapsed(), TIME_LIMIT);
        assert_eq!(look(slow).await, Err(too_slow()));
        assert_eq!(begun.elapsed(), 2 * TIME_LIMIT);

        // A message of 16 MiB, empty ones, changes of the cipher, warnings, and what is not TLS.
        let records: [&[u8]; 6] = [
            b"\x16\x03\x03\x40\x00\x0b\xff\xff\xff",
            b"\x16\x03\x03\x00\x00",
            b"\x14\x03\x03\x00\x01\x01",
            b"\x15\x03\x03\x00\x02\x01\x5a",
            b"\0",
            b"HTTP/1.1 200 OK\r\n",
        ];
        for record in records {
            let sent = AtomicUsize::new(0);
            let flood = async |mut stream: DuplexStream| {
                let records = record.repeat(1000);
                while sent.load(Ordering::Relaxed) < 64 << 20 && stream.write_all(&records).await.is_ok() {
                    sent.fetch_add(records.len(), Ordering::Relaxed);
                }
            };
            let failure = look(flood).await.unwrap_err();
            assert!(matches!(failure, LookFailure::NoHandshake(_)), "{failure:?}");
            let sent = sent.load(Ordering::Relaxed);
            assert!(sent < 1 << 20, "it reads {sent} bytes of {record:?}");
        }
    }

    #[tokio::test]
    async fn each_address_is_looked_at_and_none_that_the_rules_forbid() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let addresses = ["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
        let forbids = SelfCheck::new(Vec::new(), Egress::default()).unwrap();
        let looks = forbids.look("a.test", port, &addresses).await.unwrap();
        let forbidden = Err(LookFailure::Forbidden(Forbidden));
        assert_eq!(looks, addresses.map(|address| (SocketAddr::new(address, port), forbidden.clone())));
        assert!(futures::poll!(std::pin::pin!(listener.accept())).is_pending());

        let allows = Rules { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Rules::default() };
        let allows = SelfCheck::new(Vec::new(), Egress::new(allows, |_| {})).unwrap();
        let (config, der) = site(false);
        let serve = async {
            let stream = listener.accept().await.unwrap().0;
            let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        };
        let (looks, ()) = tokio::join!(allows.look("a.test", port, &addresses), serve);
        let refused = Err(LookFailure::NoConnection(ConnectFailure::Refused));
        let shown = [Ok(vec![der]), refused];
        assert_eq!(looks.unwrap().into_iter().map(|(_, shown)| shown).collect::<Vec<_>>(), shown);
    }

    /// What is seen of a server.
    async fn look<F>(server: impl FnOnce(DuplexStream) -> F) -> Result<Vec<Vec<u8>>, LookFailure>
    where
        F: Future<Output = ()>,
    {
        let (ours, theirs) = duplex(64 * 1024);
        let serve = async {
            server(theirs).await;
            pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            seen = shown(ServerName::try_from("a.test").unwrap(), ours) => seen,
            never = serve => match never {},
        }
    }

    /// A server, and its certificate as DER.
    fn site(requires_client: bool) -> (ServerConfig, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["other.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let der = certificate.der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
        let clients: Arc<dyn ClientCertVerifier> = match requires_client {
            false => WebPkiClientVerifier::no_client_auth(),
            true => {
                let mut roots = RootCertStore::empty();
                roots.add(der.clone()).unwrap();
                let provider = Arc::new(default_provider());
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap()
            }
        };
        let config =
            builder.with_client_cert_verifier(clients).with_single_cert(vec![der.clone()], key).unwrap();
        (config, der.to_vec())
    }
}
