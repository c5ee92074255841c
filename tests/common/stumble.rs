//! A write of the operator, to the CA or to the API server, fails while the operator continues to run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{ProviderRequest, Proxy, Reply};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use parking_lot::{Mutex, MutexGuard};
use serde_json::json;

use super::crash::payload;

/// More writes than this mean that something is wrong.
const MOST_WRITES: usize = 60;
/// How many walks are in progress concurrently.
const AT_ONCE: usize = 8;

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is answered with 500.
    Refused,
    /// The API server answers it with 409. Writes to the CA do not fail in this way.
    Conflict,
    /// The connection ends, and the other side has not heard of it.
    NotSent,
    /// The other side has handled it, and the connection ends before its answer.
    AnswerLost,
}

/// How a walk proceeds: at each point, the write fails this many times in a row.
#[derive(Clone, Copy, Debug)]
pub struct Gait {
    pub way: Way,
    pub times: usize,
}

impl fmt::Display for Gait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}, {} in a row", self.way, self.times)
    }
}

/// Walks once for each way to fail, with one failure and with three in a row.
pub async fn walk_in_every_way<F: Future<Output = Result<()>>>(walk: impl Fn(Gait) -> F) -> Result<()> {
    let ways = [Way::Refused, Way::Conflict, Way::NotSent, Way::AnswerLost];
    let gaits = [3, 1].into_iter().flat_map(|times| ways.map(|way| Gait { way, times }));
    let walks = gaits.map(|gait| {
        let walk = walk(gait);
        async move { walk.await.with_context(|| gait.to_string()) }
    });
    stream::iter(walks).buffer_unordered(AT_ONCE).try_collect().await
}

/// One write fails in each life, the first, the second and so on, until a life has fewer writes. A life has more writes than
/// `least`.
pub async fn walk(stumbler: &Stumbler, least: usize, life: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
    for point in 1..=MOST_WRITES {
        let life = async {
            life(point).await?;
            let fates = stumbler.fates();
            println!("{} {point:3} {}", stumbler.gait, fates.failed.as_deref().unwrap_or("no such write"));
            anyhow::Ok(fates)
        };
        let fates = life.await.with_context(|| {
            format!("the write {point} fails: {}", stumbler.fates().failed.unwrap_or_default())
        })?;
        if fates.failed.is_none() {
            ensure!(fates.writes > least, "{} writes, but should be more than {least}", fates.writes);
            return Ok(());
        }
    }
    anyhow::bail!("the operator goes on writing")
}

/// Counts writes once it is armed, and lets one of them fail.
pub struct Stumbler {
    gait: Gait,
    fates: Mutex<Fates>,
}

/// What happened to the writes since the stumbler was armed.
#[derive(Clone, Debug, Default)]
pub struct Fates {
    /// The write that fails, counted from 1; 0 for none.
    point: usize,
    /// Their number.
    pub writes: usize,
    /// The one that failed: method and path.
    pub failed: Option<String>,
    /// How many times it failed.
    times: usize,
    /// How many times the CA received each counted request, by path.
    pub heard: BTreeMap<String, usize>,
    /// How many times its answer was lost.
    pub lost: BTreeMap<String, usize>,
    /// How many times the CA was asked to bind an account to an external one.
    pub registrations: usize,
}

impl Fates {
    /// How many times the CA received requests whose path begins with `path`.
    pub fn heard(&self, path: &str) -> usize {
        self.heard.iter().filter(|(heard, _)| heard.starts_with(path)).map(|(_, times)| times).sum()
    }

    /// How many times its answer was lost.
    pub fn lost(&self, path: &str) -> usize {
        self.lost.iter().filter(|(lost, _)| lost.starts_with(path)).map(|(_, times)| times).sum()
    }
}

impl Stumbler {
    pub fn new(gait: Gait) -> Arc<Self> {
        Arc::new(Self { gait, fates: Mutex::default() })
    }

    /// Decides about the requests to the CA.
    pub fn stand_at_ca(self: &Arc<Self>, proxy: &Proxy) {
        let stumbler = self.clone();
        proxy.script(move |request| stumbler.judge(request, true));
    }

    /// Decides about the requests to the API server.
    pub fn stand_at_api(self: &Arc<Self>, proxy: &Proxy) {
        let stumbler = self.clone();
        proxy.script(move |request| stumbler.judge(request, false));
    }

    /// Counts from 0 again, and lets the write `point` fail.
    pub fn arm(&self, point: usize) {
        *self.lock() = Fates { point, ..Fates::default() };
    }

    /// Forwards everything, and stops counting.
    pub fn disarm(&self) {
        self.lock().point = 0;
    }

    /// What happened to the writes so far.
    pub fn fates(&self) -> Fates {
        self.lock().clone()
    }

    fn judge(&self, request: &RequestInfo, is_ca: bool) -> Action {
        let signed = payload(request);
        let is_write = match (&signed, is_ca) {
            (Some(payload), true) => !payload.is_empty(),
            (_, true) => false,
            (_, false) => {
                [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&request.method)
            }
        };
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        let fails = is_write && !(is_ca && self.gait.way == Way::Conflict) && {
            self.fails(format!("{} {path}", request.method))
        };
        let way = if fails { Some(self.gait.way) } else { None };
        if is_ca && is_write && !matches!(way, Some(Way::Refused | Way::NotSent)) {
            let mut fates = self.lock();
            if signed.is_some_and(|payload| contains(&payload, b"externalAccountBinding")) {
                fates.registrations += 1;
            }
            *fates.heard.entry(path.clone()).or_default() += 1;
            if way.is_some() {
                *fates.lost.entry(path).or_default() += 1;
            }
        }
        match way {
            None => Action::Pass,
            Some(Way::NotSent) => Action::Drop,
            Some(Way::AnswerLost) => Action::PassThenDrop,
            Some(Way::Refused) if is_ca => {
                let body =
                    json!({ "type": "urn:ietf:params:acme:error:serverInternal", "detail": "a stumble" });
                let headers = vec![("content-type", "application/problem+json".to_owned())];
                Action::Respond { status: 500, headers, body: body.to_string() }
            }
            Some(Way::Refused) => status(500, "InternalError"),
            Some(Way::Conflict) => status(409, "Conflict"),
        }
    }

    /// The same for a provider of TXT records.
    pub fn judge_provider(&self, request: &ProviderRequest) -> Reply {
        if self.gait.way == Way::Conflict || !self.fails(format!("POST {}", request.path)) {
            return Reply::Fulfill;
        }
        match self.gait.way {
            Way::Refused | Way::Conflict => Reply::Fail("a stumble".to_owned()),
            Way::NotSent => Reply::Drop,
            Way::AnswerLost => Reply::FulfillThenDrop,
        }
    }

    /// Counts a write; true if it fails.
    fn fails(&self, what: String) -> bool {
        let mut fates = self.lock();
        fates.writes += 1;
        if fates.failed.is_none() && fates.point > 0 && fates.writes >= fates.point {
            fates.failed = Some(what.clone());
        }
        let fails = fates.point > 0 && fates.failed == Some(what) && fates.times < self.gait.times;
        if fails {
            fates.times += 1;
        }
        fails
    }

    fn lock(&self) -> MutexGuard<'_, Fates> {
        self.fates.lock()
    }
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}

/// An answer of an API server that fails.
pub fn status(code: u16, reason: &str) -> Action {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "a stumble",
        "reason": reason, "code": code,
    });
    let headers = vec![("content-type", "application/json".to_owned())];
    Action::Respond { status: code, headers, body: body.to_string() }
}
