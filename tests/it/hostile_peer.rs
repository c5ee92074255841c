//! Somebody who reaches the operator's ports, or who is between it and the API server, cannot prevent answers to challenges or
//! probes, and reads nothing that is not meant for them.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::hostile::Scene;
use crate::common::{SOON, hang};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Proxy, TestNamespace};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The attacker's address, which nobody else uses.
const STRANGER: &str = "127.0.0.9";
/// How long a probe may take. A kubelet allows a second, on a machine with less load.
const PROBE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn idle_slow_and_endless_requests_keep_nobody_from_challenges_or_health() -> Result<()> {
    Scene::with("peer", async |scene| {
        let operator = &scene.operator;
        let attack = Attack::default();
        let mut tasks = JoinSet::new();
        attack.hold(&mut tasks, responder(operator)?, 600);
        attack.hold(&mut tasks, metrics(operator)?, 150);
        attack.until_opened(750).await?;
        let mut slow = JoinSet::new();
        for port in [responder(operator)?, metrics(operator)?] {
            for _ in 0..40 {
                slow.spawn(drip(port));
            }
        }

        let served = async {
            scene.bystander_is_served("under-attack").await?;
            for port in [responder(operator)?, metrics(operator)?] {
                let said = timeout(SOON, flood(port)).await??;
                ensure!(!said.contains("200 OK"), "{said}");
            }
            while let Some(lasted) = slow.join_next().await {
                let lasted = lasted??;
                ensure!(lasted < Duration::from_secs(20), "a slow request was borne for {lasted:?}");
            }
            anyhow::Ok(())
        };
        let probed = async {
            let mut pace = interval(Duration::from_millis(200));
            loop {
                pace.tick().await;
                if let Err(failed) = probe(operator).await {
                    break failed;
                }
            }
        };
        tokio::select! {
            served = served => served?,
            failed = probed => return Err(failed),
        }
        tasks.shutdown().await;
        let metrics = operator.metrics().await?;
        ensure!(metrics.contains("\ncertwright_healthy 1\n") && metrics.contains("\ncertwright_ready 1\n"));
        scene.aftermath().await
    })
    .await
}

/// A connection can be lost without notice to either side, for example if a firewall forgets it.
#[tokio::test]
async fn a_watch_that_gets_no_answer_is_begun_anew_and_health_does_not_fail_for_it() -> Result<()> {
    TestNamespace::with("peer", async |ns| {
        let proxy = Proxy::of_api_server(&ns.cluster).await?;
        let mut hanging = hang(&proxy, "/apis/certwright.dev/");
        let operator = Operator::builder(ns).api_server(&proxy.url).spawn().await?;
        hanging.reached().await?;
        probe(&operator).await?;
        let (status, _) = get(&operator, "/readyz", None).await?;
        ensure!(status == 503, "ready with a cache that was never filled: {status}");
        ensure!(operator.metrics().await?.contains("\ncertwright_ready 0\n"));
        // Connections that already hang continue to hang.
        proxy.pass();
        operator.wait_ready(Duration::from_secs(90)).await?;
        probe(&operator).await
    })
    .await
}

#[tokio::test]
async fn an_answer_of_the_api_server_that_cannot_be_read_does_not_reach_the_log() -> Result<()> {
    TestNamespace::with("peer", async |ns| {
        let proxy = Proxy::of_api_server(&ns.cluster).await?;
        proxy.script(|request| match request.path.contains("/issuers?") {
            true => {
                let secret = "hunter2".repeat(100_000);
                let headers = vec![("content-type", "application/json".to_owned())];
                let body = json!({ "type": "ADDED", "object": 7, "password": secret }).to_string();
                Action::Respond { status: 200, headers, body }
            }
            false => Action::Pass,
        });
        let operator = Operator::builder(ns)
            .argument("--log-level", "debug,kube_client=trace")
            .api_server(&proxy.url)
            .spawn()
            .await?;
        let list = |request: &certwright_cluster::proxy::Record| request.path.contains("/issuers?");
        proxy.wait_request(SOON, list).await?;
        let mut pace = interval(Duration::from_millis(50));
        let told = || operator.logs().into_iter().find(|line| line.contains("\"WARN\""));
        let told = timeout(SOON, async {
            loop {
                pace.tick().await;
                if let Some(told) = told() {
                    break told;
                }
            }
        });
        told.await.context("no warning says that the watch broke")?;
        let longest = operator.logs().into_iter().max_by_key(String::len).unwrap_or_default();
        ensure!(
            longest.len() < 4096 && !operator.logs().concat().contains("hunter2hunter2"),
            "{longest:.4096}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn metrics_are_for_those_whom_a_role_lets_read_them_if_that_is_asked_for() -> Result<()> {
    TestNamespace::with("peer", async |ns| {
        let operator = Operator::builder(ns).argument("--metrics-auth", "true").start().await?;
        let reader = format!("{}-reader", ns.name);
        ns.apply(&format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{ name: prometheus }}\n---\napiVersion: v1\nkind: \
             ServiceAccount\nmetadata: {{ name: curious }}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: \
             ClusterRoleBinding\nmetadata: {{ name: {reader} }}\nroleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: \
             ClusterRole, name: certwright-metrics-reader }}\nsubjects: [{{ kind: ServiceAccount, name: prometheus, \
             namespace: {} }}]\n",
            ns.name
        ))
        .await?;
        let (prometheus, curious) = (token(ns, "prometheus").await?, token(ns, "curious").await?);
        for (token, expected) in [
            (None, 401),
            (Some("not.a.token"), 401),
            (Some(curious.as_str()), 403),
            (Some(prometheus.as_str()), 200),
            // From the cache.
            (Some(prometheus.as_str()), 200),
            (Some(curious.as_str()), 403),
        ] {
            let (status, said) = get(&operator, "/metrics", token).await?;
            ensure!(status == expected, "{status} instead of {expected}: {said:.300}");
            ensure!(said.contains("certwright_leader") == (expected == 200), "{said:.300}");
        }
        for path in ["/healthz", "/readyz", "/version"] {
            ensure!(get(&operator, path, None).await?.0 == 200, "{path} wants a token");
        }
        let (_, text) = get(&operator, "/metrics", Some(&prometheus)).await?;
        let reviews = "certwright_api_writes_total{kind=\"TokenReview\",verb=\"create\"} ";
        let reviews = text.lines().find_map(|line| line.strip_prefix(reviews)).context("no TokenReview")?;
        ensure!(reviews.parse::<u32>()? <= 4, "six requests with a token cost {reviews} reviews");
        let log = operator.logs().concat();
        ensure!(!log.contains(&prometheus) && !log.contains(&curious), "a token is in the log");
        ns.delete_object(&format!("clusterrolebinding/{reader}")).await
    })
    .await
}

