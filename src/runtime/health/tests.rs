use std::time::Duration;

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
async fn an_ailment_is_told_with_503_and_as_a_metric() {
    let liveness = Liveness::default();
    let server = Running::showing(Vitals { liveness: liveness.clone(), ..Vitals::default() }).await;
    assert!(server.get("/metrics").await.1.contains("\ncertwright_healthy 1\n"));
    let start = clock::instant();
    liveness.answered("certificates", start);
    for minutes in [0, 5, 10, 15, 20] {
        liveness.answered("issuers", start + Duration::from_secs(minutes * 60));
    }
    let (status, why) = server.get("/healthz").await;
    assert_eq!(status, 503);
    assert!(why.contains("not that of certificates"), "{why}");
    assert!(server.get("/metrics").await.1.contains("\ncertwright_healthy 0\n"));
}

/// The runtime of the test has one thread, as that of a container with one processor.
#[test]
fn health_is_answered_while_the_main_runtime_is_stuck() {
    let (running, runtime) = on_a_runtime_of_its_own();
    runtime.spawn(running.liveness.clone().beat());
    let liveness = running.liveness.clone();
    let (release, held) = std::sync::mpsc::channel::<()>();
    runtime.spawn(liveness.attend("controller of Issuers", async move {
        let _ = held.recv();
    }));
    let url = format!("http://{}/healthz", running.address);
    let asking = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = asking.block_on(async { reqwest::get(url).await.unwrap().status() });
    assert_eq!(status, 200, "it has not been stuck for long");
    let ailment = running.liveness.ailment(clock::instant() + Duration::from_secs(90)).unwrap();
    assert!(ailment.contains("no task has run") || ailment.contains("controller of Issuers"), "{ailment}");
    drop(release);
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
    assert_eq!(version, serde_json::json!({ "name": "certwright", "version": env!("CARGO_PKG_VERSION") }));
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = Running::start(Readiness::default()).await;
    let error = Server::bind(server.address).await.unwrap_err();
    let expected = "cannot listen on {} for health and metrics; choose another with --metrics-addr";
    assert_eq!(error.to_string(), expected.replace("{}", &server.address.to_string()));
}

#[tokio::test]
async fn the_server_ends_when_told() {
    let Running { stop, task, .. } = Running::start(Readiness::default()).await;
    stop.cancel();
    task.await.unwrap();
}

struct Stuck {
    address: SocketAddr,
    liveness: Liveness,
}

/// A health server whose main runtime has one thread.
fn on_a_runtime_of_its_own() -> (Stuck, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let liveness = Liveness::default();
    let vitals = Vitals { liveness: liveness.clone(), ..Vitals::default() };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = runtime.block_on(Server::bind(any)).unwrap();
    let address = server.local_addr().unwrap();
    runtime.spawn(server.run(vitals, CancellationToken::new()));
    (Stuck { address, liveness }, runtime)
}

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(readiness: Readiness) -> Self {
        Self::showing(Vitals { readiness, ..Vitals::default() }).await
    }

    async fn showing(vitals: Vitals) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(any).await.unwrap();
        let address = server.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(vitals, stop.clone()));
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
