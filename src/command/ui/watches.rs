//! Watches what the page shows, and keeps the board as it is in the cluster.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::timeout;

use super::board::Board;
use super::pulse::Pulse;
use super::rows::{self, Shown};
use crate::command::{Cluster, causes};
use certwright_api::{Certificate, ClusterIssuer, Issuer};
use certwright_core::reading::Reading;
use certwright_runtime::clock;
use certwright_text::clean;

/// How long after a watch has failed everything is listed again, if the API server has not answered.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause if it has answered: a list of all Certificates is work for it, and who may not watch still may not.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest error, in characters.
const LONGEST: usize = 500;

/// Watches Certificates and issuers, of one namespace or of all, without end.
pub async fn all(cluster: &Cluster, namespace: Option<&str>, board: &Board) {
    let client = || cluster.watching.clone();
    let certificates: Api<Reading<Certificate>> = namespaced(client(), namespace);
    let issuers: Api<Reading<Issuer>> = namespaced(client(), namespace);
    let cluster_issuers = Api::<Reading<ClusterIssuer>>::all(client());
    let pulse = Pulse::default();
    tokio::join!(
        follow(certificates, "Certificates", board, &pulse),
        follow(issuers, "Issuers", board, &pulse),
        follow(cluster_issuers, "ClusterIssuers", board, &pulse),
        pulse.feel(async || cluster.client.apiserver_version().await.map(drop)),
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

async fn follow<K>(api: Api<Reading<K>>, kinds: &str, board: &Board, pulse: &Pulse) -> Infallible
where
    K: Shown + Clone + Debug + Send + 'static,
{
    tell(board, kinds, false, None);
    let (mut listed, mut pause) = (false, PAUSE);
    loop {
        let begun = clock::instant();
        let mut has_answered = false;
        // A watch that begins again does not say when it works again. So it is given up, and everything is listed.
        let watched = watch(&api, board, || {
            (listed, has_answered) = (true, true);
            tell(board, kinds, true, None);
        });
        let fault = tokio::select! {
            biased;
            // A connection that leads nowhere any more is as silent as one without changes.
            words = pulse.stops() => Some(Fault { words, forbidden: false }),
            error = watched => error.as_ref().map(Fault::of),
        };
        tell(board, kinds, listed, fault.as_ref());
        has_answered |= fault.as_ref().is_some_and(|fault| fault.forbidden);
        let lasted = clock::instant().saturating_duration_since(begun);
        pause = next_pause(pause, has_answered && lasted < LONGEST_PAUSE);
        let _ = timeout(pause, pending::<()>()).await;
    }
}

/// How long to wait before everything is listed again, after a pause of this length before. `was_costly`: the API server has
/// answered, and it was of no use for long.
fn next_pause(before: Duration, was_costly: bool) -> Duration {
    if was_costly { (before * 2).min(LONGEST_PAUSE) } else { PAUSE }
}

/// Why a watch does not work.
struct Fault {
    words: String,
    /// Whether the user lacks the right to watch.
    forbidden: bool,
}

impl Fault {
    fn of(error: &watcher::Error) -> Self {
        Self { words: causes(error), forbidden: is_forbidden(error) }
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
fn tell(board: &Board, kinds: &str, listed: bool, fault: Option<&Fault>) {
    let key = format!("watch/{kinds}");
    let words = fault.map(|fault| clean(&fault.words, LONGEST));
    let forbidden = fault.is_some_and(|fault| fault.forbidden);
    let row = json!({
        "kind": "watch", "key": key, "name": kinds, "listed": listed, "fault": words, "forbidden": forbidden,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_server_that_answers_is_asked_ever_less_often_and_one_that_is_away_every_second() {
        let mut pause = PAUSE;
        let costly: Vec<u64> = (0..7)
            .map(|_| {
                pause = next_pause(pause, true);
                pause.as_secs()
            })
            .collect();
        assert_eq!(costly, [2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(next_pause(pause, false), PAUSE);
    }
}
