//! One call to an HTTP API at a fixed host: bounded in size and time, with errors that are the same for each attempt.

use std::time::Duration;

use certwright_egress::excerpt::media_type;
use certwright_egress::{Egress, HttpClient, NoAnswer, tls};
use certwright_text::clean;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use reqwest::{RequestBuilder, Url};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use crate::error::{ServiceError, advice};
use crate::redact::Redactor;

/// How long a call may take in total. The API server waits at most 30 seconds for a challenge.
const TIMEOUT: Duration = Duration::from_secs(8);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A page of 100 managed zones, or a record set of 100 values, has a tenth of that.
const MAX_BODY: usize = 1 << 20;
/// How many characters of a service's own words are quoted.
const MAX_WORDS: usize = 400;
/// The longest wait that a service can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// An HTTP client for the APIs of clouds.
///
/// Hosts are constants, or come from the environment of this process, so no address is forbidden: metadata services have link-local
/// ones. Only [`Caller::restricted`] is for hosts that a tenant names.
#[derive(Clone, Debug)]
pub struct Caller {
    client: HttpClient,
    /// Tests answer in place of all hosts.
    #[cfg(test)]
    in_place_of_all: Option<Url>,
}

/// What a call is for. It begins the messages of errors.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// A change at this DNS service, in the middle of a sentence that says which.
    Service(&'static str),
    /// Credentials, in a sentence of its own.
    Credentials(&'static str),
}

/// A complete answer, whatever its status.
pub struct Answer {
    /// What the sentences about it begin with.
    who: String,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Vec<u8>,
}

impl Caller {
    /// A client for services on the internet, through the proxy of this process if it has one.
    ///
    /// # Errors
    /// If the system has no trusted roots.
    pub fn remote() -> Result<Self, ServiceError> {
        Self::new(&Egress::unrestricted(), false)
    }

    /// A client for servers that an issuer's author chooses, which must be where `egress` permits.
    ///
    /// # Errors
    /// As for [`Caller::remote`].
    pub fn restricted(egress: &Egress) -> Result<Self, ServiceError> {
        Self::new(egress, false)
    }

    /// A client for services of this machine, such as its metadata service, without proxies.
    ///
    /// # Errors
    /// As for [`Caller::remote`].
    pub fn local() -> Result<Self, ServiceError> {
        Self::new(&Egress::unrestricted(), true)
    }

    fn new(egress: &Egress, direct: bool) -> Result<Self, ServiceError> {
        let failed = |why: String| ServiceError::new(format!("creating the HTTPS client failed: {why}"));
        let tls = tls::system_roots().map_err(|error| failed(error.to_string()))?;
        let client = HttpClient::new(egress, certwright_egress::Purpose::Provider, |builder| {
            let builder = builder
                .user_agent(certwright_egress::USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(TIMEOUT)
                .pool_max_idle_per_host(2)
                .pool_idle_timeout(Duration::from_secs(30))
                .tcp_nodelay(true)
                .tls_backend_preconfigured(tls.clone());
            if direct { builder.no_proxy() } else { builder }
        });
        Ok(Self {
            client: client.map_err(|_| failed("the TLS library rejected the settings".to_owned()))?,
            #[cfg(test)]
            in_place_of_all: None,
        })
    }

    /// A client whose calls to `https://host/path` go to `server/host/path`.
    #[cfg(test)]
    pub fn in_place_of_all(server: &str) -> Self {
        Self { in_place_of_all: server.parse().ok(), ..Self::local().unwrap() }
    }

    /// Sends a request, completed by `fill`, and reads the answer.
    ///
    /// # Errors
    /// Only if there is no complete answer.
    pub async fn send(
        &self,
        purpose: Purpose,
        method: Method,
        url: Url,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, ServiceError> {
        let who = match purpose {
            Purpose::Service(title) => title.to_owned(),
            Purpose::Credentials(doing) => format!("{doing} failed: {}", url.host_str().unwrap_or_default()),
        };
        #[cfg(test)]
        let url = self.rewritten(url);
        let failed = |why: &str| ServiceError::new(format!("{who} {why}"));
        let mut response = match self.client.send(method, url, fill).await {
            Ok(response) => response,
            Err(error) => {
                return Err(match NoAnswer::of(error) {
                    NoAnswer::Forbidden(forbidden) => failed(&forbidden.to_string()),
                    NoAnswer::Timeout => failed("did not answer in time"),
                    NoAnswer::Tls(detail) => failed(&format!("cannot be reached: TLS: {detail}")),
                    NoAnswer::Unreachable(cause) => failed(&format!("cannot be reached: {cause}")),
                });
            }
        };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_BODY => body.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(failed("sent an answer of more than 1 MiB, which is not read")),
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(failed("did not answer in time")),
                Err(_) => return Err(failed("sent an incomplete answer")),
            }
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { who, status, headers, body })
    }

    #[cfg(test)]
    fn rewritten(&self, url: Url) -> Url {
        let Some(server) = &self.in_place_of_all else { return url };
        let mut rewritten = server.clone();
        rewritten.set_path(&format!("{}{}", url.host_str().unwrap(), url.path()));
        rewritten.set_query(url.query());
        rewritten
    }
}

impl Answer {
    /// Its body, if it is valid JSON of this form.
    ///
    /// # Errors
    /// A sentence that does not quote the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ServiceError> {
        serde_json::from_slice(&self.body).map_err(|_| self.not_understood())
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// A successful answer of the wrong form.
    #[must_use]
    pub fn not_understood(&self) -> ServiceError {
        let media_type = media_type(&self.headers).map(|typ| format!(" ({typ})")).unwrap_or_default();
        ServiceError::new(format!("{} sent an answer that has an unexpected form{media_type}", self.who))
    }

    /// An unsuccessful answer. `words` are the service's, without what differs each time; the `secrets` of the request are removed
    /// from them.
    #[must_use]
    pub fn refusal(&self, words: Option<String>, secrets: &[&SecretString]) -> ServiceError {
        let (who, status) = (&self.who, self.status.as_u16());
        let words =
            words.map(|words| clean(&Redactor::new(secrets.iter().copied()).redact(&words), MAX_WORDS));
        let said = match (words, media_type(&self.headers)) {
            (Some(words), _) => format!(": {words}"),
            (None, Some(media_type)) => format!(" ({media_type})"),
            (None, None) => String::new(),
        };
        let message = format!("{who} answered HTTP {status}{said}{}", advice(Some(status)));
        ServiceError { retry_after: retry_after(&self.headers), ..ServiceError::new(message) }
    }
}

/// The wait that an answer asks for, in seconds or until a date (RFC 9110 section 10.2.3). A date is compared with the answer's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).map(|zoned| zoned.timestamp()).ok();
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let sent: Timestamp = date(headers.get(DATE)?.to_str().ok()?)?;
            Duration::try_from(date(value)?.duration_since(sent)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The URL of a path at a host. No segment can lead to another path.
///
/// # Errors
/// If a segment is empty or consists of dots.
pub fn url(host: &'static str, segments: &[&str]) -> Result<Url, ServiceError> {
    let malformed = || {
        ServiceError::new(format!(
            "the URL at {host} cannot be made: a name in the config is empty or not valid"
        ))
    };
    let mut url: Url = host.parse().map_err(|_| malformed())?;
    if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
        return Err(malformed());
    }
    url.path_segments_mut().map_err(|()| malformed())?.pop_if_empty().extend(segments);
    Ok(url)
}

/// A body of type `application/x-www-form-urlencoded`.
#[must_use]
pub fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn no_segment_leads_out_of_its_path() {
        let path =
            |segments: &[&str]| url("https://dns.example", segments).map(|url| url.path().to_owned()).ok();
        assert_eq!(path(&["a", "b/../c?x#y"]).as_deref(), Some("/a/b%2F..%2Fc%3Fx%23y"));
        assert_eq!(path(&["a", ".."]), None);
        assert_eq!(path(&["", "a"]), None);
    }

    #[test]
    fn words_are_bounded_and_without_secrets() {
        let words = format!("no\u{1b}[2J s3cret {}", "x".repeat(1000));
        let headers = HeaderMap::new();
        let answer =
            Answer { who: "Cloud".to_owned(), status: StatusCode::CONFLICT, headers, body: Vec::new() };
        let message = answer.refusal(Some(words), &[&"s3cret".into()]).message;
        assert!(
            message.starts_with("Cloud answered HTTP 409: no [2J <redacted> xxx") && message.len() < 500,
            "{message}"
        );
    }

    #[test]
    fn a_wait_is_in_seconds_or_until_a_date() {
        let wait = |value: &'static str| {
            let date = "Sun, 06 Nov 1994 08:49:37 GMT";
            let headers = [(RETRY_AFTER, value), (DATE, date)];
            let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
            retry_after(&HeaderMap::from_iter(headers)).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:51:37 GMT"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:41:37 GMT"), Some(0));
        assert_eq!(wait("9999999999"), Some(86400));
        assert_eq!(wait("soon"), None);
    }
}
