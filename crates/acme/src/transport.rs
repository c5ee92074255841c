use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use jiff::Timestamp;
use reqwest::Url;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, debug_span, warn};

use crate::bounded::{check_url, max_body};
use crate::limits::{MAX_HEADERS, MAX_URL};
use crate::reply::Reply;
use crate::retry_after::retry_after;
use crate::time::TimeDifference;
use crate::{AcmeError, Observe, Operation, ServerConfig, Trust};
use certwright_egress::tls::{self, TlsError};
use certwright_egress::{HttpClient, Purpose};

/// Sends one request and reads one answer. It does not follow redirects: a JWS is for one URL (RFC 8555 section 6.4).
pub(super) struct Transport {
    client: HttpClient,
    clock: fn() -> Timestamp,
    observe: Observe,
    /// Whether a directory was read. From then on, the server is considered an ACME server.
    pub(super) is_acme: AtomicBool,
    pub(super) ahead: TimeDifference,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the timeout of load balancers, so that we close an idle connection first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum number of idle connections to one host.
const MAX_IDLE: usize = 4;
/// How much a server may send over HTTP/2 before it is read: as much as the largest answer.
const WINDOW: u32 = 128 << 10;
/// How much of an error's body is read. Only a part of it is quoted.
const MAX_ERROR_BODY: usize = 64 << 10;

impl Transport {
    pub(super) fn new(config: &ServerConfig) -> Result<Self, AcmeError> {
        let mut headers = HeaderMap::new();
        // RFC 8555 section 6.1 recommends this header. With it, problem documents are in the language of the logs.
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        let tls = match &config.trust {
            Trust::SystemRoots => tls::system_roots(),
            Trust::Bundle(pem) => tls::bundle(pem),
            Trust::SkipVerify => tls::no_verification(),
        };
        let tls = tls.map_err(|error| match error {
            TlsError::Bundle => AcmeError::Bundle,
            TlsError::Setup(words) => AcmeError::Client(words),
        })?;
        let client = HttpClient::new(&config.egress, Purpose::Acme, |builder| {
            builder
                .user_agent(&config.user_agent)
                .default_headers(headers.clone())
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(config.timeout)
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(MAX_IDLE)
                .http2_initial_stream_window_size(WINDOW)
                .http2_initial_connection_window_size(WINDOW)
                .http2_max_header_list_size(WINDOW / 4)
                .tcp_nodelay(true)
                .tls_backend_preconfigured(tls.clone())
        });
        let client = client.map_err(|error| AcmeError::Client(root_cause(&error)))?;
        let ahead = TimeDifference::default();
        let is_acme = AtomicBool::new(false);
        Ok(Self { client, clock: config.clock, observe: config.observe.clone(), is_acme, ahead })
    }

    pub(super) async fn get(&self, operation: Operation, url: &str) -> Result<Reply, AcmeError> {
        self.send(operation, Method::GET, url, |request| request).await
    }

    pub(super) async fn head(&self, operation: Operation, url: &str) -> Result<Reply, AcmeError> {
        self.send(operation, Method::HEAD, url, |request| request).await
    }

    pub(super) async fn post(
        &self,
        operation: Operation,
        url: &str,
        jws: String,
    ) -> Result<Reply, AcmeError> {
        self.send(operation, Method::POST, url, |request| {
            let request = request.header(CONTENT_TYPE, "application/jose+json").body(jws);
            match operation {
                Operation::Certificate => request.header(ACCEPT, "application/pem-certificate-chain"),
                _ => request,
            }
        })
        .await
    }

    pub(super) async fn send(
        &self,
        operation: Operation,
        method: Method,
        url: &str,
        fill: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Reply, AcmeError> {
        let span = debug_span!(
            "ACME request",
            otel.kind = "client",
            operation = operation.as_str(),
            server.address = Empty,
            http.response.status_code = Empty
        );
        self.send_within(&span, operation, method, url, fill).instrument(span.clone()).await
    }

    async fn send_within(
        &self,
        span: &Span,
        operation: Operation,
        method: Method,
        url: &str,
        fill: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Reply, AcmeError> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let host = parsed.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned();
        let Some(parsed) = parsed.filter(|_| url.len() <= MAX_URL) else {
            let what = check_url("request", url).err().unwrap_or_default();
            return Err(AcmeError::OutOfBounds { operation, host: "the CA".to_owned(), what });
        };
        span.record("server.address", host.as_str());
        let begun = (self.clock)();
        let answer = self.client.send(method, parsed.clone(), fill).await;
        let took = Duration::try_from((self.clock)().duration_since(begun)).unwrap_or_default();
        (self.observe)(operation, answer.as_ref().ok().map(|answer| answer.status().as_u16()), took);
        let mut response =
            answer.map_err(|error| AcmeError::no_answer(operation, &host, error)).inspect_err(|error| {
                debug!(?operation, url, %error, "no answer from the CA");
            })?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        span.record("http.response.status_code", status.as_u16());
        let retry_after = retry_after(&headers, self.clock);
        if self.ahead.see(&headers, (self.clock)()) {
            let ahead = self.ahead.get().unwrap_or_default();
            warn!(
                host,
                ca_ahead_seconds = ahead.as_secs(),
                "the clocks of this node and the CA differ; using the CA's time"
            );
        }
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if size > MAX_HEADERS {
            let what = "its headers are longer than 32 KiB".to_owned();
            return Err(AcmeError::OutOfBounds { operation, host, what });
        }
        let (max_body, max_words) = max_body(operation);
        let body = Body::read(response, status, max_body).await;
        let elapsed = (self.clock)().duration_since(begun);
        debug!(?operation, url, status = status.as_u16(), %elapsed, "the CA answered");
        let (from_acme, url) = (self.is_acme.load(Ordering::Relaxed), parsed);
        let reply = Reply { operation, url, host, status, headers, retry_after, from_acme, body: Vec::new() };
        match body {
            Ok(body) => Ok(Reply { body, ..reply }),
            // For a failure, the status is sufficient.
            Err(_) if !status.is_success() => Ok(reply),
            Err(Body::Timeout) => Err(AcmeError::Timeout { operation, host: reply.host }),
            Err(Body::Cut) => Err(reply.malformed("it is incomplete")),
            Err(Body::TooLong) => Err(reply.out_of_bounds(&format!("it is longer than {max_words}"))),
        }
    }
}

/// Why a body could not be read.
enum Body {
    Cut,
    TooLong,
    Timeout,
}

impl Body {
    async fn read(
        mut response: reqwest::Response,
        status: StatusCode,
        max_body: usize,
    ) -> Result<Vec<u8>, Self> {
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        if status.is_success() && announced.is_some_and(|length| length > max_body) {
            return Err(Self::TooLong);
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                Err(error) if error.is_timeout() => return Err(Self::Timeout),
                Err(_) => return Err(Self::Cut),
            }
            if !status.is_success() && body.len() > MAX_ERROR_BODY {
                body.truncate(MAX_ERROR_BODY);
                return Ok(body);
            }
            if body.len() > max_body {
                return Err(Self::TooLong);
            }
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => root_cause(source),
        None => error.to_string(),
    }
}
