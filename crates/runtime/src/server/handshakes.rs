//! The server for tls-alpn-01 answers: a TLS handshake for each connection.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::connections::Ticket;
use super::{CONNECTION_TIMEOUT, serve_each};

/// Answers handshakes on `listener` until `stop` is cancelled, then lets open ones finish. `answer` gets each connection, and
/// reports to the ticket when a client's first message is complete. At most `connections` are open at a time.
///
/// Returns within 10 seconds after `stop`, the maximum duration of a connection.
pub async fn serve_handshakes<A, F>(
    listener: TcpListener,
    answer: A,
    connections: u32,
    stop: CancellationToken,
) where
    A: Fn(TcpStream, Arc<Ticket>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let serve = move |stream, ticket: Ticket| {
        let ticket = Arc::new(ticket);
        let answer = answer(stream, ticket.clone());
        async move {
            let answered = timeout(CONNECTION_TIMEOUT, async {
                tokio::select! {
                    biased;
                    answered = answer => answered,
                    () = ticket.displaced() => {
                        debug!("a connection was closed to make room");
                        Ok(())
                    }
                }
            });
            match answered.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "a handshake failed"),
                Err(_) => debug!("a handshake took too long"),
            }
        }
    };
    serve_each(listener, serve, connections, stop).await;
}
