//! The HTTP server that answers `/.well-known/acme-challenge/<token>` on every replica.
//!
//! It stands behind ingress controllers and, with them, behind the whole internet: every connection is short, bounded
//! in time and size, and answers one request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{CHALLENGE_PREFIX, is_token};

/// What a request for a challenge that is not pending is answered with. The self-check knows it by this text.
pub const UNKNOWN_TOKEN: &str = "certwright: no challenge with this token is pending for this host\n";

const NOT_A_CHALLENGE: &str = "certwright: only ACME http-01 challenges are answered here\n";
const MAX_CONNECTIONS: u32 = 512;
const MAX_HEADER_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(500);

/// The key authorizations of the challenges that are pending now.
pub trait KeyAuthorizations: Send + Sync + 'static {
    /// The key authorization for `token` at `host`, if that challenge is pending.
    ///
    /// `host` is what the request's `Host` says: lower-cased, without port and trailing dot, an IPv6 address without
    /// brackets; empty where the request named none. `token` is base64url.
    fn find(&self, host: &str, token: &str) -> Option<String>;
}

/// Answers challenges on `listener` until `shutdown` is cancelled, then lets open requests finish.
///
/// Returns at the latest 10 seconds after `shutdown`, which is as long as a connection may last.
pub async fn serve(listener: TcpListener, answers: Arc<dyn KeyAuthorizations>, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    while let Some((stream, slot)) = next_connection(&listener, &slots, &shutdown).await {
        let (answers, shutdown) = (answers.clone(), shutdown.clone());
        tokio::spawn(async move {
            serve_connection(stream, answers, shutdown).await;
            drop(slot);
        });
    }
    drop(listener);
    // Every open connection holds a slot, so having them all means that all are done.
    let _all_done = slots.acquire_many(MAX_CONNECTIONS).await;
}