/// Connections that send nothing, and are opened again when they are closed.
#[derive(Clone, Default)]
struct Attack(Arc<AtomicUsize>);

impl Attack {
    fn hold(&self, tasks: &mut JoinSet<()>, port: SocketAddr, count: usize) {
        for _ in 0..count {
            let opened = self.0.clone();
            tasks.spawn(async move {
                let mut pace = interval(Duration::from_millis(500));
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    pace.tick().await;
                    let Ok(mut stream) = connect(port).await else { continue };
                    opened.fetch_add(1, Ordering::Relaxed);
                    let _ = stream.read(&mut [0]).await;
                }
            });
        }
    }

    async fn until_opened(&self, count: usize) -> Result<()> {
        let mut pace = interval(Duration::from_millis(20));
        let opened = timeout(SOON, async {
            while self.0.load(Ordering::Relaxed) < count {
                pace.tick().await;
            }
        });
        opened.await.with_context(|| format!("{} connections", self.0.load(Ordering::Relaxed)))
    }
}

/// Sends a line of a header each second, and returns how long the server kept the connection.
async fn drip(port: SocketAddr) -> Result<Duration> {
    let mut stream = connect(port).await?;
    let began = Instant::now();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a.example.com\r\n").await?;
    let mut pace = interval(Duration::from_secs(1));
    let mut answer = [0; 64];
    while began.elapsed() < SOON {
        let closed = tokio::select! {
            read = stream.read(&mut answer) => read.unwrap_or_default() == 0,
            _ = pace.tick() => false,
        };
        if closed || stream.write_all(b"X-Slow: 1\r\n").await.is_err() {
            break;
        }
    }
    Ok(began.elapsed())
}

/// Sends headers without end, and returns the answer.
async fn flood(port: SocketAddr) -> Result<String> {
    let mut stream = connect(port).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a.example.com\r\nX-Large: ").await?;
    let chunk = [b'a'; 16 * 1024];
    for _ in 0..4096 {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

async fn connect(port: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(STRANGER.parse()?, 0))?;
    Ok(socket.connect(port).await?)
}

/// Like a kubelet: with a new connection each time.
async fn probe(operator: &Operator) -> Result<()> {
    let began = Instant::now();
    let probed = timeout(PROBE, get(operator, "/healthz", None)).await;
    let (status, said) =
        probed.with_context(|| format!("no answer to a probe for {:?}", began.elapsed()))??;
    ensure!(status == 200, "{status}: {said}");
    Ok(())
}

async fn get(operator: &Operator, path: &str, token: Option<&str>) -> Result<(u16, String)> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let request = http.get(format!("{}{path}", operator.metrics_url));
    let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

async fn token(ns: &TestNamespace, account: &str) -> Result<String> {
    let request: TokenRequest = serde_json::from_value(json!({ "spec": { "expirationSeconds": 3600 } }))?;
    let accounts = ns.api::<ServiceAccount>();
    let token = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    Ok(token.status.context("a token request without a token")?.token)
}

fn responder(operator: &Operator) -> Result<SocketAddr> {
    Ok(operator.responder.parse()?)
}

fn metrics(operator: &Operator) -> Result<SocketAddr> {
    Ok(operator.metrics_url.trim_start_matches("http://").parse()?)
}
