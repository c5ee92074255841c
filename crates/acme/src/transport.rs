use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderValue, LINK, LOCATION};
use http::{Method, StatusCode};
use jiff::Timestamp;
use reqwest::Url;
use serde::de::DeserializeOwned;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, debug_span, warn};

use crate::bounded::{Bounded, check_chain, check_url, max_body};
use crate::limits::{MAX_HEADERS, MAX_LINKS, MAX_NONCE, MAX_URL};
use crate::retry_after::retry_after;
use crate::time::TimeDifference;
use crate::{AcmeError, Answer, DownloadedChain, Observe, Operation, Problem, ServerConfig, Trust};
use certwright_egress::excerpt::{excerpt, media_type};
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

/// An answer with any status.
#[derive(Debug)]
pub(super) struct Reply {
    operation: Operation,
    url: Url,
    host: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    retry_after: Option<Duration>,
    /// Whether the server had sent a directory before.
    from_acme: bool,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// The answer if it is a success, otherwise the CA's error (RFC 8555 section 6.7).
    pub(super) fn accepted(self) -> Result<Self, AcmeError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let Self { operation, retry_after, .. } = self;
        let status = self.status.as_u16();
        Err(match Problem::from_body(&self.body).and_then(|said| self.quotable(said)).map(Box::new) {
            Some(mut problem) => {
                problem.terms_of_service = self.links("terms-of-service").into_iter().next();
                AcmeError::Problem { operation, status, problem, retry_after }
            }
            None => {
                self.log("the answer is not a problem document of an ACME server");
                AcmeError::Http { operation, kind: self.kind(), host: self.host, status, retry_after }
            }
        })
    }

    /// The part of a problem document that readers of the issuer may see. They may not have access to the server: an issuer, or
    /// a directory, can name any server, also one within the cluster. The document is quoted if a directory was read before and
    /// the answer looks like ACME. Otherwise, only an ACME type is kept.
    fn quotable(&self, said: Problem) -> Option<Problem> {
        match self.from_acme && (self.nonce().is_some() || said.is_of_acme()) {
            true => Some(said),
            false => said.only_type(),
        }
    }

    /// What kind of answer it is, without its content.
    fn kind(&self) -> String {
        let target = self.headers.get(LOCATION).filter(|_| self.status.is_redirection());
        let target = target.and_then(|target| self.url.join(target.to_str().ok()?).ok());
        match target {
            Some(target) if target.host() == self.url.host() => {
                format!("a redirect to {}", target.origin().ascii_serialization())
            }
            Some(_) => "a redirect to another host".to_owned(),
            None => media_type(&self.headers).unwrap_or_default(),
        }
    }

    /// Logs an unexpected answer, for the administrator only.
    fn log(&self, what: &str) {
        let (operation, host, status) = (self.operation.as_str(), &self.host, self.status.as_u16());
        let location = self.headers.get(LOCATION).map(|target| excerpt(target.as_bytes()));
        debug!(operation, host, status, location, excerpt = excerpt(&self.body), "{what}");
    }

    /// The nonce for the next request. RFC 8555 section 6.5.1 requires base64url, but a CA that sends other printable
    /// characters also accepts them. A nonce that is too long is ignored.
    pub(super) fn nonce(&self) -> Option<String> {
        let nonce = self.headers.get("replay-nonce")?.to_str().ok()?.trim();
        let usable =
            (1..=MAX_NONCE).contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then(|| nonce.to_owned())
    }

    /// The URL of the object, exactly as the CA wrote it: it is compared as a string.
    pub(super) fn location(&self) -> Option<String> {
        self.resolve(self.headers.get(LOCATION)?.to_str().ok()?.trim())
    }

    /// Like [`Self::location`], for answers that must have one.
    pub(super) fn required_location(&self) -> Result<String, AcmeError> {
        self.location().ok_or_else(|| self.malformed("it has no usable Location header"))
    }

    /// The targets of the links with the relation `rel` (RFC 8288).
    pub(super) fn links(&self, rel: &str) -> Vec<String> {
        let headers = self.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
        headers.flat_map(|header| links(header, rel)).filter_map(|target| self.resolve(target)).collect()
    }

    /// The object in the body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, AcmeError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            self.log("the answer cannot be read");
            let text = error.to_string();
            let lacks = text.rsplit_once(" at line").map_or(text.as_str(), |(lacks, _)| lacks);
            let (status, kind) = (self.status.as_u16(), self.kind());
            let kind = if kind.is_empty() { "without a media type".to_owned() } else { kind };
            // Other error messages may quote the answer.
            let lacks = Some(lacks).filter(|lacks| lacks.starts_with("missing field "));
            match (error.classify(), self.operation) {
                (_, _) if self.body.trim_ascii().is_empty() => self.malformed("it is empty"),
                (serde_json::error::Category::Eof, _) => self.malformed("it is incomplete"),
                (_, Operation::Directory) => {
                    let lacks = lacks.map(|lacks| format!(" ({lacks})")).unwrap_or_default();
                    self.malformed(&format!("{status} {kind}, not an ACME directory{lacks}"))
                }
                (serde_json::error::Category::Data, _) => {
                    self.malformed(lacks.unwrap_or("a field has the wrong type"))
                }
                _ => self.malformed(&format!("{status} {kind}, not JSON")),
            }
        })
    }

    /// The object in the body, after checking its bounds.
    pub(super) fn bounded<T: DeserializeOwned + Bounded>(&self) -> Result<Answer<T>, AcmeError> {
        let answer = self.answer::<T>()?;
        answer.value.check().map_err(|what| self.out_of_bounds(&what))?;
        Ok(answer)
    }

    /// The object in the body, with the relevant headers.
    pub(super) fn answer<T: DeserializeOwned>(&self) -> Result<Answer<T>, AcmeError> {
        self.json().map(|value| self.answer_with(value))
    }

    pub(super) fn answer_with<T>(&self, value: T) -> Answer<T> {
        Answer { value, location: self.location(), retry_after: self.retry_after }
    }

    /// The chain in the body, and the links to alternate chains.
    pub(super) fn chain(&self) -> Result<Answer<DownloadedChain>, AcmeError> {
        let pem = self.text()?.to_owned();
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(self.malformed("it contains no certificate"));
        }
        check_chain(&pem).map_err(|what| self.out_of_bounds(&what))?;
        let alternates = self.links("alternate").into_iter().take(MAX_LINKS).collect();
        Ok(self.answer_with(DownloadedChain { pem, alternates }))
    }

    /// The body as text.
    pub(super) fn text(&self) -> Result<&str, AcmeError> {
        std::str::from_utf8(&self.body).map_err(|_| self.malformed("it is not text"))
    }

    pub(super) fn malformed(&self, what: &str) -> AcmeError {
        AcmeError::Malformed { operation: self.operation, host: self.host.clone(), what: what.to_owned() }
    }

    pub(super) fn out_of_bounds(&self, what: &str) -> AcmeError {
        AcmeError::OutOfBounds { operation: self.operation, host: self.host.clone(), what: what.to_owned() }
    }

    /// The absolute form of `target`, if a request can be sent to it.
    fn resolve(&self, target: &str) -> Option<String> {
        let absolute = match Url::parse(target) {
            Ok(_) => target.to_owned(),
            Err(_) => self.url.join(target).ok()?.into(),
        };
        check_url("target", &absolute).is_ok().then_some(absolute)
    }
}

