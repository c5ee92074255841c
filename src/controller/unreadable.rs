//! Objects that cannot be read: they are kept aside by name, and reported on themselves. All others go on.

mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use tokio::sync::Notify;

pub use self::report::report;
use crate::core::reading::{Fault, Reading};
use crate::runtime::metrics::{Metrics, Part};

/// The objects that cannot be read, and who is still to be told.
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
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    kind: String,
    namespace: Option<String>,
    name: String,
}

/// What is known of an object that cannot be read.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    reference: ObjectReference,
    generation: i64,
    /// Why it cannot be used.
    fault: Option<Fault>,
    /// Why its status is not complete.
    status_fault: Option<Fault>,
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

    /// Why an object cannot be used, if it cannot.
    pub fn fault(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<Fault> {
        let key =
            Key { kind: kind.to_owned(), namespace: namespace.map(str::to_owned), name: name.to_owned() };
        self.state().objects.get(&key)?.fault.clone()
    }

    /// Takes note of what a watch has brought. Returns whether there is anything of it that cannot be read.
    pub fn note<K: Resource<DynamicType = ()>>(&self, reading: &Reading<K>) -> bool {
        let key = Key::of(reading);
        if reading.fault.is_none() && reading.status_fault.is_none() {
            self.forget(&key);
            return false;
        }
        // As the object's own kind: the event is about that.
        let mut reference = reading.object_ref(&());
        reference.resource_version = None;
        let entry = Entry {
            reference,
            generation: reading.meta().generation.unwrap_or_default(),
            fault: reading.fault.clone(),
            status_fault: reading.status_fault.clone(),
        };
        let mut state = self.state();
        if state.objects.get(&key) != Some(&entry) {
            state.objects.insert(key.clone(), entry);
            self.count(&state, &key.kind);
            state.news.insert(key);
            self.news.notify_one();
        }
        true
    }

    /// An object is gone, or can be read.
    pub fn forget(&self, key: &Key) {
        let mut state = self.state();
        if state.objects.remove(key).is_some() {
            state.news.remove(key);
            self.count(&state, &key.kind);
        }
    }

    /// Has all be reported: this replica begins to lead.
    fn begin(&self) {
        let mut state = self.state();
        state.news = state.objects.keys().cloned().collect();
        self.news.notify_one();
    }

    /// Waits for the next object to report.
    async fn next(&self) -> (Key, Entry) {
        loop {
            {
                let mut state = self.state();
                while let Some(key) = state.news.pop_first() {
                    if let Some(entry) = state.objects.get(&key) {
                        return (key, entry.clone());
                    }
                }
            }
            self.news.notified().await;
        }
    }

    fn count(&self, state: &State, kind: &str) {
        let of_kind = state.objects.iter().filter(|(key, _)| key.kind == kind).map(|(_, entry)| entry);
        let (mut specs, mut statuses) = (0, 0);
        for entry in of_kind {
            specs += i64::from(entry.fault.is_some());
            statuses += i64::from(entry.status_fault.is_some());
        }
        self.metrics.unreadable(kind, Part::Object, specs);
        self.metrics.unreadable(kind, Part::Status, statuses);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
