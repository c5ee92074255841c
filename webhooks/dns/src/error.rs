//! Why a service did not do what it was asked.

use std::time::Duration;

use certwright_text::clean;
use dns_update::Error;
use serde_json::Value;
use tracing::debug;

use crate::redact::Redactor;

/// The longest text of a service that is quoted.
const MAX_WORDS: usize = 300;
/// The longest message.
const MAX_MESSAGE: usize = 700;
/// How long to wait after HTTP 429. The crate `dns-update` reads `Retry-After` and waits for as long as this request lasts, but it
/// does not tell how long the service would have others wait.
const RATE_LIMITED: Duration = Duration::from_secs(60);

/// Why a service did not do what it was asked. It contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    /// What failed, the service's words, and what to do, on one line.
    pub message: String,
    /// How long to wait before another request.
    pub retry_after: Option<Duration>,
    /// Whether somebody else wrote at the same moment, so that another attempt may succeed at once.
    pub conflict: bool,
}

impl ServiceError {
    /// An error with this message, which must not contain a secret.
    #[must_use]
    pub fn new(message: impl AsRef<str>) -> Self {
        Self { message: clean(message.as_ref(), MAX_MESSAGE), retry_after: None, conflict: false }
    }

    /// What the crate says about a request to the service `title`. If it may not be quoted, only its HTTP status is shown.
    pub(crate) fn of(error: &Error, title: &str, redactor: &Redactor, may_be_quoted: bool) -> Self {
        let failure = Failure::of(error);
        if let (false, Some(words)) = (may_be_quoted, &failure.words) {
            let excerpt = clean(&redactor.redact(words), MAX_WORDS);
            debug!(service = title, excerpt, "a DNS service rejected the request");
        }
        let words = failure
            .words
            .as_deref()
            .filter(|_| may_be_quoted)
            .and_then(|words| quoted(&redactor.redact(words)));
        let said = match (failure.status, words) {
            (Some(status), Some(words)) => format!("answered HTTP {status}: {words}"),
            (Some(status), None) => format!("answered HTTP {status}"),
            (None, Some(words)) => format!("failed: {words}"),
            (None, None) => failure.otherwise.to_owned(),
        };
        let advice = advice(failure.status);
        let retry_after = (failure.status == Some(429)).then_some(RATE_LIMITED);
        Self { retry_after, ..Self::new(format!("{title} {said}{advice}")) }
    }
}

/// What to do about a status.
pub(crate) fn advice(status: Option<u16>) -> &'static str {
    match status {
        Some(401 | 403) => "; check the credentials and their rights",
        Some(404) => "; check that the zone is there, and that the credentials may change it",
        Some(429) => "; it limits the rate of requests",
        _ => "",
    }
}

/// What an error of the crate says.
struct Failure {
    /// The status of the service's answer, if it is known.
    status: Option<u16>,
    /// The words of the service, or of the crate about its answer.
    words: Option<String>,
    /// What to say if there are neither.
    otherwise: &'static str,
}

impl Failure {
    fn of(error: &Error) -> Self {
        let text = match error {
            Error::Unauthorized => return Self::status(401, ""),
            Error::NotFound => return Self::status(404, ""),
            Error::BadRequest => return Self::status(400, ""),
            Error::Api(text)
            | Error::Protocol(text)
            | Error::Parse(text)
            | Error::Client(text)
            | Error::Response(text)
            | Error::Serialize(text)
            | Error::Unsupported(text) => text.as_str(),
            other => return Self { status: None, words: Some(other.to_string()), otherwise: "failed" },
        };
        // The crate repeats the URL, and does not say why.
        if text.starts_with("Failed to send request to") || text.starts_with("error sending request") {
            let otherwise = "cannot be reached, or did not answer in time";
            return Self { status: None, words: None, otherwise };
        }
        if text.starts_with("Failed to deserialize response") {
            return Self {
                status: None,
                words: None,
                otherwise: "sent an answer that has an unexpected form",
            };
        }
        if let Some(rest) =
            text.strip_prefix("BadRequest").or_else(|| text.strip_prefix("Route53 BadRequest:"))
        {
            return Self::status(400, rest);
        }
        match status_in(text) {
            Some((status, rest)) => Self::status(status, rest),
            None => Self {
                status: None,
                words: Some(text.to_owned()),
                otherwise: "rejected the request, or its answer is not understood; the debug log of certwright-dns says why",
            },
        }
    }

    fn status(status: u16, words: &str) -> Self {
        let words = words.trim_start_matches([' ', ':', '-']);
        let words = (!words.is_empty()).then(|| words.to_owned());
        Self { status: Some(status), words, otherwise: "" }
    }
}