#[cfg(feature = "fuzzing")]
impl Reply {
    /// A reply as if `ca.example` had sent this response.
    pub(super) fn not_sent(operation: Operation, url: Url, response: http::Response<Vec<u8>>) -> Self {
        let (head, body) = response.into_parts();
        let retry_after = retry_after(&head.headers, Timestamp::default);
        Self {
            operation,
            url,
            host: "ca.example".to_owned(),
            status: head.status,
            headers: head.headers,
            retry_after,
            from_acme: true,
            body,
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

fn links<'a>(header: &'a str, rel: &str) -> Vec<&'a str> {
    let link = |part: &'a str| {
        let (target, parameters) = part.split_once('>')?;
        let relations = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.trim_matches([' ', ',', '\t']).split_once('=')?;
            name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"'))
        })?;
        relations.split_whitespace().any(|relation| relation.eq_ignore_ascii_case(rel)).then_some(target)
    };
    header.split('<').skip(1).filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_by_relation_among_others_in_one_header() {
        let header = r#"<https://ca.example/dir>;rel="index", <https://ca.example/c/1,2>; title="x"; REL=alternate,</c/3>;rel="up alternate""#;
        assert_eq!(links(header, "alternate"), ["https://ca.example/c/1,2", "/c/3"]);
        assert_eq!(links("no link at all", "alternate"), [""; 0]);
    }
}
