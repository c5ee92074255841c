//! The servers of a process: HTTP, HTTPS, and TLS handshakes alone.
//!
//! Anybody can connect to them. So every connection is limited in time and size, and, unless the server says otherwise, answers
//! one request; and no peer can block others by holding many connections: see `Connections`.

mod connections;
mod handshakes;
mod tls;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::connections::Connections;

pub use self::connections::Ticket;
pub use self::handshakes::serve_handshakes;
pub use self::tls::{ClientCertificate, serve_tls};

const MAX_HEADERS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection that is used again may be idle. Go's clients, such as the API server, close theirs after 90 s: if they
/// are first, no request is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(100);
/// How long the last request of such a connection may take.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(500);

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Concurrent connections.
    pub connections: u32,
    /// The maximum size of a request's headers, in bytes; at least 8 KiB.
    pub headers: usize,
    /// For how long a connection is used for further requests. Without it, a connection answers one request, and lasts 10 seconds
    /// at most.
    pub keep_alive: Option<Duration>,
}

impl Limits {
    fn idle(&self) -> Duration {
        if self.keep_alive.is_some() { IDLE_TIMEOUT } else { HEADER_TIMEOUT }
    }

    fn connection(&self) -> Duration {
        self.keep_alive.map_or(CONNECTION_TIMEOUT, |duration| duration + LAST_REQUEST_TIMEOUT)
    }
}

/// Answers requests on `listener` until `stop` is cancelled, then lets open ones finish.
///
/// Returns within 10 seconds after `stop`, or within 30 with [`Limits::keep_alive`].
pub async fn serve<A, F, B>(listener: TcpListener, answer: A, limits: Limits, stop: CancellationToken)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let stopping = stop.clone();
    let serve = move |stream, ticket| {
        let (answer, stop) = (answer.clone(), stopping.clone());
        serve_connection(stream, answer, limits, ticket, stop)
    };
    serve_each(listener, serve, limits.connections, stop).await;
}

/// Serves each connection on `listener`, at most `limit` at a time, until `stop` is cancelled, then lets open ones finish.
async fn serve_each<S, F>(listener: TcpListener, serve: S, limit: u32, stop: CancellationToken)
where
    S: Fn(TcpStream, Ticket) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let connections = Connections::new(limit as usize);
    let slots = Arc::new(Semaphore::new(limit as usize));
    while let Some((stream, peer)) = next_connection(&listener, &stop).await {
        // If all slots were taken, this closes another connection, which then frees its slot.
        let ticket = connections.enter(peer);
        let Some(Ok(slot)) = stop.run_until_cancelled(slots.clone().acquire_owned()).await else { break };
        let served = serve(stream, ticket);
        tokio::spawn(async move {
            served.await;
            drop(slot);
        });
    }
    drop(listener);
    // Every open connection holds a slot, so acquiring all slots waits for all connections.
    let _all_done = slots.acquire_many(limit).await;
}

async fn next_connection(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, IpAddr)> {
    loop {
        match stop.run_until_cancelled(listener.accept()).await? {
            Ok((stream, peer)) => return Some((stream, peer.ip())),
            Err(error) => {
                // Probably out of file descriptors; an immediate retry would only waste CPU time.
                warn!(%error, "a connection could not be accepted");
                if timeout(PAUSE_AFTER_FAILED_ACCEPT, stop.cancelled()).await.is_ok() {
                    return None;
                }
            }
        }
    }
}

async fn serve_connection<S, A, F, B>(
    stream: S,
    answer: A,
    limits: Limits,
    ticket: Ticket,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let service = service_fn(|request| {
        ticket.answering();
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle())
        .max_buf_size(limits.headers)
        .max_headers(MAX_HEADERS)
        .keep_alive(limits.keep_alive.is_some())
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = timeout(limits.connection(), async {
        tokio::select! {
            biased;
            result = connection.as_mut() => result,
            () = ticket.displaced() => {
                debug!("a connection was closed to make room");
                Ok(())
            }
            () = last_request(limits, &stop) => {
                connection.as_mut().graceful_shutdown();
                timeout(LAST_REQUEST_TIMEOUT, connection).await.unwrap_or(Ok(()))
            }
        }
    });
    match served.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection failed"),
        Err(_) => debug!("a connection took too long and was closed"),
    }
}

/// Waits until a connection must not be used for another request.
async fn last_request(limits: Limits, stop: &CancellationToken) {
    match limits.keep_alive {
        Some(duration) => drop(timeout(duration, stop.cancelled()).await),
        None => stop.cancelled().await,
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]
mod tests;