/// The status in a text such as `HTTP 429: …` or `Route53 API error: 403 Forbidden - …`, and what follows it.
fn status_in(text: &str) -> Option<(u16, &str)> {
    const LONGEST_BEGINNING: usize = 60;
    let beginning = text.get(..text.floor_char_boundary(LONGEST_BEGINNING))?;
    let start = ["HTTP ", "error: ", "status "].into_iter().find_map(|before| {
        let start = beginning.find(before)? + before.len();
        let digits = text.get(start..start + 3)?;
        let ends = text.as_bytes().get(start + 3).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        (ends && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(start)
    })?;
    let status = text.get(start..start + 3)?.parse().ok().filter(|status| (400..600).contains(status))?;
    let rest = text.get(start + 3..)?;
    // The reason phrase says nothing new.
    let rest = rest.split_once(" - ").map_or(rest, |(_, rest)| rest);
    Some((status, rest))
}

/// The words that are worth quoting: nothing of a web page, and the messages of a JSON or XML document, without the ids that
/// differ each time.
fn quoted(words: &str) -> Option<String> {
    let words = words.trim();
    let lower = words.get(..words.floor_char_boundary(200))?.to_ascii_lowercase();
    if lower.contains("<!doctype html") || lower.contains("<html") {
        return None;
    }
    let found = match words.find('{').and_then(|start| serde_json::from_str(words.get(start..)?).ok()) {
        Some(document) => messages(&document),
        None => elements(words),
    };
    let shown = if found.is_empty() { words.to_owned() } else { found.join("; ") };
    Some(clean(&shown, MAX_WORDS)).filter(|shown| !shown.is_empty())
}

/// The texts of a JSON document that are for people.
fn messages(document: &Value) -> Vec<String> {
    const KEYS: [&str; 14] = [
        "message",
        "messages",
        "msg",
        "error",
        "errors",
        "error_description",
        "errormessage",
        "detail",
        "details",
        "description",
        "reason",
        "statusdescription",
        "statusmessage",
        "title",
    ];
    fn walk(value: &Value, is_message: bool, found: &mut Vec<String>) {
        match value {
            Value::String(text) if is_message && !text.is_empty() && !found.contains(text) => {
                found.push(text.clone())
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, is_message, found)),
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                walk(value, KEYS.contains(&key.to_ascii_lowercase().as_str()), found);
            }),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document, false, &mut found);
    found
}

/// The codes and messages of an XML document.
fn elements(document: &str) -> Vec<String> {
    let element = |name: &str| {
        let (_, rest) = document.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    if !document.starts_with('<') {
        return Vec::new();
    }
    ["Code", "Message"].into_iter().filter_map(element).filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_words_are_quoted_with_their_status_and_what_to_do() {
        for (error, expected) in [
            (
                api(
                    r#"HTTP 403: {"success":false,"errors":[{"code":9109,"message":"Invalid access token"}],"messages":[]}"#,
                ),
                "Acme DNS answered HTTP 403: Invalid access token; check the credentials and their rights",
            ),
            (
                api(r#"HTTP 422: {"id":"unprocessable","message":"Name is too short","request_id":"7f3a"}"#),
                "Acme DNS answered HTTP 422: Name is too short",
            ),
            (
                api(
                    "Route53 BadRequest: <?xml version=\"1.0\"?><ErrorResponse><Error><Code>InvalidChangeBatch</Code>\
                     <Message>Tried to delete</Message></Error><RequestId>1-2</RequestId></ErrorResponse>",
                ),
                "Acme DNS answered HTTP 400: InvalidChangeBatch; Tried to delete",
            ),
            (
                api(
                    "Route53 API error: 403 Forbidden - <ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>",
                ),
                "Acme DNS answered HTTP 403: AccessDenied; check the credentials and their rights",
            ),
            (api("BadRequest ttl too low"), "Acme DNS answered HTTP 400: ttl too low"),
            (
                api("No Cloudflare zone found for a.example"),
                "Acme DNS failed: No Cloudflare zone found for a.example",
            ),
            (Error::Unauthorized, "Acme DNS answered HTTP 401; check the credentials and their rights"),
            (Error::Response("Not Authorized".to_owned()), "Acme DNS failed: Not Authorized"),
            (
                api("Failed to send request to https://dns.example/?token=x: error sending request"),
                "Acme DNS cannot be reached, or did not answer in time",
            ),
            (
                Error::Serialize("Failed to deserialize response: expected value (body: garbage)".to_owned()),
                "Acme DNS sent an answer that has an unexpected form",
            ),
        ] {
            assert_eq!(said(&error, true).message, expected);
        }
    }

    #[test]
    fn of_a_web_page_and_of_a_server_that_a_tenant_chose_only_the_status_is_shown() {
        let page = api("HTTP 502: <!DOCTYPE html><html><body>Bad gateway 17:03</body></html>");
        assert_eq!(said(&page, true).message, "Acme DNS answered HTTP 502");
        assert_eq!(said(&api("HTTP 422: internal words"), false).message, "Acme DNS answered HTTP 422");
        assert_eq!(
            said(&api("internal words"), false).message,
            "Acme DNS rejected the request, or its answer is not understood; the debug log of certwright-dns says why"
        );
    }

    #[test]
    fn a_rate_limit_is_known_as_one() {
        let limited = said(&api("HTTP 429: slow down"), true);
        assert_eq!(limited.message, "Acme DNS answered HTTP 429: slow down; it limits the rate of requests");
        assert_eq!(limited.retry_after, Some(RATE_LIMITED));
        assert_eq!(said(&api("HTTP 500"), true).retry_after, None);
    }

    #[test]
    fn messages_are_bounded_on_one_line_and_without_secrets() {
        let long = said(&api(&format!("HTTP 500: {}\n\u{202e}", "x ".repeat(2000))), true).message;
        assert!(long.len() < MAX_MESSAGE && !long.contains('\n'), "{long}");
        let echoed = said(&api("HTTP 403: token hunter2-hunter2 is unknown"), true).message;
        assert_eq!(
            echoed,
            "Acme DNS answered HTTP 403: token <redacted> is unknown; check the credentials and their rights"
        );
    }

    fn api(text: &str) -> Error {
        Error::Api(text.to_owned())
    }

    fn said(error: &Error, may_be_quoted: bool) -> ServiceError {
        let secret = "hunter2-hunter2".into();
        ServiceError::of(error, "Acme DNS", &Redactor::new(std::iter::once(&secret)), may_be_quoted)
    }
}
