//! HTTP as the providers and DNS over HTTPS use it: one POST, one answer, no redirects.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use reqwest::{RequestBuilder, Url};
use tracing::debug;

use crate::acme::ServerConfig;
use crate::acme::excerpt::{excerpt, media_type};
use crate::acme::unreachable::NoAnswer;
use crate::egress::{Egress, Forbidden, HttpClient, Purpose, SendError};

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
    /// The egress rules forbid the connection.
    Forbidden(Forbidden),
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
        /// The media type of the answer. Nothing of what it says, which may not be meant for whoever reads this.
        media_type: Option<String>,
    },
    /// It answered with a success whose body is cut short or far too long.
    Body,
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
            Self::Body => f.write_str("sent an answer that is cut short or far too long"),
        }
    }
}

/// The clients in use, one for each bundle that servers are held against: to make one reads all that the system trusts.
#[derive(Debug)]
pub struct Clients {
    egress: Egress,
    purpose: Purpose,
    by_bundle: Mutex<HashMap<Option<Vec<u8>>, HttpClient>>,
}

impl Clients {
    /// No clients yet. They connect where `egress` permits it.
    #[must_use]
    pub fn new(egress: Egress, purpose: Purpose) -> Self {
        Self { egress, purpose, by_bundle: Mutex::default() }
    }

    /// A client that trusts the system's roots, or `bundle` (PEM) and nothing else. Each request sets its own timeout.
    pub(super) fn trusting(&self, bundle: Option<&[u8]>) -> Result<HttpClient, ClientError> {
        let bundle = bundle.map(<[u8]>::to_vec);
        let mut clients = self.by_bundle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&bundle) {
            return Ok(client.clone());
        }
        let client = self.client(bundle.as_deref())?;
        clients.insert(bundle, client.clone());
        Ok(client)
    }

    fn client(&self, bundle: Option<&[u8]>) -> Result<HttpClient, ClientError> {
        let certificates = match bundle {
            None => Vec::new(),
            Some(bundle) => reqwest::Certificate::from_pem_bundle(bundle).map_err(|_| ClientError::Bundle)?,
        };
        if bundle.is_some() && certificates.is_empty() {
            return Err(ClientError::Bundle);
        }
        let client = HttpClient::new(&self.egress, self.purpose, |builder| {
            let builder = builder
                .user_agent(ServerConfig::USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true);
            if bundle.is_none() { builder } else { builder.tls_certs_only(certificates.clone()) }
        });
        client.map_err(|_| if bundle.is_none() { ClientError::Client } else { ClientError::Bundle })
    }
}

/// POSTs to `url` what `fill` makes of the request, and reads the body of a success, all within `timeout`.
pub(super) async fn post(
    client: &HttpClient,
    url: &Url,
    timeout: Duration,
    fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Result<Vec<u8>, HttpFailure> {
    let sent = client.send(Method::POST, url.clone(), |request| fill(request).timeout(timeout)).await;
    let response = sent.map_err(no_answer)?;
    let (status, media_type) = (response.status(), media_type(response.headers()));
    let body = body(response).await;
    if status.is_success() {
        return body;
    }
    let (host, status) = (url.host_str(), status.as_u16());
    debug!(host, status, excerpt = excerpt(&body.unwrap_or_default()), "a server refuses");
    Err(HttpFailure::Status { status, media_type })
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

fn no_answer(error: SendError) -> HttpFailure {
    match NoAnswer::of(error) {
        NoAnswer::Forbidden(forbidden) => HttpFailure::Forbidden(forbidden),
        NoAnswer::Timeout => HttpFailure::Timeout,
        NoAnswer::Tls(detail) => HttpFailure::Tls(detail),
        NoAnswer::Unreachable(cause) => HttpFailure::Unreachable(cause),
    }
}
