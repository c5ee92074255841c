//! HTTP for the providers and DNS over HTTPS: one POST, one answer, no redirects.

use std::fmt;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use reqwest::{RequestBuilder, Url};
use tracing::debug;

use certwright_egress::NoAnswer;
use certwright_egress::excerpt::{excerpt, media_type};
use certwright_egress::recent::Recent;
use certwright_egress::tls;
use certwright_egress::{Egress, Forbidden, HttpClient, Purpose, SendError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Far larger than any answer that is read here; a DNS message has at most 64 KiB.
const MAX_BODY: usize = 128 << 10;
/// How much of an error's body is read. Only a part of it is logged.
const MAX_REFUSAL: usize = 8 << 10;
/// The maximum number of cached clients: one for the system's roots, and one for each bundle.
const MOST_CLIENTS: usize = 256;
/// The maximum number of idle connections to one host, and how long they are kept.
const MAX_IDLE: usize = 2;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much a server may send over HTTP/2 before it is read: as much as the largest answer.
const WINDOW: u32 = 128 << 10;

/// Why an HTTP client could not be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The CA bundle cannot be used.
    #[error("the CA bundle contains no usable PEM certificate")]
    Bundle,
    /// The TLS library failed.
    #[error("creating the HTTPS client failed")]
    Client,
}

/// Why an HTTP request failed. `Display` continues a sentence that begins with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFailure {
    /// The egress rules forbid the connection.
    Forbidden(Forbidden),
    /// There was no answer in time.
    Timeout,
    /// The connection failed or was lost.
    Unreachable(&'static str),
    /// The server's certificate is not trusted, or the TLS handshake failed.
    Tls(String),
    /// It answered with an error status.
    Status {
        /// The HTTP status of the answer.
        status: u16,
        /// The media type of the answer. The body is not quoted, because the reader may not be allowed to see it.
        media_type: Option<String>,
    },
    /// It answered successfully, but the body is incomplete.
    Cut,
    /// It answered successfully, but the body is too large.
    TooLong,
}

impl fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(forbidden) => forbidden.fmt(f),
            Self::Timeout => f.write_str("did not answer in time"),
            Self::Unreachable(cause) => write!(f, "cannot be reached: {cause}"),
            Self::Tls(detail) => write!(f, "cannot be reached: TLS: {detail}"),
            Self::Status { status, media_type: None } => write!(f, "answered HTTP {status}"),
            Self::Status { status, media_type: Some(media_type) } => {
                write!(f, "answered HTTP {status} ({media_type})")
            }
            Self::Cut => f.write_str("sent an incomplete answer"),
            Self::TooLong => f.write_str("sent an answer of more than 128 KiB, which is not read"),
        }
    }
}

/// A cache of clients, one for each CA bundle: creating one loads all of the system's roots.
pub struct Clients {
    egress: Egress,
    purpose: Purpose,
    by_bundle: Recent<Option<Vec<u8>>, HttpClient>,
}

impl Clients {
    /// An empty cache. The clients connect where `egress` permits it; `clock` is used to drop unused clients.
    #[must_use]
    pub fn new(egress: Egress, purpose: Purpose, clock: fn() -> Timestamp) -> Self {
        Self { egress, purpose, by_bundle: Recent::new(MOST_CLIENTS, clock) }
    }

    /// A client that trusts the system's roots, or only `bundle` (PEM). Each request sets its own timeout.
    pub(super) fn trusting(&self, bundle: Option<&[u8]>) -> Result<HttpClient, ClientError> {
        let make = || client(&self.egress, self.purpose, bundle);
        self.by_bundle.get_or_try_insert(&bundle.map(<[u8]>::to_vec), make)
    }
}

/// A client that connects where `egress` permits it, and trusts the system's roots, or only `bundle` (PEM).
pub(super) fn client(
    egress: &Egress,
    purpose: Purpose,
    bundle: Option<&[u8]>,
) -> Result<HttpClient, ClientError> {
    let tls = match bundle {
        Some(bundle) => tls::bundle(bundle).map_err(|_| ClientError::Bundle)?,
        None => tls::system_roots().map_err(|_| ClientError::Client)?,
    };
    let client = HttpClient::new(egress, purpose, |builder| {
        builder
            .user_agent(certwright_egress::USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_initial_stream_window_size(WINDOW)
            .http2_initial_connection_window_size(WINDOW)
            .tcp_nodelay(true)
            .tls_backend_preconfigured(tls.clone())
    });
    client.map_err(|_| ClientError::Client)
}

/// POSTs a request, completed by `fill`, to `url`, and reads the body of a successful answer, all within `timeout`.
pub(super) async fn post(
    client: &HttpClient,
    url: &Url,
    timeout: Duration,
    fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Result<Vec<u8>, HttpFailure> {
    let sent = client.send(Method::POST, url.clone(), |request| fill(request).timeout(timeout)).await;
    let response = sent.map_err(no_answer)?;
    let (status, media_type) = (response.status(), media_type(response.headers()));
    if status.is_success() {
        return body(response).await;
    }
    let (host, status) = (url.host_str(), status.as_u16());
    let beginning = beginning(response).await;
    debug!(host, status, excerpt = excerpt(&beginning), "a server rejected the request");
    Err(HttpFailure::Status { status, media_type })
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, HttpFailure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(HttpFailure::Timeout),
            Err(_) => return Err(HttpFailure::Cut),
        }
        if body.len() > MAX_BODY {
            return Err(HttpFailure::TooLong);
        }
    }
}

/// The beginning of an error's body, as far as it arrives.
async fn beginning(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < MAX_REFUSAL
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(MAX_REFUSAL);
    body
}

fn no_answer(error: SendError) -> HttpFailure {
    match NoAnswer::of(error) {
        NoAnswer::Forbidden(forbidden) => HttpFailure::Forbidden(forbidden),
        NoAnswer::Timeout => HttpFailure::Timeout,
        NoAnswer::Tls(detail) => HttpFailure::Tls(detail),
        NoAnswer::Unreachable(cause) => HttpFailure::Unreachable(cause),
    }
}
