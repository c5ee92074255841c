//! `certwright list --watch`: the table, and then a row for each change.

use std::collections::BTreeMap;
use std::pin::pin;

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};

use super::table::Presence;
use super::{Format, List, is_any_checked, name};
use crate::command::output::{self, print_objects, shown, tell};
use crate::command::shards::Shard;
use crate::command::wait::refused;
use crate::command::{Cluster, Error, Exit, print};
use certwright_api::Certificate;
use certwright_core::reading::Reading;
use certwright_runtime::clock;

/// The version of each Certificate that was printed, and its cells, by namespace and name.
type Printed = BTreeMap<(Option<String>, String), (Option<String>, Vec<String>)>;

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
    let mut screen = Screen { list, shards, served: false, printed: Printed::new(), widths: Vec::new() };
    let mut found = Vec::new();
    loop {
        match events.next().await {
            Some(Ok(watcher::Event::Init)) => found.clear(),
            Some(Ok(watcher::Event::InitApply(object))) => found.extend(usable(object)?),
            Some(Ok(watcher::Event::InitDone)) => screen.show_all(std::mem::take(&mut found))?,
            Some(Ok(watcher::Event::Apply(object))) => {
                if let Some(certificate) = usable(object)? {
                    screen.show(&certificate, Presence::Exists)?;
                }
            }
            Some(Ok(watcher::Event::Delete(object))) => {
                if let Some(certificate) = usable(object)? {
                    screen.show(&certificate, Presence::Deleted)?;
                }
            }
            Some(Err(error)) => refused(&error)?,
            None => {
                return Err(Error::Api { doing: "watch".to_owned(), words: "the watch ended".to_owned() });
            }
        }
    }
}

/// A Certificate, unless it cannot be read.
fn usable(reading: Reading<Certificate>) -> Result<Option<Certificate>, Error> {
    let called =
        crate::command::outlook::named("Certificate", reading.namespace().as_deref(), &reading.name_any());
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
    /// Whether there is a column for what servers show.
    served: bool,
    printed: Printed,
    /// Of the columns. They only grow.
    widths: Vec<usize>,
}

impl Screen<'_> {
    /// Prints all that has changed since it was printed: at the beginning, everything.
    fn show_all(&mut self, found: Vec<Certificate>) -> Result<(), Error> {
        let selected = self.list.selected(found, clock::now());
        if self.list.output.is_none_or(|format| format == Format::Wide) && self.printed.is_empty() {
            self.served = is_any_checked(&selected);
            let columns = self.list.columns(self.shards, self.served);
            let head: Vec<String> = columns.head().into_iter().map(str::to_owned).collect();
            self.widths = vec![0; head.len()];
            for certificate in &selected {
                let row = columns.row(&shown(certificate)?, Presence::Exists, clock::now());
                output::widen(&mut self.widths, &row);
            }
            output::widen(&mut self.widths, &head);
            if !self.list.no_headers {
                print(&output::line(&head, &self.widths))?;
            }
        }
        selected.iter().try_for_each(|certificate| self.show(certificate, Presence::Exists))
    }

    /// Prints a Certificate if it has changed. One that is not listed any more is printed once more.
    fn show(&mut self, certificate: &Certificate, presence: Presence) -> Result<(), Error> {
        let now = clock::now();
        let key = (certificate.namespace(), certificate.name_any());
        let is_listed = self.list.selects(certificate, now) && presence == Presence::Exists;
        if !is_listed && !self.printed.contains_key(&key) {
            return Ok(());
        }
        let row = self.list.columns(self.shards, self.served).row(&shown(certificate)?, presence, now);
        let version = certificate.resource_version();
        let before = self.printed.get(&key);
        match self.list.output {
            None | Some(Format::Wide) if before.is_some_and(|(_, before)| *before == row) => {}
            None | Some(Format::Wide) => {
                output::widen(&mut self.widths, &row);
                print(&output::line(&row, &self.widths))?;
            }
            // A watch that starts anew begins with all objects.
            Some(_) if before.is_some_and(|(before, _)| *before == version) => {}
            Some(Format::Json) => print_objects(&output::json(certificate)?)?,
            Some(Format::Yaml) => {
                let text = serde_yaml::to_string(certificate).map_err(Error::Yaml)?;
                print_objects(&format!("---\n{text}"))?;
            }
            Some(Format::Name) => print(&name(certificate))?,
        }
        if is_listed {
            self.printed.insert(key, (version, row));
        } else {
            self.printed.remove(&key);
        }
        Ok(())
    }
}
