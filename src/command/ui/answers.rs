//! Answers the requests of the page.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anstream::adapter::strip_str;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::stream;
use http::Request;
use http::header::CONTENT_TYPE;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::access::{Refusal, Token, check_source};
use super::board::{Board, Changes};
use super::page::{FILES, HEADERS};
use crate::command::handbook::{self, Chapter};
use crate::command::output::plain;
use crate::command::request::again;
use crate::command::rows::Key;
use crate::command::status::screen;
use crate::command::{Cluster, Error, Exit, causes};
use certwright_runtime::server::{Limits, serve};

/// A page that stays open is one long request.
const LIMITS: Limits =
    Limits { connections: 64, headers: 16 << 10, keep_alive: Some(Duration::from_secs(30 * 86_400)) };
/// The shortest time between two messages to a page.
const BETWEEN: Duration = Duration::from_millis(100);
/// After how long without changes a page is told that there are none, so that it knows that this process is still there.
const QUIET: Duration = Duration::from_secs(5);
/// What requests of the page other than those for its files begin with.
const API: &str = "/api/";

/// What is needed to answer.
#[derive(Clone)]
pub struct Answers {
    /// For requests about one object.
    pub cluster: Cluster,
    /// The name of the context in the kubeconfig.
    pub context: Option<String>,
    /// The namespace that the page shows; `None`: all of them.
    pub namespace: Option<String>,
    /// What the page shows.
    pub board: Arc<Board>,
    /// Whether the page may renew and retry.
    pub allows_actions: bool,
}

impl Answers {
    /// Answers requests that have the token, until the process ends.
    pub async fn serve(self, listener: TcpListener, token: Token) {
        let router = self.router();
        let answer = move |request: Request<Incoming>| {
            let (router, admitted) = (router.clone(), admit(&request, &token));
            async move {
                let mut response = match admitted {
                    Ok(()) => router.oneshot(request).await.unwrap_or_else(|never| match never {}),
                    Err(refusal) => (refusal.status(), refusal.to_string()).into_response(),
                };
                response.headers_mut().extend(HEADERS);
                response
            }
        };
        serve(listener, answer, LIMITS, CancellationToken::new()).await;
    }

    fn router(self) -> Router {
        let mut router = Router::new()
            .route("/api/about", get(about))
            .route("/api/handbook", get(handbook))
            .route("/api/live", get(live))
            .route("/api/status/{*key}", get(status))
            .route("/api/request/{*key}", post(request));
        for (path, text, of_type) in FILES {
            router = router.route(path, get(([(CONTENT_TYPE, of_type)], text)));
        }
        router.with_state(self)
    }

    fn cluster_of(&self, namespace: Option<&str>) -> Cluster {
        Cluster { namespace: namespace.unwrap_or_default().to_owned(), ..self.cluster.clone() }
    }
}

/// Whether a request is answered.
fn admit<B>(request: &Request<B>, token: &Token) -> Result<(), Refusal> {
    check_source(request.headers())?;
    if request.uri().path().starts_with(API) { token.check(request.headers()) } else { Ok(()) }
}

async fn about(State(to): State<Answers>) -> Response {
    answer_json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "context": to.context.as_deref().map(plain),
        "namespace": to.namespace,
        "actions": to.allows_actions,
    }))
}

/// What to do about each reason.
async fn handbook() -> Response {
    let of = handbook::remedies;
    answer_json(&json!({ "certificate": of(Chapter::Certificates), "issuer": of(Chapter::Issuers) }))
}

/// The screen that `certwright status` shows.
async fn status(State(to): State<Answers>, Path(key): Path<String>) -> Response {
    let Ok(key) = key.parse::<Key>() else { return StatusCode::NOT_FOUND.into_response() };
    match screen(&to.cluster_of(key.namespace()), &key.target()).await {
        Ok(screen) => strip_str(&screen.text).to_string().into_response(),
        Err(error) => failed(&error),
    }
}

/// Requests the renewal of a Certificate, or a retry of an issuer, by the annotation that a user would set.
async fn request(State(to): State<Answers>, Path(key): Path<String>) -> Response {
    if !to.allows_actions {
        let why = "this page changes nothing; start `certwright ui` with --allow-actions";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let Ok(key) = key.parse::<Key>() else { return StatusCode::NOT_FOUND.into_response() };
    match again(&to.cluster_of(key.namespace()), &key.target()).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(&error),
    }
}

/// Sends the rows, and then each change, one JSON object a line.
async fn live(State(to): State<Answers>) -> Response {
    let follower = Follower::of(to.board);
    let lines = stream::unfold(follower, |mut follower| async move {
        let line = follower.next().await;
        Some((Ok::<_, Infallible>(line), follower))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// A page that follows the board.
struct Follower {
    board: Arc<Board>,
    versions: watch::Receiver<u64>,
    shown: Option<u64>,
    pace: Interval,
}

impl Follower {
    fn of(board: Arc<Board>) -> Self {
        let mut pace = interval(BETWEEN);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { versions: board.versions(), board, shown: None, pace }
    }

    /// What it is to be told next.
    async fn next(&mut self) -> String {
        self.pace.tick().await;
        if self.shown.is_some() {
            // An error means that there is no board, and then no page either.
            let _ = timeout(QUIET, self.versions.changed()).await;
        }
        self.versions.mark_unchanged();
        let changes = self.board.since(self.shown);
        self.shown = Some(changes.version);
        line(&changes)
    }
}

/// The rows are JSON already.
fn line(changes: &Changes) -> String {
    let gone = Value::from(changes.gone.clone());
    format!("{{\"reset\":{},\"gone\":{gone},\"rows\":[{}]}}\n", changes.reset, changes.rows.join(","))
}

fn answer_json(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn failed(error: &Error) -> Response {
    let status = match error.exit() {
        Exit::NotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_GATEWAY,
    };
    (status, plain(&causes(error))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_of_the_page_need_no_token() {
        let token = Token::generate().unwrap();
        let of = |path: &str, authorization: &str| {
            let request = Request::builder().uri(path).header("host", "127.0.0.1:8000");
            admit(&request.header("authorization", authorization).body(()).unwrap(), &token)
        };
        for (path, _, _) in FILES {
            assert_eq!(of(path, ""), Ok(()), "{path}");
        }
        let right = format!("Bearer {}", token.as_str());
        for path in
            ["/api/about", "/api/live", "/api/status/issuer/shop/ca", "/api/request/certificate/shop/www"]
        {
            assert_eq!(of(path, "Bearer wrong"), Err(Refusal::Token), "{path}");
            assert_eq!(of(path, &right), Ok(()), "{path}");
        }
        let elsewhere = Request::builder().uri("/").header("host", "evil.example").body(()).unwrap();
        assert_eq!(admit(&elsewhere, &token), Err(Refusal::Host));
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_told_all_rows_then_changes_together_and_otherwise_that_there_are_none() {
        let board = Arc::new(Board::default());
        board.put("a".to_owned(), "1".to_owned());
        let mut follower = Follower::of(board.clone());
        assert_eq!(follower.next().await, "{\"reset\":true,\"gone\":[],\"rows\":[1]}\n");
        board.put("b".to_owned(), "2".to_owned());
        board.put("c".to_owned(), "3".to_owned());
        board.remove("a");
        assert_eq!(follower.next().await, "{\"reset\":false,\"gone\":[\"a\"],\"rows\":[2,3]}\n");
        assert_eq!(follower.next().await, "{\"reset\":false,\"gone\":[],\"rows\":[]}\n");
    }
}
