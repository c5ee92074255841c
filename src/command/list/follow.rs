//! `certwright list --watch`: the table, and then a row for each change.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures::StreamExt;
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};

use super::table::Presence;
use super::{Format, List, name};
use crate::command::outlook::{self, named};
use crate::command::output::{self, print_objects_or_end, print_or_end, shown, tell};
use crate::command::shards::Shard;
use crate::command::wait::refused;
use crate::command::{Cluster, Error, Exit};
use certwright_api::Certificate;
use certwright_core::reading::Reading;
use certwright_runtime::clock;

/// What was printed, by namespace and name.
type Printed = BTreeMap<Key, Last>;
type Key = (Option<String>, String);

/// What was printed of a Certificate.
struct Last {
    certificate: Certificate,
    cells: Vec<String>,
}

/// Prints until the user has seen enough.
pub(super) async fn follow(
    list: &List,
    cluster: &Cluster,
    namespace: Option<&str>,
    shards: &[Shard],
) -> Result<Exit, Error> {
    let api: Api<Reading<Certificate>> = match namespace {
        Some(namespace) => Api::namespaced(cluster.watching.clone(), namespace),
        None => Api::all(cluster.watching.clone()),
    };
    let mut config = watcher::Config::default();
    if let Some(selector) = &list.selector {
        config = config.labels(selector);
    }
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut screen =
        Screen { list, shards, has_begun: false, served: false, printed: Printed::new(), widths: Vec::new() };
    let mut found = Found::default();
    loop {
        let printed = match events.next().await {
            Some(Ok(event)) => screen.take(event, &mut found),
            // As without --watch.
            Some(Err(watcher::Error::InitialListFailed(error))) if !screen.has_begun => {
                Err(Error::list("Certificates", &error))
            }
            Some(Err(error)) => refused(&error),
            None => Err(Error::Api { doing: "watch".to_owned(), words: "the watch ended".to_owned() }),
        };
        match printed {
            Ok(()) => {}
            Err(Error::Closed) => return Ok(Exit::Fine),
            Err(error) => return Err(error),
        }
    }
}

/// What a watch finds when it starts, or starts anew.
#[derive(Default)]
struct Found {
    certificates: Vec<Certificate>,
    /// Those that exist, but cannot be read.
    unreadable: BTreeSet<Key>,
}

impl Found {
    fn add(&mut self, reading: Reading<Certificate>) -> Result<(), Error> {
        let key = key(&reading);
        match usable(reading)? {
            Some(certificate) => self.certificates.push(certificate),
            None => drop(self.unreadable.insert(key)),
        }
        Ok(())
    }
}

fn key(object: &impl ResourceExt) -> Key {
    (object.namespace(), object.name_any())
}

/// A Certificate, unless it cannot be read.
fn usable(reading: Reading<Certificate>) -> Result<Option<Certificate>, Error> {
    let called = named("Certificate", reading.namespace().as_deref(), &reading.name_any());
    match reading.usable() {
        Ok(certificate) => Ok(Some(certificate)),
        Err(fault) => {
            tell(&format!("certwright: {}\n", Error::Unreadable(called, fault)))?;
            Ok(None)
        }
    }
}

struct Screen<'a> {
    list: &'a List,
    shards: &'a [Shard],
    /// Whether Certificates were listed once.
    has_begun: bool,
    /// Whether there is a column for what servers show.
    served: bool,
    printed: Printed,
    /// Of the columns. They only grow.
    widths: Vec<usize>,
}

