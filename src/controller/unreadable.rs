//! Objects that cannot be read: they are remembered by name, and each is reported in its own status and events. Other objects
//! are not affected.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::runtime::metrics::{Metrics, Part};
use certwright_core::reading::{Fault, Reading};

/// The objects that cannot be read, and which of them are still to be reported.
pub struct Unreadable {
    state: Mutex<State>,
    news: Notify,
    metrics: Metrics,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Entry>,
    /// Those that are to be reported.
    news: BTreeSet<Key>,
    /// How many there are of each kind and part.
    counts: BTreeMap<(String, Part), i64>,
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// What is known of an object that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) reference: ObjectReference,
    pub(super) labels: BTreeMap<String, String>,
    generation: i64,
    /// Why it cannot be used.
    pub(super) fault: Option<Fault>,
    /// Why its status is not complete.
    pub(super) status_fault: Option<Fault>,
}

impl Key {
    /// The key of an object.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self { kind: K::kind(&()).into_owned(), namespace: object.namespace(), name: object.name_any() }
    }
}

impl Unreadable {
    /// Nothing yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { state: Mutex::default(), news: Notify::new(), metrics }
    }

    /// The metrics of the process.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Why an object cannot be used, if it cannot.
    pub fn fault(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<Fault> {
        let key =
            Key { kind: kind.to_owned(), namespace: namespace.map(str::to_owned), name: name.to_owned() };
        self.state().objects.get(&key)?.fault.clone()
    }

    /// Records an object that a watch has delivered. Returns whether any part of it cannot be read.
    pub fn note<K: Resource<DynamicType = ()>>(&self, reading: &Reading<K>) -> bool {
        let key = Key::of(reading);
        if reading.fault.is_none() && reading.status_fault.is_none() {
            self.forget(&key);
            return false;
        }
        // With the object's own kind, for the event.
        let mut reference = reading.object_ref(&());
        reference.resource_version = None;
        let entry = Entry {
            reference,
            labels: reading.labels().clone(),
            generation: reading.meta().generation.unwrap_or_default(),
            fault: reading.fault.clone(),
            status_fault: reading.status_fault.clone(),
        };
        let mut state = self.state();
        if state.objects.get(&key) != Some(&entry) {
            self.count(&mut state, &key, Some(entry));
            state.news.insert(key);
            self.news.notify_one();
        }
        true
    }

    /// An object is gone, or can be read.
    pub fn forget(&self, key: &Key) {
        let mut state = self.state();
        state.news.remove(key);
        self.count(&mut state, key, None);
    }

    /// Marks all as to be reported: this replica starts to lead.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        state.news = state.objects.keys().cloned().collect();
        self.news.notify_one();
    }

    /// Waits for the next object to report.
    pub(super) async fn next(&self) -> Key {
        loop {
            if let Some(key) = self.state().news.pop_first() {
                return key;
            }
            self.news.notified().await;
        }
    }

    /// What is known of an object, if it cannot be read.
    pub(super) fn entry(&self, key: &Key) -> Option<Entry> {
        self.state().objects.get(key).cloned()
    }

    /// Replaces an entry, and updates the counts.
    fn count(&self, state: &mut State, key: &Key, entry: Option<Entry>) {
        let of = |entry: Option<&Entry>, part: Part| {
            let fault = entry.and_then(|entry| match part {
                Part::Object => entry.fault.as_ref(),
                Part::Status => entry.status_fault.as_ref(),
            });
            i64::from(fault.is_some())
        };
        for part in [Part::Object, Part::Status] {
            let more = of(entry.as_ref(), part) - of(state.objects.get(key), part);
            if more != 0 {
                let count = state.counts.entry((key.kind.clone(), part)).or_default();
                *count += more;
                self.metrics.unreadable(&key.kind, part, *count);
            }
        }
        match entry {
            Some(entry) => state.objects.insert(key.clone(), entry),
            None => state.objects.remove(key),
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
