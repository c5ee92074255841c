//! Answers that refuse, as the API server words them: `metav1.Status`.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::access::Refusal;

/// A request that is not carried out.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    reason: &'static str,
    message: String,
    retry_after: Option<u16>,
}

impl Refused {
    fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into(), retry_after: None }
    }

    fn again(self, seconds: u16) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "certwright-dns has no such path")
    }

    pub fn method() -> Self {
        let message = "this path does not allow that method; POST a ChallengePayload to the solver";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub fn too_large(most: usize) -> Self {
        let message = format!("the body cannot be read, or has more than {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    pub fn bad(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub fn stands_by() -> Self {
        let message = "this replica of certwright-dns does not lead; another one answers, or will soon";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message).again(2)
    }

    pub fn timeout(after: Duration) -> Self {
        let message = format!("the request could not be answered within {} s", after.as_secs());
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message).again(5)
    }

    pub fn bug() -> Self {
        let message = "a bug in certwright-dns prevents an answer; see its log, and please report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Unauthenticated => Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message),
            Refusal::Forbidden { .. } => Self::new(StatusCode::FORBIDDEN, "Forbidden", message),
            Refusal::NoAnswer => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message).again(5)
            }
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { status, reason, message, retry_after } = self;
        let details = retry_after.map(|seconds| json!({"retryAfterSeconds": seconds}));
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status.as_u16(), "details": details,
        });
        let json = [(CONTENT_TYPE, "application/json")];
        let mut answer = (status, json, body.to_string()).into_response();
        if let Some(seconds) = retry_after {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}
