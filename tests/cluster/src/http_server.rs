//! The HTTP server behind everything that tests can make misbehave.

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::Cluster;

/// The body of an answer; an error interrupts it.
pub(crate) type Body = BoxBody<Bytes, anyhow::Error>;

/// A complete body.
pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed()
}

/// An acceptor for TLS with a certificate of the test CA for these names.
pub(crate) fn tls(cluster: &Cluster, names: &[&str]) -> Result<TlsAcceptor> {
    Ok(Handshakes::new(cluster, names)?.acceptor())
}

/// TLS with a certificate of the test CA; handshakes can be made to fail.
#[derive(Debug)]
pub(crate) struct Handshakes {
    certificate: Arc<CertifiedKey>,
    failing: AtomicBool,
    failed: Mutex<Vec<Instant>>,
}

impl Handshakes {
    pub(crate) fn new(cluster: &Cluster, names: &[&str]) -> Result<Arc<Self>> {
        let signed = cluster.ca()?.sign("test server", names)?;
        let certificate = CertificateDer::from_pem_slice(signed.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes())?;
        let key = aws_lc_rs::sign::any_supported_type(&key)?;
        let certificate = Arc::new(CertifiedKey::new(vec![certificate], key));
        Ok(Arc::new(Self { certificate, failing: false.into(), failed: Mutex::default() }))
    }

    pub(crate) fn acceptor(self: Arc<Self>) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.3")
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Resuming a session is not a handshake that could fail.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    pub(crate) fn are_failing(&self) -> bool {
        self.failing.load(Ordering::SeqCst)
    }

    /// When handshakes have failed.
    pub(crate) fn failed(&self) -> Vec<Instant> {
        self.failed.lock().clone()
    }
}

impl ResolvesServerCert for Handshakes {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if self.are_failing() {
            self.failed.lock().push(Instant::now());
            return None;
        }
        Some(self.certificate.clone())
    }
}

/// Serves HTTP/1.1, over TLS if there is an acceptor. If `handle` fails, the connection is closed without an answer. Connections
/// end with the server.
pub(crate) async fn serve<H, F>(listener: TcpListener, tls: Option<TlsAcceptor>, handle: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, handle) = (tls.clone(), handle.clone());
        connections.spawn(async move {
            match tls {
                None => connection(stream, handle).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, handle).await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection<S, H, F>(stream: S, handle: H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<Body>>>,
{
    let builder = hyper::server::conn::http1::Builder::new();
    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(handle)).await;
}
