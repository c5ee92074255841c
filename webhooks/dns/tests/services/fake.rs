//! Fakes of HTTP APIs: a function from a call to an answer.

use std::collections::HashMap;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde_json::Value;

/// A call of an API.
pub struct Call {
    pub method: String,
    /// The parts of the path, unescaped.
    pub path: Vec<String>,
    pub query: HashMap<String, String>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body, if it is JSON.
    pub json: Value,
}

/// What the API answers.
pub enum Answer {
    /// A status and a JSON document.
    Json(u16, Value),
    /// A status and no body.
    Empty(u16),
    /// A status, headers and a text.
    Text(u16, &'static [(&'static str, &'static str)], String),
    /// Nothing, while the connection stays open.
    Never,
}

impl Call {
    /// Its method and path, for a match.
    pub fn line(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.iter().map(String::as_str).collect())
    }

    /// A parameter of the query; empty if it is not there.
    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A text of the body.
    pub fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }

    /// A header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client for the servers of a test.
#[expect(clippy::disallowed_methods, reason = "a test connects to its own servers")]
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A server that answers so.
pub fn fake(answer: impl Fn(&Call) -> Answer + Clone + Send + Sync + 'static) -> Router {
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let answer = answer.clone();
        async move {
            let url = reqwest::Url::parse(&format!("http://fake{uri}")).unwrap();
            let unescape =
                |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
            let path = url.path().split('/').filter(|part| !part.is_empty()).map(unescape).collect();
            let query = url.query_pairs().into_owned().collect();
            let json = serde_json::from_slice(&body).unwrap_or_default();
            let call = Call { method: method.to_string(), path, query, headers, body, json };
            let (status, headers, body): (_, &[_], _) = match answer(&call) {
                Answer::Json(status, body) => {
                    (status, &[("content-type", "application/json")], body.to_string())
                }
                Answer::Empty(status) => (status, &[], String::new()),
                Answer::Text(status, headers, body) => (status, headers, body),
                Answer::Never => std::future::pending().await,
            };
            let response = Response::builder().status(status);
            let response =
                headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
            response.body(Body::from(body)).unwrap()
        }
    };
    Router::new().fallback(handler)
}
