//! The aggregated API: one version of one group, with one resource, the solver `dns`.

mod discovery;
mod refused;
mod solve;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use tokio::time::timeout;
use tower::ServiceExt;
use tracing::{error, warn};

pub use self::discovery::{RESOURCE, VERSION};
use self::refused::Refused;
pub use self::solve::{Duty, Solver};
use crate::access::Access;
use certwright_runtime::panics::caught;
use certwright_runtime::server::Limits;

/// The API servers of the cluster, with a connection for each concurrent request.
pub const LIMITS: Limits =
    Limits { connections: 128, headers: 32 * 1024, keep_alive: Some(Duration::from_secs(300)) };
/// How long a request may take. The operator waits 30 seconds for an answer.
const LONGEST_ANSWER: Duration = Duration::from_secs(28);

/// Answers requests.
#[derive(Clone)]
pub struct Server(Router);

impl Server {
    /// Serves this group to those who have access.
    #[must_use]
    pub fn new(group: &str, access: Arc<Access>, solver: Arc<Solver>) -> Self {
        let version = format!("/apis/{group}/{VERSION}");
        let solve = post(solve::solve).with_state((solver, access.clone()));
        let router = Router::new()
            .route("/apis", fixed(discovery::groups(group)))
            .route(&format!("/apis/{group}"), fixed(discovery::group(group)))
            .route(&version, fixed(discovery::resources(group)))
            .route(&format!("{version}/{RESOURCE}"), solve)
            .route("/healthz", get("ok"))
            .route("/livez", get("ok"))
            .route("/readyz", get("ok"))
            .route("/version", fixed(discovery::version()))
            // The API server gets along without descriptions (OpenAPI) of a group whose server has none.
            .fallback(|| async { Refused::not_found() })
            .method_not_allowed_fallback(|| async { Refused::method() })
            .layer(from_fn_with_state(access, authenticated));
        Self(router)
    }

    /// The answer to a request, in time, whatever happens.
    pub fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response> + use<> {
        let router = self.0.clone();
        async move {
            let request = request.map(Body::new);
            let answered = caught(async move {
                let answered: Result<Response, Infallible> = router.oneshot(request).await;
                answered.unwrap_or_else(|never| match never {})
            });
            match timeout(LONGEST_ANSWER, answered).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(panic)) => {
                    error!(%panic, "a request could not be answered");
                    Refused::bug().into_response()
                }
                Err(_) => {
                    warn!("a request took too long");
                    Refused::timeout(LONGEST_ANSWER).into_response()
                }
            }
        }
    }
}

/// Lets in only those whom the API server knows.
async fn authenticated(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let user = match access.user(&parts).await.and_then(|user| access.may_look(&user).map(|()| user)) {
        Ok(user) => user,
        Err(refusal) => return Refused::from(refusal).into_response(),
    };
    parts.extensions.insert(solve::Caller(user));
    next.run(Request::from_parts(parts, body)).await
}

fn fixed(answer: serde_json::Value) -> axum::routing::MethodRouter {
    let answer = answer.to_string();
    get(move || async move { ([("content-type", "application/json")], answer) })
}
