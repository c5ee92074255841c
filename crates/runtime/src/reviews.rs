//! What the API server says of users: whose token it is, and what they may do.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::clock;

/// How long a rejection is cached: not long, because roles may just be being applied.
const LONGEST_DISTRUST: Duration = Duration::from_secs(10);
/// The maximum number of cached answers of each kind.
const MOST_ANSWERS: usize = 256;
/// How many requests are made concurrently. Others wait.
const MOST_REVIEWS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the API server about users, and caches its answers.
pub struct Reviews {
    client: Client,
    created: Box<dyn Fn(&'static str) + Send + Sync>,
    trust: Duration,
    users: Answers<Option<UserInfo>>,
    permissions: Answers<bool>,
    turns: Semaphore,
}

/// What a user wants to do.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Something with an object.
    Resource(Box<ResourceAttributes>),
    /// Something with a path.
    Path(NonResourceAttributes),
}

/// Why the API server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// A TokenReview was refused.
    #[error("a TokenReview failed; check the roles of this program")]
    Token(#[source] kube::Error),
    /// A SubjectAccessReview was refused.
    #[error("a SubjectAccessReview failed; check the roles of this program")]
    Access(#[source] kube::Error),
    /// There was no answer.
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    Timeout,
}

impl Reviews {
    /// Permissions are cached for as long as `trust`, and rejections for 10 seconds at most. `created` is called with the kind of
    /// each review that is created.
    pub fn new(
        client: Client,
        trust: Duration,
        created: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            client,
            created: Box::new(created),
            trust,
            users: Answers::default(),
            permissions: Answers::default(),
            turns: Semaphore::new(MOST_REVIEWS),
        }
    }

    /// The owner of a token; `None` if the API server does not accept it.
    ///
    /// # Errors
    /// [`ReviewError`]
    pub async fn user(&self, token: &str) -> Result<Option<UserInfo>, ReviewError> {
        let key = fingerprint(token.as_bytes());
        self.answer(&self.users, key, Option::is_some, async {
            let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
            let review = TokenReview { spec, ..TokenReview::default() };
            (self.created)("TokenReview");
            let reviews = Api::<TokenReview>::all(self.client.clone());
            let reviewed =
                reviews.create(&PostParams::default(), &review).await.map_err(ReviewError::Token)?;
            let status = reviewed.status.unwrap_or_default();
            Ok(status.user.filter(|_| status.authenticated == Some(true)))
        })
        .await
    }

    /// Whether a user may do something.
    ///
    /// # Errors
    /// [`ReviewError`]
    pub async fn allows(&self, user: &UserInfo, wish: &Wish) -> Result<bool, ReviewError> {
        let review = SubjectAccessReview { spec: spec(user, wish), ..SubjectAccessReview::default() };
        let key = fingerprint(&serde_json::to_vec(&review.spec).unwrap_or_default());
        self.answer(&self.permissions, key, |allowed| *allowed, async {
            (self.created)("SubjectAccessReview");
            let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
            let reviewed =
                reviews.create(&PostParams::default(), &review).await.map_err(ReviewError::Access)?;
            let status = reviewed.status.unwrap_or_default();
            Ok(status.allowed && status.denied != Some(true))
        })
        .await
    }

    async fn answer<T: Clone>(
        &self,
        answers: &Answers<T>,
        key: Fingerprint,
        accepts: fn(&T) -> bool,
        ask: impl Future<Output = Result<T, ReviewError>>,
    ) -> Result<T, ReviewError> {
        if let Some(answer) = answers.remembered(&key) {
            return Ok(answer);
        }
        let asked = timeout(PATIENCE, async {
            let _turn = self.turns.acquire().await.map_err(|_| ReviewError::Timeout)?;
            // Another request with the same question may have been faster.
            match answers.remembered(&key) {
                Some(answer) => Ok(answer),
                None => ask.await,
            }
        });
        let answer = asked.await.unwrap_or(Err(ReviewError::Timeout))?;
        let accepted = accepts(&answer);
        let trust = if accepted { self.trust } else { self.trust.min(LONGEST_DISTRUST) };
        answers.remember(key, Answer { content: answer.clone(), accepted, until: clock::instant() + trust });
        Ok(answer)
    }
}

impl fmt::Debug for Reviews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reviews").finish_non_exhaustive()
    }
}

/// The token of the header `Authorization` (RFC 6750 section 2.1).
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// What an answer is about. Tokens themselves are not stored.
type Fingerprint = [u8; SHA256_OUTPUT_LEN];

fn fingerprint(bytes: &[u8]) -> Fingerprint {
    let mut fingerprint = [0; SHA256_OUTPUT_LEN];
    fingerprint.copy_from_slice(digest(&SHA256, bytes).as_ref());
    fingerprint
}

fn spec(user: &UserInfo, wish: &Wish) -> SubjectAccessReviewSpec {
    let (resource_attributes, non_resource_attributes) = match wish.clone() {
        Wish::Resource(attributes) => (Some(*attributes), None),
        Wish::Path(attributes) => (None, Some(attributes)),
    };
    SubjectAccessReviewSpec {
        user: user.username.clone(),
        groups: user.groups.clone(),
        uid: user.uid.clone(),
        extra: user.extra.clone(),
        non_resource_attributes,
        resource_attributes,
    }
}

#[derive(Debug)]
struct Answers<T>(Mutex<HashMap<Fingerprint, Answer<T>>>);

#[derive(Clone, Debug)]
struct Answer<T> {
    content: T,
    accepted: bool,
    until: Instant,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Answers<T> {
    fn remembered(&self, key: &Fingerprint) -> Option<T> {
        let answers = self.0.lock();
        answers.get(key).filter(|answer| answer.until > clock::instant()).map(|answer| answer.content.clone())
    }

    fn remember(&self, key: Fingerprint, answer: Answer<T>) {
        let now = clock::instant();
        let mut answers = self.0.lock();
        answers.retain(|_, answer| answer.until > now);
        // Rejections do not displace what is accepted.
        if answers.len() >= MOST_ANSWERS {
            answers.retain(|_, answer| answer.accepted);
        }
        if answers.len() < MOST_ANSWERS {
            answers.insert(key, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rejections_do_not_displace_what_is_accepted_and_answers_expire() {
        let answers = Answers::default();
        let until = clock::instant() + Duration::from_secs(10);
        let key = |number: usize| fingerprint(&number.to_be_bytes());
        answers.remember(key(0), Answer { content: true, accepted: true, until });
        for number in 1..2 * MOST_ANSWERS {
            answers.remember(key(number), Answer { content: false, accepted: false, until });
        }
        assert_eq!(answers.remembered(&key(0)), Some(true));
        assert!(answers.0.lock().len() <= MOST_ANSWERS);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(answers.remembered(&key(0)), None);
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        let token = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer "), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
