//! A challenge to present or to clean up, from the request to the answer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Weak};

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use certwright_solver::dns01::webhook::{
    API_VERSION, Action, ChallengePayload, ChallengeRequest, ChallengeResponse, KIND, Status,
};
use k8s_openapi::api::authentication::v1::UserInfo;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::refused::Refused;
use crate::access::Access;
use crate::challenge::{Challenge, ChallengeError};
use crate::config::{self, ConfigError};
use crate::error::ServiceError;
use crate::identity::Identity;
use crate::metrics::{Metrics, Outcome};
use crate::secrets::{SecretError, Secrets};
use crate::values::Values;
use certwright_egress::Egress;
use certwright_runtime::clock::Stopwatch;

/// The maximum size of a request's body.
const MOST: usize = 128 << 10;
/// How many challenges are worked on at the same time. Others wait.
const MOST_CHALLENGES: u32 = 256;
/// How many of them may be those of one namespace, whose service may be slow.
const MOST_OF_NAMESPACE: usize = 32;

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Caller(pub UserInfo);

/// Carries out challenges.
pub struct Solver {
    /// How Secrets are read.
    pub secrets: Secrets,
    /// Where to connect to.
    pub egress: Egress,
    /// The credentials of this process.
    pub identity: Identity,
    /// How values are changed.
    pub values: Values,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether this replica is the one that does so.
    pub duty: Duty,
}

/// Whether this replica is the one that carries out challenges.
#[derive(Debug)]
pub struct Duty {
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
    turns: Semaphore,
    of_namespaces: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Duty {
    /// It is while it leads, until `stop`.
    #[must_use]
    pub fn new(leads: watch::Receiver<bool>, stop: CancellationToken) -> Self {
        let turns = Semaphore::new(MOST_CHALLENGES as usize);
        Self { leads, stop, turns, of_namespaces: Mutex::default() }
    }

    /// Waits until nothing is being carried out.
    pub async fn done(&self) {
        let _all = self.turns.acquire_many(MOST_CHALLENGES).await;
    }

    /// The turns of a namespace. Those that nobody takes or waits for are dropped.
    fn turns_of(&self, namespace: &str) -> Arc<Semaphore> {
        let mut all = self.of_namespaces.lock();
        if let Some(turns) = all.get(namespace).and_then(Weak::upgrade) {
            return turns;
        }
        all.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(MOST_OF_NAMESPACE));
        all.insert(namespace.to_owned(), Arc::downgrade(&turns));
        turns
    }

    /// Does something for a namespace while this replica is on duty; `None` if it is not, or no longer.
    async fn during<T>(&self, namespace: &str, work: impl Future<Output = T>) -> Option<T> {
        let mut leads = self.leads.clone();
        let on_duty = |leads: &watch::Receiver<bool>| *leads.borrow() && !self.stop.is_cancelled();
        if !on_duty(&leads) {
            return None;
        }
        let work = async {
            let of_namespace = self.turns_of(namespace);
            let turn_of_namespace = of_namespace.acquire().await.ok()?;
            let turn = self.turns.acquire().await.ok()?;
            if !on_duty(&self.leads) {
                return None;
            }
            let done = work.await;
            drop((turn, turn_of_namespace));
            Some(done)
        };
        tokio::select! {
            done = work => done,
            // Another replica may begin soon.
            _ = leads.wait_for(|leads| !leads) => None,
        }
    }
}

