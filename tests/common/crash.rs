//! The operator is killed at one of its writes, to the CA or to the API server, and started again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{Operator, OperatorProcess, ProviderRequest, Proxy, Reply};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::SOON;

/// More writes than this mean that something is wrong.
const MOST_WRITES: usize = 60;
/// How many runs are in progress concurrently.
const AT_ONCE: usize = 4;

/// Crashes at the first write, at the second, and so on, until a run ends with fewer writes. Their number depends on how long a
/// run has to wait for the CA; it is greater than `least`.
pub async fn walk<F: Future<Output = Result<Run>>>(least: usize, run: impl Fn(usize) -> F) -> Result<()> {
    let run = &run;
    let mut runs = stream::iter(1..=MOST_WRITES)
        .map(|point| async move {
            let run = run(point).await.with_context(|| format!("crash at write {point}"))?;
            Ok::<_, anyhow::Error>((point, run))
        })
        .buffered(AT_ONCE);
    while let Some((point, run)) = runs.try_next().await? {
        if let Some(write) = run.crashed_at {
            println!("{point:3} {write}");
            continue;
        }
        ensure!(run.writes < point, "the operator was not killed at write {point} of {}", run.writes);
        ensure!(run.writes > least, "it made {} writes, but should make more than {least}", run.writes);
        return Ok(());
    }
    anyhow::bail!("the operator goes on writing")
}

/// Whether the other side has handled the request when the operator dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It has, and its answer is lost.
    Answered,
    /// It has not received it.
    NotSent,
}

/// The result of a run.
pub struct Run {
    /// The writes of the run.
    pub writes: usize,
    /// The write at which the operator was killed, if it got that far.
    pub crashed_at: Option<String>,
}

/// Counts writes once it is armed, and kills the operator at one of them.
pub struct Killer {
    when: When,
    point: usize,
    /// Requests to the CA that are counted when they reach it.
    notable: fn(&RequestInfo) -> bool,
    armed: AtomicBool,
    writes: AtomicUsize,
    operator: OnceLock<OperatorProcess>,
    heard: Mutex<BTreeMap<String, usize>>,
    crashed_at: Mutex<Option<String>>,
    crashed: Notify,
}

impl Killer {
    /// Kills the operator at the write `point`, counted from 1.
    pub fn new(when: When, point: usize, notable: fn(&RequestInfo) -> bool) -> Arc<Self> {
        Arc::new(Self {
            when,
            point,
            notable,
            armed: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
            operator: OnceLock::new(),
            heard: Mutex::default(),
            crashed_at: Mutex::default(),
            crashed: Notify::new(),
        })
    }

    /// Decides about the requests that pass `proxy`.
    pub fn stand_at(self: &Arc<Self>, proxy: &Proxy) {
        let killer = self.clone();
        proxy.script(move |request| killer.judge(request));
    }

    /// From now on, writes count.
    pub fn arm(&self, operator: &Operator) -> Result<()> {
        ensure!(self.operator.set(operator.process()).is_ok(), "there is one operator");
        self.armed.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn judge(self: &Arc<Self>, request: &RequestInfo) -> Action {
        if !is_write(request) {
            return Action::Pass;
        }
        let kills = self.counts_to_point();
        if (self.notable)(request) && !(kills && self.when == When::NotSent) {
            let mut heard = self.heard.lock();
            *heard.entry(request.path.clone()).or_default() += 1;
        }
        if !kills {
            return Action::Pass;
        }
        let killer = self.clone();
        let what = format!("{} {}", request.method, request.path);
        match self.when {
            When::Answered => Action::PassThen(Box::new(move || killer.kill(what))),
            When::NotSent => {
                killer.kill(what);
                Action::Drop
            }
        }
    }

    /// The same for a provider of TXT records.
    pub fn judge_provider(&self, request: &ProviderRequest) -> Reply {
        if !self.counts_to_point() {
            return Reply::Fulfill;
        }
        self.kill(format!("POST {}", request.path));
        match self.when {
            When::Answered => Reply::FulfillThenDrop,
            When::NotSent => Reply::Drop,
        }
    }

    /// Counts a write; true if the operator must die at it.
    fn counts_to_point(&self) -> bool {
        self.armed.load(Ordering::SeqCst) && self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.point
    }

    fn kill(&self, what: String) {
        // An operator that could not be killed continues, and the walk fails.
        if !matches!(self.operator.get().map(OperatorProcess::kill9), Some(Ok(()))) {
            return;
        }
        *self.crashed_at.lock() = Some(what);
        self.crashed.notify_one();
    }

    /// Waits until `done`, or until the operator was killed, and then makes sure that it runs.
    pub async fn until<T>(&self, done: impl Future<Output = Result<T>>, operator: &Operator) -> Result<()> {
        tokio::select! {
            done = done => drop(done?),
            () = self.crashed.notified() => operator.restart().await?,
        }
        self.settle().await?;
        if !operator.is_running()? {
            operator.restart().await?;
        }
        Ok(())
    }

    /// The writes so far. If the operator is about to die at one of them, waits until it is dead.
    async fn settle(&self) -> Result<usize> {
        let writes = self.writes.load(Ordering::SeqCst);
        if writes >= self.point && self.crashed_at().is_none() {
            timeout(SOON, self.crashed.notified()).await.context("the operator was not killed")?;
        }
        Ok(writes)
    }

    /// How many times the CA received each counted request, by path.
    pub fn heard(&self) -> BTreeMap<String, usize> {
        self.heard.lock().clone()
    }

    fn crashed_at(&self) -> Option<String> {
        self.crashed_at.lock().clone()
    }

    /// The result. The operator may be making a write still, such as an event about what has been achieved.
    pub async fn run(&self) -> Result<Run> {
        let writes = self.settle().await?;
        Ok(Run { writes, crashed_at: self.crashed_at() })
    }
}

/// Whether a request changes something: at the CA, a POST that is not a POST-as-GET (RFC 8555 section 6.3).
fn is_write(request: &RequestInfo) -> bool {
    match payload(request) {
        Some(payload) => !payload.is_empty(),
        None => [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&request.method),
    }
}

/// The payload of a signed request to the CA.
pub fn payload(request: &RequestInfo) -> Option<Vec<u8>> {
    let jws: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
    BASE64_URL_SAFE_NO_PAD.decode(jws["payload"].as_str()?).ok()
}
