//! Who may read metrics: users whose bearer token the API server accepts, and whose roles allow `get` on `/metrics`.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use k8s_openapi::api::authorization::v1::NonResourceAttributes;
use kube::Client;
use tracing::warn;

use super::metrics::{ApiVerb, Metrics};
use certwright_runtime::reviews::{ReviewError, Reviews, Wish, bearer};

/// The path that a role must allow.
const PATH: &str = "/metrics";
/// How long an answer of the API server is cached.
const LONGEST_TRUST: Duration = Duration::from_secs(60);

/// Asks the API server who may read metrics.
pub struct Gate(Reviews);

/// Why a request for metrics is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no token.
    #[error("reading metrics requires a bearer token of the cluster")]
    NoToken,
    /// The API server does not know the token.
    #[error("the API server does not accept this token")]
    Unknown,
    /// The API server knows the token, but no role allows its owner to read metrics.
    #[error("no role allows the owner of this token to get the path /metrics")]
    MayNot,
    /// The API server did not answer.
    #[error("the API server could not be asked whether this token may read metrics; see the operator's log")]
    NoAnswer,
}

impl Gate {
    /// A gate that uses this client.
    #[must_use]
    pub fn new(client: Client, metrics: Metrics) -> Self {
        Self(Reviews::new(client, LONGEST_TRUST, move |kind| metrics.api_written(kind, ApiVerb::Create)))
    }

    /// Checks a request for metrics.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn pass(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = bearer(headers).ok_or(Refusal::NoToken)?;
        let user = self.0.user(token).await.map_err(no_answer)?.ok_or(Refusal::Unknown)?;
        let attributes = NonResourceAttributes { path: Some(PATH.to_owned()), verb: Some("get".to_owned()) };
        match self.0.allows(&user, &Wish::Path(attributes)).await.map_err(no_answer)? {
            true => Ok(()),
            false => Err(Refusal::MayNot),
        }
    }
}

fn no_answer(error: ReviewError) -> Refusal {
    warn!(
        error = &error as &dyn std::error::Error,
        "a request for metrics was denied; --metrics-auth requires a role of its own"
    );
    Refusal::NoAnswer
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::MayNot => StatusCode::FORBIDDEN,
            Self::NoAnswer => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
