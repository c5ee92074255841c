//! The server for HTTPS.

use std::convert::identity;
use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::connections::Ticket;
use super::{HEADER_TIMEOUT, Limits, serve_connection, serve_each};

/// The certificate of a client, as far as the server's configuration has verified one: an extension of each of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate(pub CertificateDer<'static>);

/// Answers requests on `listener` until `stop` is cancelled, then lets open ones finish, as [`serve`](super::serve) does. Each
/// connection uses the configuration that `tls` has when it begins.
pub async fn serve_tls<A, F, B>(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    answer: A,
    limits: Limits,
    stop: CancellationToken,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let stopping = stop.clone();
    let serve = move |stream: TcpStream, ticket: Ticket| {
        let acceptor = TlsAcceptor::from(tls.borrow().clone());
        let (answer, stop) = (answer.clone(), stopping.clone());
        async move {
            let stream = match accepted(acceptor, stream, &ticket).await {
                Ok(stream) => stream,
                Err(error) => return debug!(%error, "a handshake failed"),
            };
            let certificate = certificate(&stream);
            let answer = move |mut request: Request<Incoming>| {
                if let Some(certificate) = &certificate {
                    request.extensions_mut().insert(certificate.clone());
                }
                answer(request)
            };
            serve_connection(stream, answer, limits, ticket, stop).await;
        }
    };
    serve_each(listener, serve, limits.connections, stop).await;
}

async fn accepted(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    ticket: &Ticket,
) -> io::Result<TlsStream<TcpStream>> {
    let accepted = timeout(HEADER_TIMEOUT, async {
        tokio::select! {
            biased;
            accepted = acceptor.accept(stream) => accepted,
            () = ticket.displaced() => Err(io::Error::other("the connection was closed to make room")),
        }
    });
    accepted.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).and_then(identity)
}

fn certificate(stream: &TlsStream<TcpStream>) -> Option<ClientCertificate> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    Some(ClientCertificate(certificate.clone().into_owned()))
}
