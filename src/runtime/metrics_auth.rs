//! Who may read metrics: users whose bearer token the API server accepts, and whose roles allow `get` on `/metrics`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::metrics::{ApiVerb, Metrics};
use certwright_runtime::clock;

/// The path that a role must allow.
const PATH: &str = "/metrics";
/// How long an answer of the API server is cached.
const LONGEST_TRUST: Duration = Duration::from_secs(60);
/// How long a rejection is cached: not long, because roles may just be being applied.
const LONGEST_DISTRUST: Duration = Duration::from_secs(10);
/// The maximum number of cached answers.
const MOST_ANSWERS: usize = 256;
/// How many tokens are reviewed concurrently. Others wait.
const MOST_REVIEWS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the API server who may read metrics.
pub struct Gate {
    client: Client,
    metrics: Metrics,
    answers: Mutex<HashMap<[u8; 32], Answer>>,
    reviews: Semaphore,
}

/// The API server's answer about a token. The token itself is not stored.
#[derive(Clone, Copy, Debug)]
struct Answer {
    permission: Permission,
    until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    May,
    Unknown,
    MayNot,
}

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

#[derive(Debug, thiserror::Error)]
enum ReviewError {
    #[error("a TokenReview failed; the operator needs the role for --metrics-auth")]
    Token(#[source] kube::Error),
    #[error("a SubjectAccessReview failed; the operator needs the role for --metrics-auth")]
    Access(#[source] kube::Error),
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    Timeout,
}

impl Gate {
    /// A gate that uses this client.
    #[must_use]
    pub fn new(client: Client, metrics: Metrics) -> Self {
        Self { client, metrics, answers: Mutex::default(), reviews: Semaphore::new(MOST_REVIEWS) }
    }

    /// Checks a request for metrics.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn pass(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = bearer(headers).ok_or(Refusal::NoToken)?;
        let key = fingerprint(token);
        let permission = match self.remembered(&key) {
            Some(permission) => permission,
            None => self.reviewed(key, token).await?,
        };
        match permission {
            Permission::May => Ok(()),
            Permission::Unknown => Err(Refusal::Unknown),
            Permission::MayNot => Err(Refusal::MayNot),
        }
    }

    async fn reviewed(&self, key: [u8; 32], token: &str) -> Result<Permission, Refusal> {
        let _turn = self.reviews.acquire().await.map_err(|_| Refusal::NoAnswer)?;
        // Another request with the same token may have been faster.
        if let Some(permission) = self.remembered(&key) {
            return Ok(permission);
        }
        let reviewed = timeout(PATIENCE, self.review(token)).await.unwrap_or(Err(ReviewError::Timeout));
        let permission = reviewed.map_err(|error| {
            warn!(error = &error as &dyn std::error::Error, "a request for metrics was denied");
            Refusal::NoAnswer
        })?;
        self.remember(key, permission);
        Ok(permission)
    }

    async fn review(&self, token: &str) -> Result<Permission, ReviewError> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        self.metrics.api_written("TokenReview", ApiVerb::Create);
        let reviews = Api::<TokenReview>::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await.map_err(ReviewError::Token)?;
        let status = reviewed.status.unwrap_or_default();
        let Some(user) = status.user.filter(|_| status.authenticated == Some(true)) else {
            return Ok(Permission::Unknown);
        };
        self.metrics.api_written("SubjectAccessReview", ApiVerb::Create);
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &access(user)).await;
        let status = reviewed.map_err(ReviewError::Access)?.status.unwrap_or_default();
        Ok(if status.allowed && status.denied != Some(true) { Permission::May } else { Permission::MayNot })
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<Permission> {
        let answers = self.answers.lock();
        answers.get(key).filter(|answer| answer.until > clock::instant()).map(|answer| answer.permission)
    }

    fn remember(&self, key: [u8; 32], permission: Permission) {
        let now = clock::instant();
        let trust = if permission == Permission::May { LONGEST_TRUST } else { LONGEST_DISTRUST };
        let mut answers = self.answers.lock();
        answers.retain(|_, answer| answer.until > now);
        // Unknown tokens do not displace valid ones.
        if answers.len() >= MOST_ANSWERS {
            answers.retain(|_, answer| answer.permission == Permission::May);
        }
        if answers.len() < MOST_ANSWERS {
            answers.insert(key, Answer { permission, until: now + trust });
        }
    }
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

fn access(user: UserInfo) -> SubjectAccessReview {
    let attributes = NonResourceAttributes { path: Some(PATH.to_owned()), verb: Some("get".to_owned()) };
    let extra: Option<BTreeMap<_, _>> = user.extra;
    let spec = SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        uid: user.uid,
        extra,
        non_resource_attributes: Some(attributes),
        resource_attributes: None,
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

/// The token of the header `Authorization` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn fingerprint(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}
