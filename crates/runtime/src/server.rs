//! The servers of this process: over HTTP, one for http-01 answers and one for health and metrics; and one for tls-alpn-01
//! answers.
//!
//! Anybody can connect to them. So every connection is short, limited in time and size, and answers one request; and no peer
//! can block others by holding many connections: see `Connections`.

mod connections;
mod handshakes;

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::connections::Connections;

pub use self::connections::Ticket;
pub use self::handshakes::serve_handshakes;

const MAX_HEADERS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(500);

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Concurrent connections.
    pub connections: u32,
    /// The maximum size of a request's headers, in bytes; at least 8 KiB.
    pub headers: usize,
}

/// Answers requests on `listener` until `stop` is cancelled, then lets open ones finish.
///
/// Returns within 10 seconds after `stop`, the maximum duration of a connection.
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

async fn serve_connection<A, F, B>(
    stream: TcpStream,
    answer: A,
    limits: Limits,
    ticket: Ticket,
    stop: CancellationToken,
) where
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
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(limits.headers)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = timeout(CONNECTION_TIMEOUT, async {
        tokio::select! {
            biased;
            result = connection.as_mut() => result,
            () = ticket.displaced() => {
                debug!("a connection was closed to make room");
                Ok(())
            }
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    });
    match served.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection failed"),
        Err(_) => debug!("a connection took too long and was closed"),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]
mod tests;
