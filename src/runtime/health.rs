//! The port that kubelets and Prometheus ask: `/healthz`, `/readyz`, `/metrics`, `/version`.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::metrics::{self, Metrics};

/// A server that listens, and answers once it [runs](Server::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    router: Router,
}

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`HealthError::Listen`] if the address is taken or is not ours.
    pub async fn bind(address: SocketAddr, metrics: Metrics, ready: Readiness) -> Result<Self, HealthError> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| HealthError::Listen { address, source })?;
        Ok(Self { listener, router: router(metrics, ready) })
    }

    /// The address, with the port that the system chose if 0 was asked for.
    ///
    /// # Errors
    /// If the system does not know it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` is cancelled.
    ///
    /// # Errors
    /// [`HealthError::Serve`] if the listener breaks.
    pub async fn run(self, stop: CancellationToken) -> Result<(), HealthError> {
        let served = axum::serve(self.listener, self.router).with_graceful_shutdown(stop.cancelled_owned());
        served.await.map_err(HealthError::Serve)
    }
}

/// Why nothing answers.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The listener broke.
    #[error("the health server broke")]
    Serve(#[source] io::Error),
}

/// What the process waits for before it is ready. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeSet<&'static str>>>);

impl Readiness {
    /// Ready once each of these parts, such as `Certificates` for their watch, has been [reached](Self::reached).
    pub fn awaiting(parts: impl IntoIterator<Item = &'static str>) -> Self {
        Self(Arc::new(Mutex::new(parts.into_iter().collect())))
    }

    /// A part is there.
    pub fn reached(&self, part: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// What is still waited for, in words; nothing once the process is ready.
    #[must_use]
    pub fn awaited(&self) -> Option<String> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.is_empty() {
            return None;
        }
        Some(format!("waiting for {}", parts.iter().copied().collect::<Vec<_>>().join(", ")))
    }
}

fn router(metrics: Metrics, ready: Readiness) -> Router {
    let version = serde_json::json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    Router::new()
        .route("/healthz", get("ok"))
        .route("/readyz", get(readyz).with_state(ready))
        .route("/metrics", get(scrape).with_state(metrics))
        .route("/version", get(([(CONTENT_TYPE, "application/json")], version.to_string())))
}

async fn readyz(State(ready): State<Readiness>) -> Response {
    match ready.awaited() {
        None => "ok".into_response(),
        Some(awaited) => (StatusCode::SERVICE_UNAVAILABLE, awaited).into_response(),
    }
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_says_what_it_waits_for() {
        let ready = Readiness::awaiting(["Issuers", "Certificates"]);
        let server = Running::start(ready.clone()).await;
        assert_eq!(server.get("/readyz").await, (503, "waiting for Certificates, Issuers".into()));
        ready.reached("Certificates");
        assert_eq!(server.get("/readyz").await, (503, "waiting for Issuers".into()));
        ready.reached("Issuers");
        assert_eq!(server.get("/readyz").await, (200, "ok".into()));
        assert_eq!(server.get("/healthz").await, (200, "ok".into()));
    }

    #[tokio::test]
    async fn metrics_come_as_openmetrics() {
        let server = Running::start(Readiness::default()).await;
        let answer = reqwest::get(server.url("/metrics")).await.unwrap();
        assert_eq!(answer.headers()["content-type"], metrics::CONTENT_TYPE);
        assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
    }

    #[tokio::test]
    async fn the_version_is_told_as_json() {
        let server = Running::start(Readiness::default()).await;
        let (status, body) = server.get("/version").await;
        assert_eq!(status, 200);
        let version: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            version,
            serde_json::json!({ "name": "certwright", "version": env!("CARGO_PKG_VERSION") })
        );
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let server = Running::start(Readiness::default()).await;
        let error = Server::bind(server.address, Metrics::default(), Readiness::default()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {}", server.address));
    }

    #[tokio::test]
    async fn the_server_ends_when_told() {
        let Running { stop, task, .. } = Running::start(Readiness::default()).await;
        stop.cancel();
        task.await.unwrap().unwrap();
    }

    struct Running {
        address: SocketAddr,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<Result<(), HealthError>>,
    }

    impl Running {
        async fn start(ready: Readiness) -> Self {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let server = Server::bind(any, Metrics::default(), ready).await.unwrap();
            let address = server.local_addr().unwrap();
            let stop = CancellationToken::new();
            let task = tokio::spawn(server.run(stop.clone()));
            Self { address, stop, task }
        }

        fn url(&self, path: &str) -> String {
            format!("http://{}{path}", self.address)
        }

        async fn get(&self, path: &str) -> (u16, String) {
            let answer = reqwest::get(self.url(path)).await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    }
}
