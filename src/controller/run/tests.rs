use std::collections::HashMap;

use futures::channel::mpsc::unbounded;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, advance, timeout};

use super::*;
use crate::controller::cache::Objects;
use crate::controller::error::Error;
use crate::controller::reconciler::{Gathering, reconciler};
use crate::controller::retry::retry;
use crate::controller::tests::context;
use certwright_api::{Certificate, CertificateSpec, CertificateStatus};
use certwright_core::issuance::{Memory, Proof, State};

const LONG: Duration = Duration::from_secs(600);

/// When each object was reconciled, by name.
type Tries = Arc<Mutex<HashMap<String, Vec<Instant>>>>;

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_panics_is_retried_with_growing_delays_and_others_continue() {
    let scene = Scene::start(["bad", "good"]);
    let begun = clock::instant();
    for _ in 0..600 {
        advance(Duration::from_millis(500)).await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        scene.wake("good");
    }
    let waits = scene.waits("bad");
    assert!((6..30).contains(&waits.len()), "{waits:?} in {:?}", begun.elapsed());
    // Each wait is longer than the one before, up to a minute and what is added at random.
    let longest = Duration::from_secs(60);
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1] || pair[1] >= longest), "{waits:?}");
    assert!(waits.last() > Some(&Duration::from_secs(30)), "{waits:?}");
    assert!(scene.waits("good").len() > 500, "{}", scene.waits("good").len());
    let metrics = scene.context.metrics.encode().unwrap();
    let counted = format!(
        "certwright_reconciles_total{{kind=\"Certificate\",outcome=\"panicked\"}} {}",
        waits.len() + 1
    );
    assert!(metrics.contains(&counted), "{counted} is not in {metrics}");
    assert!(!scene.controller.is_finished());
}

/// Only the number of panics is remembered.
#[tokio::test(start_paused = true)]
async fn the_progress_of_an_object_whose_reconcile_panicked_is_dropped() {
    let scene = Scene::start(["bad"]);
    let mut certificate = Certificate::new("bad", CertificateSpec::default());
    certificate.metadata.uid = Some("bad".to_owned());
    scene.context.in_flight.begin(&certificate);
    let mut state = State::default();
    state.learn().proof = Proof::Withdrawing;
    let memory = Memory::of(&CertificateStatus::default(), state);
    scene.context.in_flight.keep("bad", Some((memory, Vec::new())));
    let is_known = || {
        let (memory, _) = scene.context.in_flight.recall("bad");
        memory.resume(CertificateStatus::default()).learned().proof == Proof::Withdrawing
    };
    assert!(is_known());
    scene.until_tried("bad").await;
    assert!(!is_known());
}

#[tokio::test(start_paused = true)]
async fn the_controllers_end_once_they_are_told_to_and_not_before() {
    let (context, _watches) = context();
    let stop = CancellationToken::new();
    let leads = tokio::spawn(lead(context.clone(), None, stop.clone(), future::pending()));
    assert!(timeout(LONG, future::pending::<()>()).await.is_err() && !leads.is_finished());
    stop.cancel();
    assert_eq!(timeout(2 * FAREWELL, leads).await.unwrap().unwrap(), Ok(()));
}

struct Scene {
    context: Arc<Context>,
    tries: Tries,
    requests: futures::channel::mpsc::UnboundedSender<ObjectRef<Certificate>>,
    controller: tokio::task::JoinHandle<()>,
}

impl Scene {
    /// A controller of these objects, in which the reconcile of `bad` panics.
    fn start<const N: usize>(names: [&str; N]) -> Self {
        let (context, watches) = context();
        let objects = Arc::new(Objects::<Certificate>::new(Counter::default()));
        for name in names {
            let mut certificate = Certificate::new(name, CertificateSpec::default());
            certificate.metadata.uid = Some(name.to_owned());
            objects.put(Arc::new(certificate));
        }
        let (requests, receiver) = unbounded();
        let tries = Tries::default();
        let noted = tries.clone();
        let reconcile = move |object: Arc<Certificate>, _: Arc<Context>, _: Gathering| {
            let noted = noted.clone();
            async move {
                noted.lock().entry(object.name_any()).or_default().push(clock::instant());
                tokio::task::yield_now().await;
                assert_ne!(object.name_any(), "bad", "a bad object");
                Ok(None)
            }
        };
        let error_policy =
            |object: Arc<Certificate>, error: &Error, context: Arc<Context>| retry(&*object, error, &context);
        let running = reconciler("Certificate", objects, receiver, reconcile, error_policy, context.clone());
        let controller = tokio::spawn(async move {
            let _kept = watches;
            running.await;
        });
        Self { context, tries, requests, controller }
    }

    fn wake(&self, name: &str) {
        self.requests.unbounded_send(ObjectRef::new(name)).unwrap();
    }

    async fn until_tried(&self, name: &str) {
        while !self.tries.lock().contains_key(name) {
            advance(Duration::from_millis(10)).await;
        }
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    /// The times between two tries.
    fn waits(&self, name: &str) -> Vec<Duration> {
        let tries = self.tries.lock();
        tries[name].windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}
