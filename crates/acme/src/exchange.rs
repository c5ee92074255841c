//! Exchanges with a CA, for people who look for the cause of a problem together with the CA.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::HeaderMap;
use serde_json::{Value, json};

use crate::reply::Reply;
use crate::{AcmeError, Operation};
use certwright_text::clean;

/// Called with each exchange of a [`Server`](crate::Server).
pub type Record = Arc<dyn Fn(Exchange) + Send + Sync>;

/// How many characters of a request are kept. One for 100 names has about 5,000.
const MAX_REQUEST: usize = 8192;
/// How many characters of an answer are kept.
const MAX_ANSWER: usize = 8192;
/// How many characters of a header are kept.
const MAX_HEADER: usize = 300;
/// The headers of answers that are kept: those with a meaning in RFC 8555, and those by which a CA finds a request in its logs.
const HEADERS: [&str; 12] = [
    "boulder-requester",
    "cf-ray",
    "content-type",
    "date",
    "link",
    "location",
    "retry-after",
    "server",
    "traceparent",
    "x-amzn-trace-id",
    "x-correlation-id",
    "x-request-id",
];

/// One request to a CA, and the answer. It has no signatures, MACs, nonces or cookies, so it is of no use to anyone who wants to
/// act for the account. ACME sends no private key and no MAC key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What was asked.
    pub operation: Operation,
    /// Where.
    pub url: String,
    /// The decoded header and payload of the request; empty if it was not signed.
    pub request: String,
    /// The HTTP status; `None` if there was no answer.
    pub status: Option<u16>,
    /// Headers of the answer, as `name: value`, separated by semicolons.
    pub headers: String,
    /// The body of the answer, in one line; or why there is none.
    pub answer: String,
}

impl Exchange {
    pub(super) fn new(
        operation: Operation,
        url: &str,
        jws: Option<&str>,
        sent: &Result<Reply, AcmeError>,
    ) -> Self {
        let request = jws.map(|jws| clean(&opened(jws).to_string(), MAX_REQUEST)).unwrap_or_default();
        let (status, headers, answer) = match sent {
            Ok(reply) => {
                let body = String::from_utf8_lossy(&reply.body);
                (Some(reply.status.as_u16()), kept(&reply.headers), clean(&body, MAX_ANSWER))
            }
            Err(error) => (None, String::new(), clean(&error.to_string(), MAX_ANSWER)),
        };
        Self { operation, url: clean(url, MAX_REQUEST), request, status, headers, answer }
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.url.len() + self.request.len() + self.headers.len() + self.answer.len()
    }
}

/// What a JWS in flattened form says, without its signature. A binding to an external account, and the inner JWS of a key
/// rollover, are opened in the same way.
fn opened(jws: &str) -> Value {
    let parsed: Value = serde_json::from_str(jws).unwrap_or_default();
    opened_value(&parsed)
}

fn opened_value(jws: &Value) -> Value {
    let mut protected = part(jws, "protected");
    if let Some(header) = protected.as_object_mut() {
        header.remove("nonce");
    }
    let mut payload = part(jws, "payload");
    if payload.get("signature").is_some() {
        payload = opened_value(&payload);
    }
    if let Some(binding) = payload.get_mut("externalAccountBinding") {
        *binding = opened_value(binding);
    }
    json!({ "protected": protected, "payload": payload })
}

/// A decoded part of a JWS: JSON, or nothing for a POST-as-GET.
fn part(jws: &Value, name: &str) -> Value {
    let encoded = jws.get(name).and_then(Value::as_str).unwrap_or_default();
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap_or_default();
    serde_json::from_slice(&decoded).unwrap_or_default()
}

fn kept(headers: &HeaderMap) -> String {
    let mut text = String::new();
    for name in HEADERS {
        for value in headers.get_all(name) {
            let value = clean(&String::from_utf8_lossy(value.as_bytes()), MAX_HEADER);
            let separator = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{separator}{name}: {value}");
        }
    }
    text
}
