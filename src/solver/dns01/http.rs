//! HTTP as the providers and DNS over HTTPS use it: one POST, one answer, no redirects.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use reqwest::{Client, RequestBuilder};

use crate::acme::ServerConfig;
use crate::acme::excerpt::excerpt;
use crate::acme::unreachable::NoAnswer;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Far above any answer that is read here; a DNS message has 64 KiB at most.
const MAX_BODY: usize = 1 << 17;

/// Why no HTTP client could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The CA bundle cannot be used.
    #[error("the CA bundle holds no usable PEM certificate")]
    Bundle,
    /// The TLS library refused.
    #[error("no HTTPS client could be made")]
    Client,
}

/// What a server did over HTTP instead of what it was asked for. `Display` continues a sentence that begins with
/// the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFailure {
    /// Nothing came in time.
    Timeout,
    /// The connection failed or broke.
    Unreachable(&'static str),
    /// The server's certificate is not trusted, or the TLS handshake failed.
    Tls(String),
    /// It answered, but not with a success.
    Status {
        /// The HTTP status of the answer.
        status: u16,
        /// The beginning of the body as plain text, without what changes from one answer to the next.
        excerpt: String,
    },
    /// It answered with a success whose body is cut short or far too long.
    Body,
}

impl fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("did not answer in time"),
            Self::Unreachable(cause) => write!(f, "cannot be reached: {cause}"),
            Self::Tls(detail) => write!(f, "cannot be reached: TLS: {detail}"),
            Self::Status { status, excerpt } if excerpt.is_empty() => write!(f, "answered HTTP {status}"),
            Self::Status { status, excerpt } => write!(f, "answered HTTP {status}: {excerpt}"),
            Self::Body => f.write_str("sent an answer that is cut short or far too long"),
        }
    }
}

/// The clients in use, one for each bundle that servers are held against: to make one reads all that the system trusts.
#[derive(Debug, Default)]
pub struct Clients(Mutex<HashMap<Option<Vec<u8>>, Client>>);

impl Clients {
    /// A client that trusts the system's roots, or `bundle` (PEM) and nothing else. Each request sets its own timeout.
    pub(super) fn trusting(&self, bundle: Option<&[u8]>) -> Result<Client, ClientError> {
        let bundle = bundle.map(<[u8]>::to_vec);
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&bundle) {
            return Ok(client.clone());
        }
        let client = client(bundle.as_deref())?;
        clients.insert(bundle, client.clone());
        Ok(client)
    }
}

fn client(bundle: Option<&[u8]>) -> Result<Client, ClientError> {
    let builder = Client::builder()
        .user_agent(ServerConfig::USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    let Some(bundle) = bundle else { return builder.build().map_err(|_| ClientError::Client) };
    let certificates = reqwest::Certificate::from_pem_bundle(bundle).map_err(|_| ClientError::Bundle)?;
    if certificates.is_empty() {
        return Err(ClientError::Bundle);
    }
    builder.tls_certs_only(certificates).build().map_err(|_| ClientError::Bundle)
}

/// Sends a request and reads the body of a success, all within `timeout`.
pub(super) async fn send(request: RequestBuilder, timeout: Duration) -> Result<Vec<u8>, HttpFailure> {
    let response = request.timeout(timeout).send().await.map_err(|error| no_answer(&error))?;
    let status = response.status();
    let body = body(response).await;
    if status.is_success() { body } else { Err(refusal(status, &body.unwrap_or_default())) }
}

pub(super) fn refusal(status: StatusCode, body: &[u8]) -> HttpFailure {
    HttpFailure::Status { status: status.as_u16(), excerpt: excerpt(body, status) }
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, HttpFailure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(HttpFailure::Timeout),
            Err(_) => return Err(HttpFailure::Body),
        }
        if body.len() > MAX_BODY {
            return Err(HttpFailure::Body);
        }
    }
}

fn no_answer(error: &reqwest::Error) -> HttpFailure {
    match NoAnswer::of(error) {
        NoAnswer::Timeout => HttpFailure::Timeout,
        NoAnswer::Tls(detail) => HttpFailure::Tls(detail),
        NoAnswer::Unreachable(cause) => HttpFailure::Unreachable(cause),
    }
}
