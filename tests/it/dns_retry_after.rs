//! A DNS service that limits the rate of requests is left alone for as long as it says, from `certwright-dns` to the operator.
#![allow(clippy::disallowed_methods, reason = "this is the test's own DNS service")]

use std::sync::Arc;
use std::time::Duration;

use crate::common::dns::{Ground, values};
use crate::common::{certificate, issued};
use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use certwright_cluster::{ADDRESS, CertwrightDns, PowerDns, TestNamespace};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

const ZONE: &str = "limited.test";
/// Neither the operator's usual pause nor that of `certwright-dns` after a rate limit is this one.
const WAIT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_rate_limit_of_a_dns_service_is_waited_for_as_long_as_it_says() -> Result<()> {
    TestNamespace::with("dns-retry-after", async |ns| {
        let server = PowerDns::start(&ns.cluster, &[ZONE]).await?;
        let ground = Ground::builder().zone_at(ZONE, &server.server).start(ns).await?;
        let front = Front::start(&server.url).await?;
        let (dns, _replica) = CertwrightDns::start(ns, &format!("{}.dns.test", ns.name)).await?;
        dns.allow_operator().await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "powerdns" },
            "stringData": { "api-key": PowerDns::API_KEY },
        });
        ns.apply(&secret.to_string()).await?;
        let config = json!({
            "provider": "powerdns", "settings": { "url": front.url },
            "credentials": { "apiKey": { "secretRef": { "name": "powerdns", "key": "api-key" } } },
        });
        let webhook =
            json!({ "groupName": dns.group(), "solverName": CertwrightDns::SOLVER, "config": config });
        ground.solve_by(ns, json!({ "webhook": webhook })).await?;
        ns.apply(&certificate("site", &["www.limited.test"], "")).await?;
        let issued = issued(ns, "site").await?;
        ensure!(issued["status"]["failedIssuanceAttempts"].is_null(), "{}", issued["status"]);
        let calls = front.calls.lock().clone();
        let pause = calls[1].duration_since(calls[0]);
        ensure!((WAIT..WAIT * 3).contains(&pause), "the second request came after {pause:?}");
        ensure!(values(&server.server, "_acme-challenge.www.limited.test").await?.is_empty());
        Ok(())
    })
    .await
}

/// PowerDNS's API, which asks the first caller to wait.
struct Front {
    url: String,
    upstream: String,
    http: reqwest::Client,
    calls: Mutex<Vec<Instant>>,
}

impl Front {
    async fn start(upstream: &str) -> Result<Arc<Self>> {
        let listener = TcpListener::bind((ADDRESS, 0)).await?;
        let front = Arc::new(Self {
            url: format!("http://{}", listener.local_addr()?),
            upstream: upstream.to_owned(),
            http: reqwest::Client::builder().no_proxy().build()?,
            calls: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&front));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(front)
    }

    async fn forward(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().context("no path")?;
        let asked = self.http.request(parts.method, format!("{}{path}", self.upstream));
        let answered = asked.headers(parts.headers).body(to_bytes(body, 1 << 20).await?).send().await?;
        let status = answered.status();
        Ok((status, answered.bytes().await?).into_response())
    }
}

async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    let is_first = {
        let mut calls = front.calls.lock();
        calls.push(Instant::now());
        calls.len() == 1
    };
    if is_first {
        let wait = [(RETRY_AFTER, WAIT.as_secs().to_string())];
        return (StatusCode::TOO_MANY_REQUESTS, wait, "slow down").into_response();
    }
    let answered = front.forward(request).await;
    answered.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
}