/// Why a challenge was not carried out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl Failure {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Challenge(_) | Self::Config(_) => Outcome::Invalid,
            Self::Secret(_) => Outcome::SecretUnavailable,
            Self::Service(_) => Outcome::ServiceFailed,
        }
    }

    fn code(&self) -> StatusCode {
        match self {
            Self::Challenge(_) | Self::Config(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Secret(_) => StatusCode::FAILED_DEPENDENCY,
            Self::Service(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

/// The handler.
pub async fn solve(
    State((solver, access)): State<(Arc<Solver>, Arc<Access>)>,
    Extension(Caller(user)): Extension<Caller>,
    body: Body,
) -> Result<Response, Refused> {
    access.may_solve(&user).await?;
    let body = to_bytes(body, MOST).await.map_err(|_| Refused::too_large(MOST))?;
    let payload = serde_json::from_slice::<ChallengePayload>(&body);
    let payload =
        payload.map_err(|error| Refused::bad(&format!("the body is not a ChallengePayload: {error}")))?;
    let request = payload.request.ok_or_else(|| Refused::bad("the ChallengePayload has no request"))?;
    let (uid, namespace) = (request.uid.clone(), request.resource_namespace.clone());
    let solved =
        solver.duty.during(&namespace, solver.attend(request)).await.ok_or_else(Refused::stands_by)?;
    Ok(answer(uid, solved))
}

impl Solver {
    /// Carries out a challenge, and leaves one line in the log.
    async fn attend(&self, request: ChallengeRequest) -> Result<(), Failure> {
        let took = Stopwatch::start();
        let action = match request.action {
            Action::Present => "present",
            Action::CleanUp => "cleanup",
        };
        let mut provider = "none";
        let challenge = Challenge::try_from(request);
        let solved = match &challenge {
            Ok(challenge) => self.carry_out(challenge, &mut provider).await,
            Err(error) => Err(error.clone().into()),
        };
        let outcome = solved.as_ref().err().map_or(Outcome::Success, Failure::outcome);
        self.metrics.solved(provider, action, outcome, took.elapsed());
        let name = challenge.as_ref().map(|challenge| challenge.name.as_str()).unwrap_or_default();
        let zone = challenge.as_ref().map(|challenge| challenge.zone.as_str()).unwrap_or_default();
        let namespace = challenge.as_ref().map(|challenge| challenge.namespace.as_str()).unwrap_or_default();
        let result = outcome.as_str();
        let took_ms = u64::try_from(took.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &solved {
            Ok(()) => {
                info!(provider, action, name, zone, namespace, result, took_ms, "carried out a challenge")
            }
            Err(error) => {
                let error = error as &dyn std::error::Error;
                warn!(provider, action, name, zone, namespace, result, took_ms, error, "a challenge failed");
            }
        }
        solved
    }

    async fn carry_out(&self, challenge: &Challenge, provider: &mut &'static str) -> Result<(), Failure> {
        let config = config::parse(&challenge.config)?;
        *provider = config.provider.name;
        let secrets = self.secrets.read(&challenge.namespace, config.secrets()).await?;
        let may_use_ambient = challenge.may_use_ambient;
        let service = config.connect(&secrets, &self.egress, &self.identity, may_use_ambient).await?;
        Ok(self.values.carry_out(challenge, &config, config.account(&secrets), &service).await?)
    }
}

fn answer(uid: String, solved: Result<(), Failure>) -> Response {
    let retry_after = match &solved {
        Err(Failure::Service(error)) => error.retry_after.map(|wait| wait.as_secs().max(1)),
        _ => None,
    };
    let status = solved.as_ref().err().map(|error| Status {
        message: Some(error.to_string()),
        reason: Some(error.outcome().reason().to_owned()),
        code: Some(i32::from(error.code().as_u16())),
    });
    let payload = ChallengePayload {
        kind: KIND.to_owned(),
        api_version: API_VERSION.to_owned(),
        request: None,
        response: Some(ChallengeResponse { uid, success: solved.is_ok(), status }),
    };
    let body = serde_json::to_string(&payload).map_err(|_| Refused::bug());
    let answered = body.map(|body| (StatusCode::CREATED, [(CONTENT_TYPE, "application/json")], body));
    let mut answer = answered.map_or_else(IntoResponse::into_response, IntoResponse::into_response);
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::FutureExt;
    use futures::stream::{FuturesUnordered, StreamExt};

    use super::*;

    #[tokio::test]
    async fn a_namespace_with_slow_services_keeps_no_other_waiting() {
        let (_leads, leads) = watch::channel(true);
        let duty = Duty::new(leads, CancellationToken::new());
        let mut slow: FuturesUnordered<_> =
            (0..2 * MOST_CHALLENGES).map(|_| duty.during("slow", pending::<()>()).boxed()).collect();
        assert!(slow.next().now_or_never().is_none());
        assert_eq!(duty.during("slow", ready(1)).now_or_never(), None, "it has all its turns");
        assert_eq!(duty.during("quick", ready(1)).now_or_never(), Some(Some(1)));
        drop(slow);
        assert_eq!(duty.during("slow", ready(1)).now_or_never(), Some(Some(1)));
        assert_eq!(duty.of_namespaces.lock().len(), 1, "no trace of namespaces is kept");
    }

    #[tokio::test]
    async fn a_replica_that_does_not_lead_or_is_stopping_does_nothing() {
        let (leading, leads) = watch::channel(false);
        let stop = CancellationToken::new();
        let duty = Duty::new(leads, stop.clone());
        assert_eq!(duty.during("a", ready(1)).await, None);
        leading.send_replace(true);
        assert_eq!(duty.during("a", ready(1)).await, Some(1));
        let lost = async {
            leading.send_replace(false);
            pending::<()>().await;
        };
        assert_eq!(duty.during("a", lost).await, None);
        leading.send_replace(true);
        stop.cancel();
        assert_eq!(duty.during("a", ready(1)).await, None);
    }
}
