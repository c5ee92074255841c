//! Leader election: only the replica that holds a Lease reconciles (`coordination.k8s.io/v1`).
//!
//! The holder renews the Lease with one write at a third of its duration, and steps down at two thirds if no renewal succeeded.
//! The others read it every few seconds, and take it over when it is released, or has not changed for its whole duration. Each
//! replica measures that with its own clock, so clocks need not agree. A write succeeds only on the version that was read, so
//! two replicas can never both take it.

mod election;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

pub use self::election::{Election, LeaseWrite, Observer};
use super::clock;
use super::supervisor::Ended;

/// A period during which one replica held the Lease and no other did, however often that one stepped down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    lease: Option<String>,
    transitions: Option<i32>,
}

/// The term in which a replica leads, or last led. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct CurrentTerm(Arc<Mutex<Option<Term>>>);

impl CurrentTerm {
    /// The term, if there was one.
    #[must_use]
    pub fn get(&self) -> Option<Term> {
        self.0.lock().clone()
    }

    fn begin(&self, term: Term) {
        *self.0.lock() = Some(term);
    }
}

/// Our candidacy in an election, run by a task until the Lease is [released](Leadership::release).
#[derive(Debug)]
pub struct Leadership {
    leads: watch::Receiver<bool>,
    term: CurrentTerm,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Leadership {
    /// Enters the election. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(client: Client, election: Election, observer: Arc<dyn Observer>) -> Self {
        let (sender, leads) = watch::channel(false);
        let api = Api::namespaced(client, &election.namespace);
        let term = CurrentTerm::default();
        let candidate = Candidate {
            api,
            election,
            observer,
            leads: sender,
            term: term.clone(),
            held: None,
            seen: None,
            failing: false,
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(candidate.run(stop.clone()));
        Self { leads, term, stop: stop.drop_guard(), task }
    }

    /// Whether this replica leads, with all changes. It becomes false before another replica can take over.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.leads.clone()
    }

    /// The current term of this replica, with all changes.
    #[must_use]
    pub fn term(&self) -> CurrentTerm {
        self.term.clone()
    }

    /// Waits for the end of the task, which does not happen before the Lease is [released](Leadership::release). After that,
    /// there is nothing to release.
    pub async fn ended(&mut self) -> Ended {
        Ended::of("leader election", (&mut self.task).await)
    }

    /// Leaves the election, and lets another replica take over immediately. Call this when no reconciles are running. Returns
    /// within half of the lease duration, even if the API server does not answer.
    pub async fn release(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            warn!(error = &error as &dyn std::error::Error, "the leader election failed");
        }
    }
}

/// Which request about the Lease failed.
#[derive(Debug, thiserror::Error)]
enum ElectionError {
    #[error("the Lease cannot be read")]
    Read(#[source] kube::Error),
    #[error("the Lease cannot be created")]
    Create(#[source] kube::Error),
    #[error("the Lease cannot be written")]
    Write(#[source] kube::Error),
    #[error("the API server did not answer a request for the Lease in time")]
    Timeout,
}

impl ElectionError {
    /// Whether the API server has answered, and rejected the request.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Read(source) | Self::Create(source) | Self::Write(source) => {
                matches!(source, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429)
            }
            Self::Timeout => false,
        }
    }
}

struct Candidate {
    api: Api<Lease>,
    election: Election,
    observer: Arc<dyn Observer>,
    leads: watch::Sender<bool>,
    term: CurrentTerm,
    held: Option<Held>,
    seen: Option<Seen>,
    failing: bool,
}

/// The Lease as we last wrote it, and until when we may lead.
struct Held {
    lease: Lease,
    until: Instant,
}

/// The content of the Lease, and since when it has not changed.
struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

