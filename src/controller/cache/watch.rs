//! One watch: it is followed, and restarted after pauses when it fails.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use tracing::{debug, error, info, warn};

use super::held::Held;
use super::watch_store::{Change, WatchStore};
use crate::controller::api_server::{ApiServer, PROBES, WORTH_A_WARNING};
use crate::controller::error;
use certwright_core::reading::Reading;
use certwright_runtime::panics;

/// The page size of lists, where the API server cannot stream them: a page is held in memory as a whole, and an object may have
/// one and a half megabytes.
const PAGE: u32 = 10;

pub(super) async fn follow<K, O: ?Sized>(
    api: Api<Reading<K>>,
    which: watcher::Config,
    mut watch_store: WatchStore<K>,
    observer: Arc<O>,
    tell: fn(&O, Change<K>),
    api_server: ApiServer,
) where
    K: Held,
{
    let watch = |which| watcher(api.clone(), which).backoff(Pauses::new(&api_server)).boxed();
    let mut stream = watch(which.clone().streaming_lists());
    let (mut streams_lists, mut is_absent) = (true, false);
    let mut failures = 0_u32;
    while let Some(event) = stream.next().await {
        // The start of a list, and its objects, do not reset this: the list may still fail.
        if let Ok(watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_)) = event {
            failures = 0;
        }
        match event {
            Ok(event) => {
                is_absent &= !matches!(event, watcher::Event::InitDone);
                watch_store.put(event, |change| guarded(&*observer, change, tell));
            }
            Err(error) if streams_lists && is_refused(&error) => {
                streams_lists = false;
                stream = watch(which.clone().page_size(PAGE));
            }
            Err(error) if is_unknown(&error) => {
                if !std::mem::replace(&mut is_absent, true) {
                    let (kind, group) = (K::kind(&()), K::group(&()));
                    info!(%kind, %group, "the cluster does not have this kind; checking again at growing intervals");
                }
            }
            Err(error) => {
                failures += 1;
                let (kind, cause) = (K::kind(&()), &error as &dyn std::error::Error);
                let is_news = failures == WORTH_A_WARNING && !api_server.is_away();
                match !may_pass(&error) || is_news {
                    true => warn!(%kind, error = cause, "a watch failed and is restarted"),
                    false => debug!(%kind, error = cause, failures, "a watch failed and is restarted"),
                }
            }
        }
    }
}

/// Whether this is a usual failure of a watch: the API server is away, which is logged elsewhere, or requires a new watch.
fn may_pass(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => error::may_pass(source),
        watcher::Error::WatchError(status) => matches!(status.code, 410 | 429 | 500..=599),
        watcher::Error::NoResourceVersion => false,
    }
}

/// The pauses between attempts to restart a watch: they grow, but while the API server is away, they are equal to its polling
/// interval.
struct Pauses {
    usual: watcher::DefaultBackoff,
    api_server: ApiServer,
}

impl Pauses {
    fn new(api_server: &ApiServer) -> Self {
        Self { usual: watcher::DefaultBackoff::default(), api_server: api_server.clone() }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let usual = self.usual.next();
        if self.api_server.is_away() { Some(PROBES) } else { usual }
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.usual.reset();
    }
}

/// Delivers a change. A panic loses only this change, and does not affect other objects.
fn guarded<K, O: ?Sized>(observer: &O, change: Change<K>, tell: fn(&O, Change<K>))
where
    K: Resource<DynamicType = ()>,
{
    let object = match &change {
        Change::Seen(object) => ObjectRef::from_obj(&**object),
        Change::Gone(object) | Change::Unreadable(object) => ObjectRef::from_obj(object),
    };
    if let Err(panic) = panics::catch(|| tell(observer, change)) {
        error!(%object, %panic, "a change of an object was skipped");
    }
}

/// Whether the API server does not know, or does not allow, the parameters of a watch that starts with a list.
fn is_refused(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) if matches!(status.code, 400 | 422)
    )
}

/// Whether the API server does not know the kind: its CustomResourceDefinition may be installed later.
fn is_unknown(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(source)
    | watcher::Error::WatchStartFailed(source)
    | watcher::Error::WatchFailed(source)) = error
    else {
        return false;
    };
    matches!(source, kube::Error::Api(status) if status.code == 404)
}
