//! The protocol of cert-manager's provider webhooks (`webhook.acme.cert-manager.io/v1alpha1`).
//!
//! A [`ChallengePayload`] is POSTed to `/apis/<groupName>/v1alpha1/<solverName>` through the API server. The answer is the same
//! object with a response.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::debug;

use super::Record;
use certwright_egress::excerpt::excerpt;
use certwright_text::clean;

#[cfg(test)]
mod tests;

/// The object's `apiVersion`.
pub const API_VERSION: &str = "webhook.acme.cert-manager.io/v1alpha1";
/// The maximum size of an answer.
pub const MAX_ANSWER: usize = 128 << 10;
/// The object's `kind`.
pub const KIND: &str = "ChallengePayload";

/// The path of a webhook at the API server. Each name remains a single segment of the path, whatever it contains.
pub fn path(group_name: &str, solver_name: &str) -> String {
    let part = |name: &str| {
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        // Dots and dashes are harmless in a name that contains other characters, too.
        match name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            true => encoded.replace("%2E", ".").replace("%2D", "-"),
            false => encoded,
        }
    };
    format!("/apis/{}/v1alpha1/{}", part(group_name), part(solver_name))
}

/// A request to a webhook, or its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChallengePayload {
    /// [`KIND`].
    #[serde(default)]
    pub kind: String,
    /// [`API_VERSION`].
    #[serde(default)]
    pub api_version: String,
    /// The request; may be missing in an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ChallengeRequest>,
    /// The response; only in an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ChallengeResponse>,
}

/// A request to a webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeRequest {
    /// Identifies the request; the answer repeats it.
    pub uid: String,
    /// Whether to add the record or to delete it.
    pub action: Action,
    /// Always `dns-01`.
    #[serde(rename = "type")]
    pub typ: String,
    /// The name that is being validated, without `*.`.
    pub dns_name: String,
    /// The TXT record's value.
    pub key: String,
    /// Where the webhook finds the Secrets that its config names.
    pub resource_namespace: String,
    /// The TXT record's name, with a trailing dot.
    #[serde(rename = "resolvedFQDN")]
    pub resolved_fqdn: String,
    /// The zone of that name, with a trailing dot.
    pub resolved_zone: String,
    /// Whether the webhook may use ambient credentials.
    pub allow_ambient_credentials: bool,
    /// The issuer's `webhook.config`, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
}

/// Whether to add a record or to delete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Add it; adding it twice is not an error.
    Present,
    /// Delete it, and no other value at the same name.
    CleanUp,
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChallengeResponse {
    /// The `uid` of the request.
    #[serde(default)]
    pub uid: String,
    /// Whether it succeeded.
    pub success: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// The fields of `metav1.Status` that give the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The reason, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
}

/// Why a call to a webhook failed. `Display` is stable if the webhook's messages are, and continues a sentence that begins with
/// the webhook's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It reports a failure.
    #[error("{}", Refusal { message, reason, code: *code })]
    Refused {
        /// Its message, verbatim; empty if it gave none.
        message: String,
        /// Its reason in one word, if it gave one.
        reason: Option<String>,
        /// The HTTP status it gave, if it gave one.
        code: Option<i32>,
    },
    /// The answer is not JSON, but for example a proxy's page.
    #[error("did not answer with JSON; check that groupName leads to the webhook")]
    NotJson,
    /// The API server answered instead of the webhook.
    #[error("could not be reached; the API server says: {message}")]
    ApiServer {
        /// Its message, verbatim.
        message: String,
    },
    /// The answer is JSON, but not a ChallengePayload.
    #[error("did not answer with a ChallengePayload; it must support {API_VERSION}")]
    NotAPayload,
    /// The answer contains no response.
    #[error("answered without a response; it must set .response of the ChallengePayload")]
    NoResponse,
    /// The answer belongs to another request.
    #[error("answered a different request: .response.uid must be that of the request")]
    OtherRequest,
}

struct Refusal<'a> {
    message: &'a str,
    reason: &'a Option<String>,
    code: Option<i32>,
}

impl std::fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.message, self.reason, self.code) {
            ("", Some(reason), _) => write!(f, "failed, and says only {reason}"),
            ("", None, Some(code)) => write!(f, "failed, and says only {code}"),
            ("", None, None) => f.write_str("failed without saying why; check its log"),
            (message, _, _) => write!(f, "says: {message}"),
        }
    }
}

/// The maximum lengths of a webhook's texts, in characters.
const MAX_MESSAGE: usize = 1000;
const MAX_REASON: usize = 100;

/// A request to add or delete `record`. `config` is the issuer's, and `resource_namespace` is the namespace of the Secrets that
/// it refers to.
#[must_use]
pub fn request(
    uid: impl Into<String>,
    action: Action,
    record: &Record,
    resource_namespace: impl Into<String>,
    allow_ambient_credentials: bool,
    config: Option<Value>,
) -> ChallengePayload {
    let request = ChallengeRequest {
        uid: uid.into(),
        action,
        typ: "dns-01".to_owned(),
        dns_name: record.base_domain().to_owned(),
        key: record.value.clone(),
        resource_namespace: resource_namespace.into(),
        resolved_fqdn: record.fqdn.clone(),
        resolved_zone: record.zone.clone(),
        allow_ambient_credentials,
        config,
    };
    ChallengePayload {
        kind: KIND.to_owned(),
        api_version: API_VERSION.to_owned(),
        request: Some(request),
        response: None,
    }
}

/// Parses the body of a webhook's answer to the request with this `uid`.
pub fn read(body: &[u8], uid: &str) -> Result<(), Error> {
    let value = serde_json::from_slice::<Value>(body).map_err(|_| Error::NotJson);
    let value = value.inspect_err(|_| debug!(excerpt = excerpt(body), "a webhook's answer is not JSON"))?;
    if value.get("kind").and_then(Value::as_str) == Some("Status") {
        let message = value.get("message").and_then(Value::as_str).unwrap_or_default();
        return Err(Error::ApiServer { message: clean(message, MAX_MESSAGE) });
    }
    if !value.is_object() {
        return Err(Error::NotAPayload);
    }
    let answer = serde_json::from_value::<WebhookResponse>(value).map_err(|_| Error::NotAPayload)?;
    let response = answer.response.ok_or(Error::NoResponse)?;
    // An answer without a uid cannot be distinguished from one to another request, but the protocol's first servers did not
    // send it, and each request has its own connection.
    if !response.uid.is_empty() && response.uid != uid {
        return Err(Error::OtherRequest);
    }
    if response.success {
        return Ok(());
    }
    let Status { message, reason, code } = response.status.unwrap_or_default();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Err(Error::Refused {
        message: clean(&message.unwrap_or_default(), MAX_MESSAGE),
        reason: reason.and_then(|reason| some(clean(&reason, MAX_REASON))),
        code: code.filter(|code| *code != 0),
    })
}

/// The relevant part of an answer: a webhook does not have to repeat the request exactly.
#[derive(Deserialize)]
struct WebhookResponse {
    response: Option<ChallengeResponse>,
}
