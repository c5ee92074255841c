//! Watches Certificates and issuers, and tells what changes about their rows.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::pulse::Pulse;
use super::{Key, Row, Shown};
use crate::command::Cluster;
use crate::command::error::causes;
use crate::command::kind::Kind;
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
/// How many changes may wait until they are taken into account.
const AHEAD: usize = 1000;

/// What has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// These are all objects of a kind.
    All(Kind, Vec<Row>),
    /// An object that is new or has changed.
    One(Box<Row>),
    /// An object that is gone.
    Gone(Key),
    /// How the watch of a kind is.
    Watch(Kind, Health),
}

impl Change {
    /// Whether it may be about this object.
    pub fn concerns(&self, key: &Key) -> bool {
        match self {
            Self::All(kind, _) => *kind == key.kind(),
            Self::One(row) => row.key == *key,
            Self::Gone(gone) => gone == key,
            Self::Watch(..) => false,
        }
    }
}

/// How a watch is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether all objects were listed once.
    pub is_listed: bool,
    /// Why it does not work at the moment.
    pub fault: Option<String>,
    /// Whether the user lacks the right to watch.
    pub is_forbidden: bool,
}

/// Watches the objects of a namespace or of all, and of Certificates only those with these labels, until nobody reads the changes.
pub fn watch(cluster: &Cluster, namespace: Option<&str>, labels: Option<&str>) -> Receiver<Change> {
    let (changes, receiver) = channel(AHEAD);
    let (client, pulse) = (&cluster.watching, Arc::new(Pulse::default()));
    let certificates: Api<Reading<Certificate>> = namespaced(client, namespace);
    let issuers: Api<Reading<Issuer>> = namespaced(client, namespace);
    let cluster_issuers = Api::<Reading<ClusterIssuer>>::all(client.clone());
    let all = Config::default();
    let some = labels.map_or(all.clone(), |labels| all.clone().labels(labels));
    tokio::spawn(follow(certificates, some, changes.clone(), pulse.clone()));
    tokio::spawn(follow(issuers, all.clone(), changes.clone(), pulse.clone()));
    tokio::spawn(follow(cluster_issuers, all, changes.clone(), pulse.clone()));
    let asked = cluster.client.clone();
    tokio::spawn(async move {
        let ask = || async { asked.apiserver_version().await.map(drop) };
        tokio::select! {
            never = pulse.feel(ask) => match never {},
            () = changes.closed() => (),
        }
    });
    receiver
}

fn namespaced<K>(client: &Client, namespace: Option<&str>) -> Api<Reading<K>>
where
    K: Shown<Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Ends when nobody reads the changes.
async fn follow<K: Shown>(api: Api<Reading<K>>, config: Config, changes: Sender<Change>, pulse: Arc<Pulse>) {
    let (mut is_listed, mut pause) = (false, PAUSE);
    let mut told = changes.send(health::<K>(false, None)).await;
    while told.is_ok() {
        let begun = clock::instant();
        let mut has_answered = false;
        // A watch that begins again does not say when it works again. So it is given up, and everything is listed.
        let ended = tokio::select! {
            biased;
            // A connection that leads nowhere any more is as silent as one without changes.
            words = pulse.stops() => Ok(Some(Fault { words, is_forbidden: false })),
            ended = until_it_fails(&api, &config, &changes, &mut has_answered) => {
                ended.map(|error| error.as_ref().map(Fault::of))
            }
        };
        is_listed |= has_answered;
        told = match ended {
            Ok(fault) => {
                has_answered |= fault.as_ref().is_some_and(|fault| fault.is_forbidden);
                changes.send(health::<K>(is_listed, fault)).await
            }
            Err(nobody) => Err(nobody),
        };
        let lasted = clock::instant().saturating_duration_since(begun);
        pause = next_pause(pause, has_answered && lasted < LONGEST_PAUSE);
        let _ = timeout(pause, changes.closed()).await;
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
    is_forbidden: bool,
}

impl Fault {
    fn of(error: &watcher::Error) -> Self {
        Self { words: causes(error), is_forbidden: is_forbidden(error) }
    }
}

/// Why it failed; `None`, if it only has to begin again.
async fn until_it_fails<K: Shown>(
    api: &Api<Reading<K>>,
    config: &Config,
    changes: &Sender<Change>,
    has_answered: &mut bool,
) -> Result<Option<watcher::Error>, SendError<Change>> {
    let mut events = pin!(watcher(api.clone(), config.clone()));
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => all.clear(),
            Ok(Event::InitApply(reading)) => all.push(Row::of(&reading, clock::now())),
            Ok(Event::InitDone) => {
                *has_answered = true;
                changes.send(Change::All(K::KIND, std::mem::take(&mut all))).await?;
                changes.send(health::<K>(true, None)).await?;
            }
            Ok(Event::Apply(reading)) => {
                changes.send(Change::One(Box::new(Row::of(&reading, clock::now())))).await?;
            }
            Ok(Event::Delete(reading)) => changes.send(Change::Gone(reading.object.key())).await?,
            // What the watch would continue from is too old, as after a long sleep of this machine.
            Err(watcher::Error::WatchError(status)) if status.code == 410 => return Ok(None),
            Err(error) => return Ok(Some(error)),
        }
    }
    Ok(None)
}

fn health<K: Shown>(is_listed: bool, fault: Option<Fault>) -> Change {
    let is_forbidden = fault.as_ref().is_some_and(|fault| fault.is_forbidden);
    let fault = fault.map(|fault| clean(&fault.words, LONGEST));
    Change::Watch(K::KIND, Health { is_listed, fault, is_forbidden })
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