/// The next connection together with the slot it takes, or none after shutdown. A slot comes first, so that with all
/// taken, clients wait in the kernel's queue instead of in our memory.
async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = shutdown.run_until_cancelled(slots.clone().acquire_owned()).await?.ok()?;
    loop {
        match shutdown.run_until_cancelled(listener.accept()).await? {
            Ok((stream, _)) => return Some((stream, slot)),
            Err(error) => {
                // Out of file descriptors, most likely; trying again at once would only burn the processor.
                tracing::warn!(%error, "the http-01 responder could not accept a connection");
                if tokio::time::timeout(PAUSE_AFTER_FAILED_ACCEPT, shutdown.cancelled()).await.is_ok() {
                    return None;
                }
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    answers: Arc<dyn KeyAuthorizations>,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request: Request<_>| {
        let response = answer(&request, answers.as_ref());
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::time::timeout(CONNECTION_TIMEOUT, async {
        tokio::select! {
            biased;
            result = connection.as_mut() => result,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    });
    match served.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an http-01 connection broke off"),
        Err(_) => tracing::debug!("an http-01 connection took too long and was closed"),
    }
}

pub(super) fn answer<B>(request: &Request<B>, answers: &dyn KeyAuthorizations) -> Response<Full<Bytes>> {
    let Some(token) = request.uri().path().strip_prefix(CHALLENGE_PREFIX) else {
        return plain(StatusCode::NOT_FOUND, NOT_A_CHALLENGE.into());
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::NOT_FOUND, NOT_A_CHALLENGE.into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let found = is_token(token).then(|| answers.find(&requested_host(request), token)).flatten();
    match found {
        Some(key_authorization) => plain(StatusCode::OK, key_authorization.into()),
        None => plain(StatusCode::NOT_FOUND, UNKNOWN_TOKEN.into()),
    }
}

fn plain(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    // A cache in front would keep answering "not found" after the challenge became pending.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An absolute request target overrides `Host` (RFC 9112 section 3.2.2).
fn requested_host<B>(request: &Request<B>) -> String {
    let host = match request.uri().authority() {
        Some(authority) => authority.host(),
        None => {
            request.headers().get(HOST).and_then(|value| value.to_str().ok()).map_or("", host_without_port)
        }
    };
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn host_without_port(value: &str) -> &str {
    match value.rsplit_once(':') {
        // The last colon of a bare IPv6 address in brackets is inside them.
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    #[tokio::test]
    async fn a_pending_challenge_is_answered_with_its_key_authorization() {
        let server = Server::start().await;
        let response = server.get("GET", "/.well-known/acme-challenge/tok-A_1", "example.com").await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("content-type: text/plain\r\n"), "{response}");
        assert!(response.ends_with("\r\n\r\ntok-A_1.thumb"), "{response}");
    }

    #[tokio::test]
    async fn head_gets_the_headers_alone() {
        let server = Server::start().await;
        let response = server.get("HEAD", "/.well-known/acme-challenge/tok-A_1", "example.com").await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("content-length: 13\r\n"), "{response}");
        assert!(response.ends_with("\r\n\r\n"), "{response}");
    }

    #[tokio::test]
    async fn the_host_is_found_with_port_case_brackets_and_dot_removed() {
        let server = Server::start().await;
        for host in ["EXAMPLE.com:80", "example.com.", "example.com.:8080"] {
            let response = server.get("GET", "/.well-known/acme-challenge/tok-A_1", host).await;
            assert!(response.ends_with("tok-A_1.thumb"), "{host}: {response}");
        }
        for host in ["[2001:DB8::1]", "[2001:db8::1]:80"] {
            let response = server.get("GET", "/.well-known/acme-challenge/six", host).await;
            assert!(response.ends_with("six.thumb"), "{host}: {response}");
        }
        let absolute =
            server.get("GET", "http://example.com:80/.well-known/acme-challenge/tok-A_1", "other").await;
        assert!(absolute.ends_with("tok-A_1.thumb"), "{absolute}");
    }

    #[tokio::test]
    async fn anything_else_is_not_found_and_says_so_in_a_line() {
        let server = Server::start().await;
        for (method, target, host) in [
            ("GET", "/", "example.com"),
            ("GET", "/.well-known/acme-challenge/", "example.com"),
            ("GET", "/.well-known/acme-challenge/tok-A_1", "other.example.com"),
            ("GET", "/.well-known/acme-challenge/panic%2e", "example.com"),
            ("GET", "/.well-known/acme-challenge/panic/..", "example.com"),
            ("POST", "/.well-known/acme-challenge/tok-A_1", "example.com"),
        ] {
            let response = server.get(method, target, host).await;
            assert!(response.starts_with("HTTP/1.1 404 Not Found\r\n"), "{method} {target}: {response}");
            let (_, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(body.starts_with("certwright: ") && body.ends_with('\n'), "{body}");
        }
    }

    #[tokio::test]
    async fn large_headers_are_refused() {
        let server = Server::start().await;
        let host = "a".repeat(MAX_HEADER_BYTES * 2);
        let response = server.get("GET", "/.well-known/acme-challenge/tok-A_1", &host).await;
        assert!(!response.contains("200 OK"), "{response}");
    }

    #[tokio::test]
    async fn shutdown_does_not_wait_for_silent_clients() {
        let server = Server::start().await;
        let silent = TcpStream::connect(server.address).await.unwrap();
        server.get("GET", "/", "example.com").await;
        server.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(2), server.task).await.unwrap().unwrap();
        drop(silent);
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    struct Server {
        address: SocketAddr,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Server {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let shutdown = CancellationToken::new();
            let task = tokio::spawn(serve(listener, Arc::new(Pending::example()), shutdown.clone()));
            Self { address, shutdown, task }
        }

        async fn get(&self, method: &str, target: &str, host: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut response = Vec::new();
            // The server may close with our bytes unread, which arrives here as a reset after the answer.
            let _ = stream.read_to_end(&mut response).await;
            String::from_utf8(response).unwrap()
        }
    }

    struct Pending(HashMap<(&'static str, &'static str), &'static str>);

    impl Pending {
        fn example() -> Self {
            Self(HashMap::from([
                (("example.com", "tok-A_1"), "tok-A_1.thumb"),
                (("2001:db8::1", "six"), "six.thumb"),
            ]))
        }
    }

    impl KeyAuthorizations for Pending {
        fn find(&self, host: &str, token: &str) -> Option<String> {
            assert!(is_token(token), "looked up {token}");
            self.0
                .iter()
                .find(|((h, t), _)| (*h, *t) == (host, token))
                .map(|(_, answer)| (*answer).to_owned())
        }
    }
}
