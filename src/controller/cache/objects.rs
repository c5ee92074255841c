//! The objects of one watch, by name, with indexes.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;

use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use super::form::Form;
use super::held::{Held, Index};

/// The name of an object, with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    namespace: Box<str>,
    name: Box<str>,
}

impl ObjectName {
    /// The name of an object; `namespace` is empty if it has none.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// A reference to the object of a kind with this name.
    pub fn reference<K: Resource<DynamicType = ()>>(&self) -> ObjectRef<K> {
        let reference = ObjectRef::new(&self.name);
        if self.namespace.is_empty() { reference } else { reference.within(&self.namespace) }
    }

    /// The name of this object.
    pub fn of<K: Resource>(object: &K) -> Self {
        let metadata = object.meta();
        Self::new(
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        )
    }
}

/// The objects of one watch. A lookup by name or by index takes the same time however many objects there are.
pub struct Objects<K: Held> {
    state: RwLock<State<K>>,
    hasher: RandomState,
    ready: watch::Sender<bool>,
    lookups: Counter,
}

struct State<K: Held> {
    entries: HashMap<Arc<ObjectName>, Entry<K>>,
    /// Hashes of index values, each with the objects that have it.
    index: BTreeSet<(u64, Arc<ObjectName>)>,
}

struct Entry<K: Held> {
    uid: Box<str>,
    version: Box<str>,
    is_being_deleted: bool,
    form: K::Form,
    kind: PhantomData<K>,
}

impl<K: Held> Objects<K> {
    /// No objects. Those that are looked up are counted in `lookups`.
    pub fn new(lookups: Counter) -> Self {
        Self {
            state: RwLock::new(State { entries: HashMap::new(), index: BTreeSet::new() }),
            hasher: RandomState::new(),
            ready: watch::Sender::new(false),
            lookups,
        }
    }

    /// The object with this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.find(&ObjectName::new(namespace, name))
    }

    /// Whether there is an object with this name.
    pub fn has(&self, namespace: &str, name: &str) -> bool {
        self.state.read().entries.contains_key(&ObjectName::new(namespace, name))
    }

    /// Whether the uid of the object with this name matches `which`.
    pub fn is(&self, namespace: &str, name: &str, which: impl Fn(&str) -> bool) -> bool {
        let state = self.state.read();
        state.entries.get(&ObjectName::new(namespace, name)).is_some_and(|entry| which(&entry.uid))
    }

    /// Whether the object with this name and uid exists, and whether it is being deleted.
    pub fn is_being_deleted(&self, namespace: &str, name: &str, uid: &str) -> Option<bool> {
        let state = self.state.read();
        let entry = state.entries.get(&ObjectName::new(namespace, name))?;
        (*entry.uid == *uid).then_some(entry.is_being_deleted)
    }

    /// The current version of an object: the one that is known, if it has not changed.
    pub fn current(&self, known: &Arc<K>) -> Option<Arc<K>> {
        if self.has_version(known).is_some() {
            return Some(known.clone());
        }
        let found = self.find(&ObjectName::of(&**known))?;
        (found.meta().uid == known.meta().uid).then_some(found)
    }

    /// The objects that have this index value.
    pub fn indexed(&self, index: &Index<'_>) -> Vec<Arc<K>> {
        self.indexed_if(index, |_| true)
    }

    /// Whether an object has this index value. Rarely, another value looks the same.
    pub fn has_indexed(&self, index: &Index<'_>) -> bool {
        let hash = self.hash(index);
        let from = (hash, Arc::new(ObjectName::new("", "")));
        self.state.read().index.range(from..).next().is_some_and(|(other, _)| *other == hash)
    }

    /// The objects other than `object` that have this index value.
    pub fn others_indexed(&self, index: &Index<'_>, object: &K) -> Vec<Arc<K>> {
        let own = ObjectName::of(object);
        self.indexed_if(index, |name| *name != own)
    }

    fn indexed_if(&self, index: &Index<'_>, wanted: impl Fn(&ObjectName) -> bool) -> Vec<Arc<K>> {
        let hash = self.hash(index);
        let names: Vec<_> = {
            let state = self.state.read();
            let from = (hash, Arc::new(ObjectName::new("", "")));
            let same = state.index.range(from..).take_while(|(other, _)| *other == hash);
            same.map(|(_, name)| name.clone()).filter(|name| wanted(name)).collect()
        };
        let objects = names.iter().filter_map(|name| self.find(name));
        // Two values may have the same hash.
        objects.filter(|object| object.index().contains(index)).collect()
    }

    /// The objects whose uid matches `which`.
    pub fn with_uid(&self, which: impl Fn(&str) -> bool) -> Vec<Arc<K>> {
        let state = self.state.read();
        state
            .entries
            .values()
            .filter(|entry| which(&entry.uid))
            .filter_map(|entry| entry.form.open())
            .collect()
    }

    /// All objects.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.with_uid(|_| true)
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<Arc<ObjectName>> {
        self.state.read().entries.keys().cloned().collect()
    }

    /// Waits until the first list is complete.
    pub async fn ready(&self) {
        // This fails only if the sender is dropped, and it is in `self`.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    fn find(&self, name: &ObjectName) -> Option<Arc<K>> {
        self.lookups.inc();
        self.state.read().entries.get(name)?.form.open()
    }

    fn hash(&self, index: &Index<'_>) -> u64 {
        self.hasher.hash_one(index)
    }

    fn hashes(&self, object: &K) -> Vec<u64> {
        object.index().iter().map(|index| self.hash(index)).collect()
    }

    /// The name of this version of an object, if it is there.
    pub(super) fn has_version(&self, object: &K) -> Option<Arc<ObjectName>> {
        let state = self.state.read();
        let (name, entry) = state.entries.get_key_value(&ObjectName::of(object))?;
        let version = object.meta().resource_version.as_deref();
        (version == Some(&entry.version)).then(|| name.clone())
    }

    /// Adds or replaces an object.
    pub(in crate::controller) fn put(&self, object: Arc<K>) -> Arc<ObjectName> {
        let (name, hashes) = (Arc::new(ObjectName::of(&*object)), self.hashes(&object));
        let entry = Entry {
            uid: object.meta().uid.as_deref().unwrap_or_default().into(),
            version: object.meta().resource_version.as_deref().unwrap_or_default().into(),
            is_being_deleted: object.meta().deletion_timestamp.is_some(),
            form: K::Form::hold(object),
            kind: PhantomData,
        };
        let mut state = self.state.write();
        let (name, before) = match state.entries.remove_entry(&name) {
            Some((name, before)) => {
                (name, before.form.open().map(|before| self.hashes(&before)).unwrap_or_default())
            }
            None => (name, Vec::new()),
        };
        for hash in before.iter().filter(|hash| !hashes.contains(hash)) {
            state.index.remove(&(*hash, name.clone()));
        }
        for hash in hashes.iter().filter(|hash| !before.contains(hash)) {
            state.index.insert((*hash, name.clone()));
        }
        state.entries.insert(name.clone(), entry);
        name
    }

    /// Removes an object; returns it if it was there.
    pub(super) fn remove(&self, name: &ObjectName) -> Option<Arc<K>> {
        let mut state = self.state.write();
        let (name, entry) = state.entries.remove_entry(name)?;
        let object = entry.form.open()?;
        for hash in self.hashes(&object) {
            state.index.remove(&(hash, name.clone()));
        }
        Some(object)
    }

    /// The first list is complete.
    pub(super) fn complete(&self) {
        self.ready.send_replace(true);
    }
}

#[cfg(test)]
mod tests;
