//! The port for kubelets and Prometheus: `/healthz`, `/readyz`, `/metrics`, `/version`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::certificates::Shown;
use crate::metrics::{self, Metrics};
use certwright_runtime::clock;
use certwright_runtime::liveness::Liveness;
use certwright_runtime::server::{Limits, serve};

const LIMITS: Limits = Limits { connections: 64, headers: 16 * 1024, keep_alive: None };

/// What the port exposes.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// Whether this replica leads.
    pub leads: watch::Receiver<bool>,
    /// The certificate for the API server.
    pub shown: watch::Receiver<Option<Arc<Shown>>>,
    /// Whether the port for the API server is served.
    pub serving: watch::Receiver<bool>,
    /// That this process is asked to end.
    pub stop: CancellationToken,
    /// Whether the process works.
    pub liveness: Liveness,
    /// The metrics.
    pub metrics: Metrics,
}

impl Vitals {
    /// What this replica waits for until it is ready.
    #[must_use]
    pub fn awaited(&self) -> Option<&'static str> {
        if self.stop.is_cancelled() {
            Some("stopping")
        } else if self.shown.borrow().is_none() {
            Some("waiting for the certificate for the API server")
        } else if !*self.serving.borrow() {
            Some("waiting to learn which certificates the API server has")
        } else if !*self.leads.borrow() {
            Some("another replica leads")
        } else {
            None
        }
    }

    /// Answers on `listener`.
    pub async fn serve(self, listener: TcpListener) {
        let version =
            serde_json::json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(scrape))
            .route("/version", get(([(CONTENT_TYPE, "application/json")], version.to_string())))
            .with_state(self);
        let answer = move |request: Request<Incoming>| {
            let router = router.clone();
            async move { router.oneshot(request).await.unwrap_or_else(|never| match never {}) }
        };
        serve(listener, answer, LIMITS, CancellationToken::new()).await;
    }
}

async fn healthz(State(vitals): State<Vitals>) -> Response {
    match vitals.liveness.ailment(clock::instant()) {
        None => "ok".into_response(),
        Some(ailment) => (StatusCode::SERVICE_UNAVAILABLE, ailment).into_response(),
    }
}

async fn readyz(State(vitals): State<Vitals>) -> Response {
    match vitals.awaited() {
        None => "ok".into_response(),
        Some(awaited) => (StatusCode::SERVICE_UNAVAILABLE, awaited).into_response(),
    }
}

async fn scrape(State(vitals): State<Vitals>) -> Response {
    if let Some(shown) = vitals.shown.borrow().as_ref() {
        vitals.metrics.serves_until(shown.expires);
    }
    match vitals.metrics.encode(vitals.awaited().is_none()) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
