//! Time advances only during waits, so that a lease of 15 seconds expires within milliseconds.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::*;

#[derive(Debug)]
struct Unobserved;

impl Observer for Unobserved {
    fn writing(&self, _: LeaseWrite) {}
    fn leading(&self, _: bool) {}
}

#[tokio::test(start_paused = true)]
async fn the_first_replica_leads_and_the_second_stands_by() {
    let api = FakeApi::default();
    let mut first = api.replica("a");
    first.leads(true).await;
    let second = api.replica("b");
    pass(Duration::from_secs(120)).await;
    assert!(first.is_leading() && !second.is_leading());
    let spec = api.spec();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("a"), Some(0)));
    assert_eq!(spec.lease_duration_seconds, Some(15));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_costs_one_write_and_no_read() {
    let api = FakeApi::default();
    let mut leader = api.replica("a");
    leader.leads(true).await;
    let before = api.counts();
    pass(Duration::from_secs(61)).await;
    let after = api.counts();
    assert_eq!((after.reads - before.reads, after.writes - before.writes), (0, 12));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stands_by_writes_nothing() {
    let api = FakeApi::default();
    let mut leader = api.replica("a");
    leader.leads(true).await;
    let _second = api.replica("b");
    let before = api.counts();
    pass(Duration::from_secs(61)).await;
    assert_eq!(api.counts().writes - before.writes, 12);
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_over_within_two_seconds() {
    let api = FakeApi::default();
    let mut first = api.replica("a");
    first.leads(true).await;
    let mut second = api.replica("b");
    pass(Duration::from_secs(7)).await;
    first.leadership.release().await;
    assert!(!*first.leads.borrow());
    let began = clock::instant();
    second.leads(true).await;
    assert!(began.elapsed() <= Duration::from_millis(2100), "{:?}", began.elapsed());
    assert_eq!(api.spec().lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_followed_when_its_lease_has_run_out() {
    let api = FakeApi::default();
    let mut first = api.replica("a");
    first.leads(true).await;
    let mut second = api.replica("b");
    pass(Duration::from_secs(20)).await;
    first.leadership.task.abort();
    let began = clock::instant();
    second.leads(true).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(10) && took <= Duration::from_secs(18), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_reaches_no_api_server_steps_down_before_another_can_lead() {
    for failure in [Failure::Refuses, Failure::Hangs] {
        let api = FakeApi::default();
        let mut leader = api.replica("a");
        leader.leads(true).await;
        api.fail(Some(failure));
        let began = clock::instant();
        leader.leads(false).await;
        assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());

        api.fail(None);
        leader.leads(true).await;
        assert_eq!(api.spec().lease_transitions, Some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_no_leadership() {
    let api = FakeApi::default();
    let mut leader = api.replica("a");
    leader.leads(true).await;
    api.fail(Some(Failure::Refuses));
    pass(Duration::from_secs(8)).await;
    api.fail(None);
    pass(Duration::from_secs(30)).await;
    assert!(leader.still_leads());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_was_taken_stops_leading_at_its_next_renewal() {
    let api = FakeApi::default();
    let mut leader = api.replica("a");
    leader.leads(true).await;
    api.edit(|lease| lease.spec.as_mut().unwrap().holder_identity = Some("b".into()));
    let began = clock::instant();
    leader.leads(false).await;
    assert!(began.elapsed() <= Duration::from_secs(5));
    assert_eq!(api.spec().holder_identity.as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn an_edited_or_deleted_lease_is_still_held() {
    let api = FakeApi::default();
    let mut leader = api.replica("a");
    leader.leads(true).await;
    api.edit(|lease| lease.metadata.annotations = Some([("seen".into(), "yes".into())].into()));
    pass(Duration::from_secs(20)).await;
    assert!(leader.is_leading());
    assert!(api.lease().unwrap().metadata.annotations.is_some());

    api.0.lock().unwrap().lease = None;
    pass(Duration::from_secs(20)).await;
    assert!(leader.still_leads());

    api.edit(|lease| lease.metadata.annotations = Some([("seen".into(), "again".into())].into()));
    leader.leadership.release().await;
    assert_eq!(api.spec().holder_identity, None);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_starts_again_in_its_pod_leads_at_once() {
    let api = FakeApi::default();
    let mut first = api.replica("a");
    first.leads(true).await;
    first.leadership.task.abort();
    let began = clock::instant();
    api.replica("a").leads(true).await;
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn of_many_replicas_one_leads() {
    let api = FakeApi::default();
    let replicas: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().map(|name| api.replica(name)).collect();
    for _ in 0..60 {
        pass(Duration::from_secs(1)).await;
        assert!(replicas.iter().filter(|replica| replica.is_leading()).count() == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_request_that_hangs_costs_no_leadership() {
    let api = FakeApi::default();
    let mut leader = api.replica("a");
    leader.leads(true).await;
    pass(Duration::from_secs(3)).await;
    api.fail(Some(Failure::Hangs));
    pass(Duration::from_secs(3)).await;
    api.fail(None);
    pass(Duration::from_secs(30)).await;
    assert!(leader.still_leads());
}

#[tokio::test(start_paused = true)]
async fn leaving_ends_in_time_though_nobody_answers() {
    let api = FakeApi::default();
    let mut leader = api.replica("a");
    leader.leads(true).await;
    api.fail(Some(Failure::Hangs));
    let began = clock::instant();
    leader.leadership.release().await;
    assert!(began.elapsed() <= Duration::from_secs(7), "{:?}", began.elapsed());
    assert!(!*leader.leads.borrow());
}

async fn pass(duration: Duration) {
    let _ = timeout(duration, std::future::pending::<()>()).await;
}

struct Replica {
    leadership: Leadership,
    leads: watch::Receiver<bool>,
}

impl Replica {
    async fn leads(&mut self, wanted: bool) {
        timeout(Duration::from_secs(60), self.leads.wait_for(|leads| *leads == wanted))
            .await
            .unwrap()
            .unwrap();
    }

    /// Whether it leads, and has led all the time since the last call of [`Self::leads`].
    fn still_leads(&self) -> bool {
        self.is_leading() && !self.leads.has_changed().unwrap()
    }

    fn is_leading(&self) -> bool {
        *self.leads.borrow()
    }
}

/// An API server that has one Lease, and rejects writes to an old version of it.
#[derive(Clone, Default)]
struct FakeApi(Arc<Mutex<Fake>>);

#[derive(Default)]
struct Fake {
    lease: Option<Lease>,
    version: u64,
    failure: Option<Failure>,
    counts: Counts,
}

#[derive(Clone, Copy)]
enum Failure {
    Refuses,
    Hangs,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    reads: u32,
    writes: u32,
}

impl FakeApi {
    fn replica(&self, identity: &str) -> Replica {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/system/leases";
        let router = Router::new()
            .route(leases, post(create))
            .route(&format!("{leases}/operator"), get(read).put(replace))
            .with_state(self.clone());
        let election = Election {
            namespace: "system".into(),
            name: "operator".into(),
            annotations: std::collections::BTreeMap::new(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
        };
        let leadership = Leadership::start(Client::new(router, "system"), election, Arc::new(Unobserved));
        Replica { leads: leadership.watch(), leadership }
    }

    fn lease(&self) -> Option<Lease> {
        self.0.lock().unwrap().lease.clone()
    }

    fn spec(&self) -> LeaseSpec {
        self.lease().unwrap().spec.unwrap()
    }

    fn counts(&self) -> Counts {
        self.0.lock().unwrap().counts
    }

    fn fail(&self, failure: Option<Failure>) {
        self.0.lock().unwrap().failure = failure;
    }

    fn edit(&self, edit: impl FnOnce(&mut Lease)) {
        let mut lease = self.lease().unwrap();
        edit(&mut lease);
        self.0.lock().unwrap().store(lease);
    }

    async fn answer(&self, handle: impl FnOnce(&mut Fake) -> Response) -> Response {
        let failure = self.0.lock().unwrap().failure;
        match failure {
            None => handle(&mut self.0.lock().unwrap()),
            Some(Failure::Refuses) => status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            Some(Failure::Hangs) => std::future::pending().await,
        }
    }
}

impl Fake {
    fn store(&mut self, mut lease: Lease) -> Response {
        self.version += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease.clone());
        serde_json::to_string(&lease).unwrap().into_response()
    }
}

async fn read(State(api): State<FakeApi>) -> Response {
    api.answer(|fake| {
        fake.counts.reads += 1;
        match &fake.lease {
            Some(lease) => serde_json::to_string(lease).unwrap().into_response(),
            None => status(StatusCode::NOT_FOUND, "NotFound"),
        }
    })
    .await
}

async fn create(State(api): State<FakeApi>, body: Bytes) -> Response {
    api.answer(|fake| {
        fake.counts.writes += 1;
        match fake.lease {
            Some(_) => status(StatusCode::CONFLICT, "AlreadyExists"),
            None => fake.store(serde_json::from_slice(&body).unwrap()),
        }
    })
    .await
}

async fn replace(State(api): State<FakeApi>, body: Bytes) -> Response {
    api.answer(|fake| {
        fake.counts.writes += 1;
        let lease: Lease = serde_json::from_slice(&body).unwrap();
        match &fake.lease {
            None => status(StatusCode::NOT_FOUND, "NotFound"),
            Some(stored) if stored.metadata.resource_version != lease.metadata.resource_version => {
                status(StatusCode::CONFLICT, "Conflict")
            }
            Some(_) => fake.store(lease),
        }
    })
    .await
}

fn status(code: StatusCode, reason: &str) -> Response {
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason,
        "code": code.as_u16(),
    });
    (code, body.to_string()).into_response()
}