impl Candidate {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let wait = self.turn().await;
            if timeout(wait, stop.cancelled()).await.is_ok() {
                break;
            }
        }
        self.release().await;
    }

    /// Renews the Lease, takes it, or finds it taken. Returns how long to wait until the next turn.
    async fn turn(&mut self) -> Duration {
        let began = clock::instant();
        if self.held.as_ref().is_some_and(|held| held.until <= began) {
            self.step_down("renewing the Lease failed");
        }
        let patience = began + self.election.patience();
        let limit = self.held.as_ref().map_or(patience, |held| patience.min(held.until));
        let outcome = timeout_at(limit, self.contend()).await.unwrap_or(Err(ElectionError::Timeout));
        self.note(&outcome);
        match outcome {
            Ok(Some(lease)) => {
                self.lead(Held { lease, until: began + self.election.deadline() });
                self.election.renewal()
            }
            Ok(None) => {
                self.step_down("another replica holds the Lease");
                self.election.retry()
            }
            Err(ElectionError::Timeout) => Duration::ZERO,
            Err(_) => {
                let left = self.held.as_ref().map(|held| held.until.duration_since(clock::instant()));
                left.map_or(self.election.retry(), |left| left.min(self.election.retry()))
            }
        }
    }

    /// The Lease with us as its holder, if we are.
    async fn contend(&mut self) -> Result<Option<Lease>, ElectionError> {
        if let Some(held) = &self.held
            && let Some(renewed) = self.write(self.claim(held.lease.clone())).await?
        {
            return Ok(Some(renewed));
        }
        match self.api.get_opt(&self.election.name).await.map_err(ElectionError::Read)? {
            None => self.create().await,
            Some(lease) if self.is_free(&lease) => self.write(self.claim(lease)).await,
            Some(_) => Ok(None),
        }
    }

    fn is_free(&mut self, lease: &Lease) -> bool {
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.election.identity {
            return true;
        }
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.election.lease_duration, Duration::from_secs);
        match &self.seen {
            Some(seen) if seen.spec == spec => seen.since.elapsed() >= duration,
            _ => {
                self.seen = Some(Seen { spec, since: clock::instant() });
                false
            }
        }
    }

    /// The Lease with us as its holder, from now on.
    fn claim(&self, mut lease: Lease) -> Lease {
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.extend(self.election.annotations.clone());
        let spec = lease.spec.get_or_insert_default();
        let now = MicroTime(clock::now());
        if spec.holder_identity.as_deref() != Some(&self.election.identity) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |transitions| transitions + 1));
            spec.acquire_time = Some(now.clone());
            spec.holder_identity = Some(self.election.identity.clone());
        }
        let seconds = self.election.lease_duration.as_secs_f64().ceil();
        #[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
        let seconds = seconds as i32;
        spec.lease_duration_seconds = Some(seconds);
        spec.renew_time = Some(now);
        lease
    }

    async fn create(&self) -> Result<Option<Lease>, ElectionError> {
        let metadata = ObjectMeta { name: Some(self.election.name.clone()), ..ObjectMeta::default() };
        let lease = self.claim(Lease { metadata, spec: None });
        self.observer.writing(LeaseWrite::Create);
        let created = self.api.create(&PostParams::default(), &lease).await;
        unless_outrun(created, &[409], ElectionError::Create)
    }

    /// `None` if somebody else has written or deleted the Lease since it was read.
    async fn write(&self, lease: Lease) -> Result<Option<Lease>, ElectionError> {
        self.observer.writing(LeaseWrite::Update);
        let written = self.api.replace(&self.election.name, &PostParams::default(), &lease).await;
        unless_outrun(written, &[404, 409], ElectionError::Write)
    }

    async fn release(mut self) {
        let Some(held) = self.held.take() else { return };
        self.announce(false);
        let released = async {
            if self.write(vacated(held.lease)).await?.is_some() {
                return Ok(true);
            }
            // The other writer may only have changed something else, such as a label.
            match self.api.get_opt(&self.election.name).await.map_err(ElectionError::Read)? {
                Some(lease) if holder(&lease) == Some(&self.election.identity) => {
                    Ok(self.write(vacated(lease)).await?.is_some())
                }
                _ => Ok(false),
            }
        };
        match timeout(self.election.patience(), released).await.unwrap_or(Err(ElectionError::Timeout)) {
            Ok(true) => info!("released the Lease: another replica can lead"),
            Ok(false) => info!("another replica already holds the Lease"),
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "the Lease was not released: another replica takes over when it expires"
            ),
        }
    }

    fn lead(&mut self, held: Held) {
        let term = Term {
            lease: held.lease.metadata.uid.clone(),
            transitions: held.lease.spec.as_ref().and_then(|spec| spec.lease_transitions),
        };
        if self.held.replace(held).is_none() {
            info!("leading");
            self.term.begin(term);
            self.announce(true);
        }
    }

    fn step_down(&mut self, reason: &'static str) {
        if self.held.take().is_some() {
            self.announce(false);
            warn!(reason, "no longer leading");
        }
    }

    fn announce(&self, leads: bool) {
        self.leads.send_replace(leads);
        self.observer.leading(leads);
    }

    /// Logs once that the API server rejects our requests, and once that it no longer does. An API server that does not answer
    /// is logged elsewhere, for all requests.
    fn note(&mut self, outcome: &Result<Option<Lease>, ElectionError>) {
        match outcome {
            Err(error) if !error.is_refusal() => {
                debug!(
                    error = error as &dyn std::error::Error,
                    "the leader election gets no answer; retrying"
                );
                return;
            }
            Err(error) if !self.failing => {
                warn!(
                    error = error as &dyn std::error::Error,
                    "the API server rejects the leader election's requests; retrying"
                );
            }
            Ok(_) if self.failing => info!("the leader election gets answers again"),
            _ => {}
        }
        self.failing = outcome.is_err();
    }
}

/// The Lease without a holder. The duration of a second is for candidates that check only that.
fn vacated(mut lease: Lease) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = None;
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(MicroTime(clock::now()));
    lease
}

fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref()
}

fn unless_outrun(
    written: Result<Lease, kube::Error>,
    outrun: &[u16],
    failed: impl FnOnce(kube::Error) -> ElectionError,
) -> Result<Option<Lease>, ElectionError> {
    match written {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if outrun.contains(&status.code) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests;
