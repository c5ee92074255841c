//! Who calls, and whether they may: delegated to the API server, as in Kubernetes' own aggregated API servers.

pub mod front_proxy;

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::Client;
use tokio::sync::watch;
use tracing::{debug, warn};

use self::front_proxy::FrontProxy;
use certwright_runtime::reviews::{ReviewError, Reviews, Wish, bearer};
use certwright_runtime::server::ClientCertificate;

/// How long an answer of the API server is cached.
const LONGEST_TRUST: Duration = Duration::from_secs(10);

/// Asks the API server about users.
#[derive(Debug)]
pub struct Access {
    front_proxy: watch::Receiver<Option<Arc<FrontProxy>>>,
    reviews: Reviews,
    wish: Wish,
    wanted: String,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody vouches for the user.
    #[error("call this server through the Kubernetes API server, or with a bearer token that it accepts")]
    Unauthenticated,
    /// No role allows it.
    #[error("{user} may not {wanted}; it needs a role that allows it")]
    Forbidden {
        /// The user.
        user: String,
        /// What it wants to do.
        wanted: String,
    },
    /// The API server did not answer.
    #[error("the Kubernetes API server could not be asked about the caller; see the log of certwright-dns")]
    NoAnswer,
}

impl Access {
    /// Access to a resource of an API group.
    #[must_use]
    pub fn new(
        client: Client,
        front_proxy: watch::Receiver<Option<Arc<FrontProxy>>>,
        group: &str,
        version: &str,
        resource: &str,
    ) -> Self {
        let attributes = ResourceAttributes {
            group: Some(group.to_owned()),
            version: Some(version.to_owned()),
            resource: Some(resource.to_owned()),
            verb: Some("create".to_owned()),
            ..ResourceAttributes::default()
        };
        Self {
            front_proxy,
            reviews: Reviews::new(client, LONGEST_TRUST, |_| {}),
            wish: Wish::Resource(Box::new(attributes)),
            wanted: format!("create {resource} in the API group {group}"),
        }
    }

    /// Who calls: the user that the front proxy names, or the owner of the bearer token.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn user(&self, request: &Parts) -> Result<UserInfo, Refusal> {
        let front_proxy = self.front_proxy.borrow().clone();
        let certificate = request.extensions.get::<ClientCertificate>();
        if let (Some(front_proxy), Some(ClientCertificate(certificate))) = (front_proxy, certificate)
            && let Some(user) = front_proxy.user(certificate, &request.headers)
        {
            return Ok(user);
        }
        let token = bearer(&request.headers).ok_or(Refusal::Unauthenticated)?;
        self.reviews.user(token).await.map_err(no_answer)?.ok_or(Refusal::Unauthenticated)
    }

    /// Whether a user may see what this server offers, as everybody may whom the API server knows.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn may_look(&self, user: &UserInfo) -> Result<(), Refusal> {
        let anonymous = user.groups.iter().flatten().any(|group| group == "system:unauthenticated");
        if anonymous || user.username.as_deref() == Some("system:anonymous") {
            return Err(Refusal::Unauthenticated);
        }
        Ok(())
    }

    /// Whether a user may add and delete records.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn may_solve(&self, user: &UserInfo) -> Result<(), Refusal> {
        if self.reviews.allows(user, &self.wish).await.map_err(no_answer)? {
            return Ok(());
        }
        let name = user.username.as_deref().unwrap_or_default();
        debug!(user = name, "no role allows a request");
        Err(Refusal::Forbidden { user: certwright_text::clean(name, 200), wanted: self.wanted.clone() })
    }
}

fn no_answer(error: ReviewError) -> Refusal {
    warn!(error = &error as &dyn std::error::Error, "a request was refused");
    Refusal::NoAnswer
}
