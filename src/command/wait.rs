//! Waits for the result of a request by a watch, and prints a line whenever something changes.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display, Formatter};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use jiff::SignedDuration;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::time::timeout;

use super::error::{causes, words};
use super::output::{BAD, DIM, GOOD, plain, styled, tell};
use super::values::length;
use super::{Error, Exit, print};
use certwright_core::reading::{Readable, Reading};

/// Whether to wait, and for how long.
#[derive(Args, Clone, Debug)]
pub struct Wait {
    /// Wait until it is done, and report progress.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait. After that, the exit code is 124.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = length)]
    pub timeout: SignedDuration,
}

/// An object that is awaited. Without a namespace, it is the one with this name among those that are watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Awaited {
    /// Its namespace, if objects of several are watched.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl From<String> for Awaited {
    fn from(name: String) -> Self {
        Self { namespace: None, name }
    }
}

impl Display for Awaited {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The state of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitStatus {
    /// In progress: what happens.
    Pending(String),
    /// Done: the result.
    Done(String),
    /// Failed: why, and what to do.
    Failed(String),
}

impl Wait {
    /// Watches objects until `judge` has a final verdict on each. `awaited` has them, and what the judge needs to know.
    ///
    /// # Errors
    /// [`Error::TimedOut`], or another error if they cannot be watched or one is deleted.
    pub async fn for_all<K, T>(
        &self,
        api: Api<Reading<K>>,
        mut awaited: BTreeMap<Awaited, T>,
        judge: impl Fn(&K, &T) -> WaitStatus,
    ) -> Result<Exit, Error>
    where
        K: Readable + Clone + Debug + Send + 'static,
    {
        let limit = Duration::try_from(self.timeout).unwrap_or(Duration::MAX);
        let watched = timeout(limit, watch(api, &mut awaited, judge)).await;
        watched.unwrap_or_else(|_| {
            let names: Vec<String> = awaited.keys().map(Awaited::to_string).collect();
            Err(Error::TimedOut(format!("{} did not finish", names.join(", "))))
        })
    }
}

async fn watch<K, T>(
    api: Api<Reading<K>>,
    awaited: &mut BTreeMap<Awaited, T>,
    judge: impl Fn(&K, &T) -> WaitStatus,
) -> Result<Exit, Error>
where
    K: Readable + Clone + Debug + Send + 'static,
{
    let config = match awaited.keys().next() {
        Some(one) if awaited.len() == 1 => {
            watcher::Config::default().fields(&format!("metadata.name={}", one.name))
        }
        _ => watcher::Config::default(),
    };
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut told: BTreeMap<Awaited, String> = BTreeMap::new();
    let mut exit = Exit::Fine;
    while !awaited.is_empty() {
        let object = match events.next().await {
            Some(Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object))) => object,
            Some(Ok(watcher::Event::Delete(object))) => {
                if let Some((one, _)) = found(awaited, &object) {
                    return Err(Error::NotFound(format!("{} {one} was deleted and", K::kind(&()))));
                }
                continue;
            }
            Some(Ok(watcher::Event::Init | watcher::Event::InitDone)) => continue,
            Some(Err(error)) => {
                refused(&error)?;
                continue;
            }
            None => {
                return Err(Error::Api { doing: "watch".to_owned(), words: "the watch ended".to_owned() });
            }
        };
        let Some((name, known)) = found(awaited, &object) else { continue };
        let verdict = match object.usable() {
            Ok(object) => judge(&object, known),
            Err(fault) => WaitStatus::Failed(format!("it cannot be read: {fault}")),
        };
        match verdict {
            WaitStatus::Pending(words) => {
                let words = plain(&words);
                if told.get(&name) != Some(&words) {
                    tell(&format!("{} {words}\n", styled(DIM, format!("{name}:"))))?;
                    told.insert(name, words);
                }
            }
            WaitStatus::Done(words) => {
                print(&format!("{name}: {} {}\n", styled(GOOD, "done:"), plain(&words)))?;
                awaited.remove(&name);
            }
            WaitStatus::Failed(words) => {
                print(&format!("{name}: {} {}\n", styled(BAD, "failed:"), plain(&words)))?;
                awaited.remove(&name);
                exit = Exit::NotWell;
            }
        }
    }
    Ok(exit)
}

/// The awaited object that this is, if it is one.
fn found<'a, T>(awaited: &'a BTreeMap<Awaited, T>, object: &impl ResourceExt) -> Option<(Awaited, &'a T)> {
    let named = |namespace| Awaited { namespace, name: object.name_any() };
    let find = |one: Awaited| awaited.get(&one).map(|known| (one, known));
    find(named(None)).or_else(|| find(named(object.namespace())))
}

/// Reports an error of a watch. Most are temporary, unless permissions are missing.
///
/// # Errors
/// [`Error::Api`], if the user may not watch.
pub fn refused(error: &watcher::Error) -> Result<(), Error> {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status,
        other => return tell(&format!("restarting the watch: {}\n", plain(&causes(other)))),
    };
    if !matches!(status.code, 401 | 403) {
        return tell(&format!("restarting the watch: {}\n", plain(&status.message)));
    }
    let words = words(&kube::Error::Api(status.clone()));
    Err(Error::Api { doing: "watch".to_owned(), words })
}
