//! The port for kubelets and Prometheus: `/healthz`, `/readyz`, `/metrics`, `/version`.
//!
//! A thread with its own runtime serves it, so that it still answers, and reports the problem, if the main runtime is stuck.

mod scrapes;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{error, info};

use self::scrapes::Scrapes;
use super::metrics::{self, Metrics};
use super::metrics_auth::Gate;
use certwright_runtime::liveness::Liveness;
use certwright_runtime::server::{Limits, serve};
use certwright_runtime::{api_server, clock};

/// A kubelet and two Prometheus servers need three connections.
const LIMITS: Limits = Limits { connections: 64, headers: 16 * 1024, keep_alive: None };

/// What the port exposes.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    /// The metrics behind `/metrics`.
    pub metrics: Metrics,
    /// The state behind `/readyz`.
    pub readiness: Readiness,
    /// The state behind `/healthz`.
    pub liveness: Liveness,
    /// How to ask the API server who may read metrics; `None` if everybody may.
    pub metrics_auth: Option<kube::Config>,
}

/// A server that listens, and answers when it [runs](Server::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Starts to listen.
    ///
    /// # Errors
    /// [`HealthError::Listen`] if the address is in use or not local.
    pub async fn bind(address: SocketAddr) -> Result<Self, HealthError> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| HealthError::Listen { address, source })?;
        Ok(Self { listener })
    }

    /// The address, with the port that the system chose if 0 was asked for.
    ///
    /// # Errors
    /// If the system does not know it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers, on its own thread, until `stop` is cancelled or this is dropped.
    pub async fn run(self, vitals: Vitals, stop: CancellationToken) {
        // However the thread ends, even with a panic, its half is dropped.
        let (ends, ended) = oneshot::channel::<()>();
        let stop = stop.child_token();
        let _stops_with_this = stop.clone().drop_guard();
        let thread = std::thread::Builder::new().name("health".to_owned()).spawn(move || {
            let _ends = ends;
            if let Err(error) = self.block(vitals, stop) {
                error!(error = &error as &dyn std::error::Error, "health and metrics cannot be served");
            }
        });
        match thread {
            Ok(_) => drop(ended.await),
            Err(error) => error!(%error, "the thread for health and metrics cannot be started"),
        }
    }

    fn block(self, vitals: Vitals, stop: CancellationToken) -> Result<(), HealthError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(HealthError::Serve)?.block_on(async {
            let listener =
                self.listener.into_std().and_then(TcpListener::from_std).map_err(HealthError::Serve)?;
            let router = router(vitals)?;
            let answer = move |request: hyper::Request<Incoming>| {
                let router = router.clone();
                async move { router.oneshot(request).await.unwrap_or_else(|never| match never {}) }
            };
            serve(listener, answer, LIMITS, stop).await;
            Ok(())
        })
    }
}

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for health and metrics; choose another with --metrics-addr")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system lacks what the server needs.
    #[error("the health server cannot run")]
    Serve(#[source] io::Error),
    /// The API server cannot be asked who may read metrics.
    #[error("creating the client for --metrics-auth failed")]
    Client(#[source] Box<kube::Error>),
}

/// What the process waits for until it is ready. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeSet<&'static str>>>);

impl Readiness {
    /// Ready when each of these parts, such as `Certificates` for their watch, has been [reached](Self::reached).
    pub fn awaiting(parts: impl IntoIterator<Item = &'static str>) -> Self {
        Self(Arc::new(Mutex::new(parts.into_iter().collect())))
    }

    /// A part is ready.
    pub fn reached(&self, part: &str) {
        self.0.lock().remove(part);
    }

    /// What the process is still waiting for, as a message; `None` if it is ready.
    #[must_use]
    pub fn awaited(&self) -> Option<String> {
        let parts = self.0.lock();
        if parts.is_empty() {
            return None;
        }
        Some(format!("waiting for {}", parts.iter().copied().collect::<Vec<_>>().join(", ")))
    }
}

fn router(vitals: Vitals) -> Result<Router, HealthError> {
    let version = serde_json::json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    let gate = match &vitals.metrics_auth {
        None => None,
        Some(config) => {
            let client = api_server::for_requests(config.clone(), |_| {});
            let client = client.map_err(|error| HealthError::Client(Box::new(error)))?;
            Some(Arc::new(Gate::new(client, vitals.metrics.clone())))
        }
    };
    let health = Health { liveness: vitals.liveness.clone(), ill: Arc::default() };
    let exposition = Exposition { vitals: vitals.clone(), gate, scrapes: Scrapes::default() };
    Ok(Router::new()
        .route("/healthz", get(healthz).with_state(health))
        .route("/readyz", get(readyz).with_state(vitals.readiness))
        .route("/metrics", get(scrape).with_state(exposition))
        .route("/version", get(([(CONTENT_TYPE, "application/json")], version.to_string()))))
}

#[derive(Clone)]
struct Health {
    liveness: Liveness,
    /// The last answer: each change is logged once.
    ill: Arc<AtomicBool>,
}

async fn healthz(State(health): State<Health>) -> Response {
    let ailment = health.liveness.ailment(clock::instant());
    let was_ill = health.ill.swap(ailment.is_some(), Ordering::Relaxed);
    match ailment {
        None => {
            if was_ill {
                info!("/healthz answers 200 again");
            }
            "ok".into_response()
        }
        Some(ailment) => {
            if !was_ill {
                error!(ailment, "/healthz answers 503, so that this process is restarted");
            }
            (StatusCode::SERVICE_UNAVAILABLE, ailment).into_response()
        }
    }
}

async fn readyz(State(ready): State<Readiness>) -> Response {
    match ready.awaited() {
        None => "ok".into_response(),
        Some(awaited) => (StatusCode::SERVICE_UNAVAILABLE, awaited).into_response(),
    }
}

#[derive(Clone)]
struct Exposition {
    vitals: Vitals,
    gate: Option<Arc<Gate>>,
    scrapes: Scrapes,
}

async fn scrape(State(exposition): State<Exposition>, headers: HeaderMap) -> Response {
    if let Some(gate) = &exposition.gate
        && let Err(refusal) = gate.pass(&headers).await
    {
        let status = refusal.status();
        let challenge = (status == StatusCode::UNAUTHORIZED).then_some([(WWW_AUTHENTICATE, "Bearer")]);
        return (status, challenge, format!("{refusal}\n")).into_response();
    }
    let Vitals { metrics, readiness, liveness, .. } = &exposition.vitals;
    let encoded = exposition.scrapes.next(|| {
        let now = clock::instant();
        metrics.vital_signs(
            liveness.ailment(now).is_none(),
            readiness.awaited().is_none(),
            liveness.silence(now),
        );
        metrics.encode()
    });
    match encoded {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], Body::from(text)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]
mod tests;
