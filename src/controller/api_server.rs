//! The availability of the API server, from the results of all requests: logs one line when it goes away and one when it is
//! back, instead of one per object. Failed reconciles continue immediately when it is back.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use kube::Client;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{interval_at, timeout};
use tracing::{info, warn};

use certwright_core::outage::Outage;
use certwright_runtime::clock;

/// The polling interval while the API server is away.
pub const PROBES: Duration = Duration::from_secs(1);
/// A temporary error is logged as a warning if it occurs this often in a row for one object or watch.
pub const WORTH_A_WARNING: u32 = 3;

/// The state of the API server. Clones share it.
#[derive(Clone, Default)]
pub struct ApiServer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    outage: Mutex<Outage>,
    gone: Notify,
}

impl ApiServer {
    /// Whether it is away.
    pub fn is_away(&self) -> bool {
        self.outage(|outage| outage.is_away())
    }

    /// Records the result of a request.
    pub fn saw(&self, answer: Result<StatusCode, &kube::Error>) {
        let failure = match answer {
            Ok(status) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                format!("it answers {status}")
            }
            Ok(_) => return self.outage(Outage::succeeded),
            Err(error) => error.to_string(),
        };
        if self.outage(|outage| outage.failed(clock::now())) {
            warn!(error = failure, "the API server is away; failed work continues when it is back");
            self.0.gone.notify_one();
        }
    }

    /// Whenever it is away, polls it until it is ready, and then calls `back`. Never ends.
    pub async fn watch_over(&self, client: Client, back: impl Fn()) {
        loop {
            self.0.gone.notified().await;
            let mut probes = interval_at(clock::instant() + PROBES, PROBES);
            let away_since = loop {
                probes.tick().await;
                if is_ready(&client).await {
                    break self.outage(Outage::is_ready);
                }
            };
            let seconds = away_since.map_or(0, |since| clock::now().duration_since(since).as_secs());
            info!(seconds, "the API server is back");
            back();
        }
    }

    fn outage<R>(&self, change: impl FnOnce(&mut Outage) -> R) -> R {
        change(&mut self.0.outage.lock())
    }
}

async fn is_ready(client: &Client) -> bool {
    let Ok(request) = Request::get("/readyz").body(Vec::new()) else { return false };
    match timeout(PROBES * 2, client.request_text(request)).await {
        Ok(Ok(_)) => true,
        // If anonymous requests are not allowed, any answer counts.
        Ok(Err(kube::Error::Api(status))) => matches!(status.code, 401 | 403 | 404),
        _ => false,
    }
}
