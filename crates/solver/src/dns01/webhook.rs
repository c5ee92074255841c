//! What cert-manager's provider webhooks are told and answer (`webhook.acme.cert-manager.io/v1alpha1`).
//!
//! A [`ChallengePayload`] is POSTed to `/apis/<groupName>/v1alpha1/<solverName>` through the API server; the answer
//! is the same object with a response in it.

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
/// The longest answer that is read.
pub const MAX_ANSWER: usize = 128 << 10;
/// The object's `kind`.
pub const KIND: &str = "ChallengePayload";

/// Where a webhook is asked, behind the API server. The names stay single parts of the path, whatever they are.
pub fn path(group_name: &str, solver_name: &str) -> String {
    let part = |name: &str| {
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        // Dots and dashes mean nothing in a name that has more than these.
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
    /// What to do; in an answer it may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ChallengeRequest>,
    /// What came of it; only in an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ChallengeResponse>,
}

/// What a webhook is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeRequest {
    /// Tells this request from others; the answer repeats it.
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
    /// The TXT record's name, with the trailing dot.
    #[serde(rename = "resolvedFQDN")]
    pub resolved_fqdn: String,
    /// The zone of that name, with the trailing dot.
    pub resolved_zone: String,
    /// Whether the webhook may use credentials that it has from its surroundings.
    pub allow_ambient_credentials: bool,
    /// The issuer's `webhook.config`, whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
}

/// Whether to add a record or to delete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Add it; doing so twice is no error.
    Present,
    /// Delete it, and no other value at the same name.
    CleanUp,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChallengeResponse {
    /// The request's.
    #[serde(default)]
    pub uid: String,
    /// Whether it was done.
    pub success: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// Of `metav1.Status` what says why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// A sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// A word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// An HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
}

/// Why a webhook did not do what it was asked to. `Display` is stable as far as the webhook's words are, and is to
/// stand after the webhook's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It says that it failed.
    #[error("{}", Refusal { message, reason, code: *code })]
    Refused {
        /// Its sentence, word for word; empty if it gave none.
        message: String,
        /// Its reason in one word, if it gave one.
        reason: Option<String>,
        /// The HTTP status it gave, if it gave one.
        code: Option<i32>,
    },
    /// The answer is not JSON, but a proxy's page, say.
    #[error("answered with what is no JSON; does groupName lead to the webhook?")]
    NotJson,
    /// The API server answered instead of the webhook.
    #[error("was not reached, as the API server says: {message}")]
    ApiServer {
        /// What it says, word for word.
        message: String,
    },
    /// The answer is JSON, but no ChallengePayload.
    #[error("answered with JSON that is no ChallengePayload; it has to speak {API_VERSION}")]
    NotAPayload,
    /// The answer has no response in it.
    #[error("answered without a response; it has to fill .response of the ChallengePayload")]
    NoResponse,
    /// The answer belongs to another request.
    #[error("answered another request than ours: .response.uid has to be that of the request")]
    OtherRequest,
}

impl Error {
    /// The variant's name, as event reason and metric label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "Refused",
            Self::NotJson => "NotJson",
            Self::ApiServer { .. } => "ApiServer",
            Self::NotAPayload => "NotAPayload",
            Self::NoResponse => "NoResponse",
            Self::OtherRequest => "OtherRequest",
        }
    }
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
            ("", None, None) => f.write_str("failed, and does not say why; its log may"),
            (message, _, _) => write!(f, "says: {message}"),
        }
    }
}

/// The lengths of what a webhook says, in characters.
const MAX_MESSAGE: usize = 1000;
const MAX_REASON: usize = 100;

/// A request to add or delete `record`. `config` is the issuer's, and `resource_namespace` where the Secrets it names
/// are.
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

/// What a webhook made of the request with this `uid`, from the body of its answer.
pub fn read(body: &[u8], uid: &str) -> Result<(), Error> {
    let value = serde_json::from_slice::<Value>(body).map_err(|_| Error::NotJson);
    let value = value.inspect_err(|_| debug!(excerpt = excerpt(body), "a webhook's answer is no JSON"))?;
    if value.get("kind").and_then(Value::as_str) == Some("Status") {
        let message = value.get("message").and_then(Value::as_str).unwrap_or_default();
        return Err(Error::ApiServer { message: clean(message, MAX_MESSAGE) });
    }
    if !value.is_object() {
        return Err(Error::NotAPayload);
    }
    let answer = serde_json::from_value::<Answer>(value).map_err(|_| Error::NotAPayload)?;
    let response = answer.response.ok_or(Error::NoResponse)?;
    // One that repeats nothing cannot be told from one that mixes requests up, but those are what the protocol's
    // first servers did, and the connection is the request's own.
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

/// Of an answer what counts: a webhook need not repeat the request, and may do so in its own way.
#[derive(Deserialize)]
struct Answer {
    response: Option<ChallengeResponse>,
}