impl Screen<'_> {
    fn take(&mut self, event: watcher::Event<Reading<Certificate>>, found: &mut Found) -> Result<(), Error> {
        match event {
            watcher::Event::Init => *found = Found::default(),
            watcher::Event::InitApply(object) => found.add(object)?,
            watcher::Event::InitDone => self.show_all(std::mem::take(found))?,
            watcher::Event::Apply(object) => {
                if let Some(certificate) = usable(object)? {
                    self.show(certificate, Presence::Exists)?;
                }
            }
            watcher::Event::Delete(object) => {
                let last = self.printed.get(&key(&object)).map(|last| last.certificate.clone());
                if let Some(certificate) = object.usable().ok().or(last) {
                    self.show(certificate, Presence::Deleted)?;
                }
            }
        }
        Ok(())
    }

    /// Prints all that has changed since it was printed: at the beginning, everything. What was deleted while there was no watch is
    /// printed, too.
    fn show_all(&mut self, Found { mut certificates, unreadable }: Found) -> Result<(), Error> {
        let now = clock::now();
        self.list.sort(&mut certificates, now);
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin(&certificates, now)?;
        }
        let there: BTreeSet<Key> = certificates.iter().map(key).chain(unreadable).collect();
        let is_gone = |(key, _): &(&Key, &Last)| !there.contains(*key);
        let gone: Vec<_> =
            self.printed.iter().filter(is_gone).map(|(_, last)| last.certificate.clone()).collect();
        gone.into_iter().try_for_each(|certificate| self.show(certificate, Presence::Deleted))?;
        certificates.into_iter().try_for_each(|certificate| self.show(certificate, Presence::Exists))
    }

    /// Prints the head of the table that these are the first rows of.
    fn begin(&mut self, certificates: &[Certificate], now: Timestamp) -> Result<(), Error> {
        if self.list.output.is_some_and(|format| format != Format::Wide) {
            return Ok(());
        }
        let is_listed = |certificate: &&Certificate| self.list.selects(certificate, now);
        let listed: Vec<_> = certificates.iter().filter(is_listed).collect();
        self.served = listed.iter().any(|certificate| outlook::served(certificate).is_some());
        let columns = self.list.columns(self.shards, self.served);
        let head: Vec<String> = columns.head().into_iter().map(str::to_owned).collect();
        self.widths = vec![0; head.len()];
        for certificate in listed {
            output::widen(&mut self.widths, &columns.row(&shown(certificate)?, Presence::Exists, now));
        }
        output::widen(&mut self.widths, &head);
        if self.list.no_headers { Ok(()) } else { print_or_end(&output::line(&head, &self.widths)) }
    }

    /// Prints a Certificate if it has changed. One that is not listed any more is printed once more.
    fn show(&mut self, certificate: Certificate, presence: Presence) -> Result<(), Error> {
        let now = clock::now();
        let key = key(&certificate);
        let is_listed = self.list.selects(&certificate, now) && presence == Presence::Exists;
        if !is_listed && !self.printed.contains_key(&key) {
            return Ok(());
        }
        let cells = self.list.columns(self.shards, self.served).row(&shown(&certificate)?, presence, now);
        let before = self.printed.get(&key);
        match self.list.output {
            // A watch that starts anew begins with all objects.
            _ if is_listed && before.is_some_and(|before| is_same(&before.certificate, &certificate)) => {}
            None | Some(Format::Wide) if before.is_some_and(|before| before.cells == cells) => {}
            None | Some(Format::Wide) => {
                output::widen(&mut self.widths, &cells);
                print_or_end(&output::line(&cells, &self.widths))?;
            }
            Some(Format::Json) => print_objects_or_end(&output::json(&certificate)?)?,
            Some(Format::Yaml) => {
                let text = serde_yaml::to_string(&certificate).map_err(Error::Yaml)?;
                print_objects_or_end(&format!("---\n{text}"))?;
            }
            Some(Format::Name) => print_or_end(&name(&certificate))?,
        }
        if is_listed {
            self.printed.insert(key, Last { certificate, cells });
        } else {
            self.printed.remove(&key);
        }
        Ok(())
    }
}

/// Whether this is the same version of an object.
fn is_same(one: &Certificate, other: &Certificate) -> bool {
    one.resource_version() == other.resource_version()
}
