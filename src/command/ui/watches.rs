//! Watches what the page shows, and keeps the board as it is in the cluster.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::board::Board;
use super::rows::{self, Shown};
use crate::command::causes;
use certwright_api::{Certificate, ClusterIssuer, Issuer};
use certwright_core::reading::Reading;
use certwright_runtime::clock;
use certwright_text::clean;

/// How long after a watch has failed everything is listed again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest error, in characters.
const LONGEST: usize = 500;

/// Watches Certificates and issuers, of one namespace or of all, without end.
pub async fn all(client: Client, namespace: Option<&str>, board: &Board) {
    let certificates: Api<Reading<Certificate>> = namespaced(client.clone(), namespace);
    let issuers: Api<Reading<Issuer>> = namespaced(client.clone(), namespace);
    let cluster_issuers = Api::<Reading<ClusterIssuer>>::all(client);
    tokio::join!(
        follow(certificates, "Certificates", board),
        follow(issuers, "Issuers", board),
        follow(cluster_issuers, "ClusterIssuers", board),
    );
}

fn namespaced<K>(client: Client, namespace: Option<&str>) -> Api<Reading<K>>
where
    K: Shown<Scope = kube::core::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

async fn follow<K>(api: Api<Reading<K>>, kinds: &str, board: &Board)
where
    K: Shown + Clone + Debug + Send + 'static,
{
    let mut pauses = interval(PAUSE);
    pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tell(board, kinds, false, None);
    let mut listed = false;
    loop {
        pauses.tick().await;
        // A watch that begins again does not say when it works again. So it is given up, and everything is listed.
        let error = watch(&api, board, || {
            listed = true;
            tell(board, kinds, true, None);
        });
        let error = error.await;
        tell(board, kinds, listed, error.as_ref());
    }
}

/// Watches until that fails. Calls `is_listed` each time that everything is on the board.
async fn watch<K>(api: &Api<Reading<K>>, board: &Board, mut is_listed: impl FnMut()) -> Option<watcher::Error>
where
    K: Shown + Clone + Debug + Send + 'static,
{
    let mut events = pin!(watcher(api.clone(), Config::default()));
    let mut seen = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => drop(seen.insert(put(board, object))),
            Ok(Event::InitDone) => {
                board.retain(K::PREFIX, |key| seen.contains(key));
                is_listed();
            }
            Ok(Event::Apply(object)) => drop(put(board, object)),
            Ok(Event::Delete(reading)) => board.remove(&reading.object.key().to_string()),
            // What the watch would continue from is too old, as after a long sleep of this machine.
            Err(watcher::Error::WatchError(status)) if status.code == 410 => return None,
            Err(error) => return Some(error),
        }
    }
    None
}

fn put<K: Shown>(board: &Board, reading: Reading<K>) -> String {
    let (key, row) = rows::of(reading, clock::now());
    let key = key.to_string();
    if let Ok(row) = serde_json::to_string(&row) {
        board.put(key.clone(), row);
    }
    key
}

/// Puts on the board how a watch is.
fn tell(board: &Board, kinds: &str, listed: bool, error: Option<&watcher::Error>) {
    let key = format!("watch/{kinds}");
    let fault = error.map(|error| clean(&causes(error), LONGEST));
    let forbidden = error.is_some_and(is_forbidden);
    let row = json!({
        "kind": "watch", "key": key, "name": kinds, "listed": listed, "fault": fault, "forbidden": forbidden,
    });
    board.put(key, row.to_string());
}

/// Whether the user lacks the right to watch.
fn is_forbidden(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return false;
    };
    status.code == 403
}
