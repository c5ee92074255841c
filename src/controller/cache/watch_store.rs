//! Stores the events of a watch.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::Resource;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;

use crate::controller::unreadable::{Key, Unreadable};
use certwright_core::reading::{Readable, Reading};

/// A change that a watch has delivered, after it is in the cache.
pub enum Change<K> {
    /// The object is new or changed.
    Seen(Arc<K>),
    /// The object is gone, or can no longer be read.
    Gone(K),
    /// The object cannot be read: only its metadata and its status are real.
    Unreadable(K),
}

/// Stores the objects of a watch: readable ones in the cache, the others in [`Unreadable`].
pub struct WatchStore<K: Resource<DynamicType = ()> + Clone + 'static> {
    reader: Store<K>,
    writer: Writer<K>,
    unreadable: Arc<Unreadable>,
    /// The unreadable objects of this watch.
    aside: BTreeSet<Key>,
    listed: Listed<K>,
}

/// The state while a list is read.
struct Listed<K> {
    before: Vec<Arc<K>>,
    aside: BTreeSet<Key>,
    unreadable: Vec<K>,
}

impl<K> Default for Listed<K> {
    fn default() -> Self {
        Self { before: Vec::new(), aside: BTreeSet::new(), unreadable: Vec::new() }
    }
}

impl<K: Readable + Clone + Send + Sync + 'static> WatchStore<K> {
    /// An empty store.
    pub fn new(reader: Store<K>, writer: Writer<K>, unreadable: Arc<Unreadable>) -> Self {
        Self { reader, writer, unreadable, aside: BTreeSet::new(), listed: Listed::default() }
    }

    /// Stores an event of the watch, then calls `tell`.
    pub fn put(&mut self, event: watcher::Event<Reading<K>>, mut tell: impl FnMut(Change<K>)) {
        match event {
            watcher::Event::Init => {
                self.listed = Listed { before: self.reader.state(), ..Listed::default() };
                self.writer.apply_watcher_event(&watcher::Event::Init);
            }
            watcher::Event::InitApply(reading) => {
                if self.unreadable.note(&reading) {
                    self.listed.aside.insert(Key::of(&reading));
                }
                match self.usable(reading) {
                    Ok(object) => self.writer.apply_watcher_event(&watcher::Event::InitApply(object)),
                    Err(bare) => self.listed.unreadable.push(bare),
                }
            }
            watcher::Event::InitDone => {
                self.writer.apply_watcher_event(&watcher::Event::InitDone);
                let listed = std::mem::take(&mut self.listed);
                for gone in self.aside.difference(&listed.aside) {
                    self.unreadable.forget(gone);
                }
                self.aside = listed.aside;
                for object in listed.before {
                    if self.reader.get(&ObjectRef::from_obj(&*object)).is_none() {
                        tell(Change::Gone(K::clone(&object)));
                    }
                }
                listed.unreadable.into_iter().for_each(|bare| tell(Change::Unreadable(bare)));
                self.reader.state().into_iter().for_each(|object| tell(Change::Seen(object)));
            }
            watcher::Event::Apply(reading) => {
                let key = Key::of(&reading);
                match self.unreadable.note(&reading) {
                    true => self.aside.insert(key),
                    false => self.aside.remove(&key),
                };
                match self.usable(reading) {
                    Ok(object) => {
                        let event = watcher::Event::Apply(object);
                        self.writer.apply_watcher_event(&event);
                        if let watcher::Event::Apply(object) = event {
                            tell(Change::Seen(Arc::new(object)));
                        }
                    }
                    Err(bare) => {
                        if let Some(object) = self.reader.get(&ObjectRef::from_obj(&bare)) {
                            self.writer.apply_watcher_event(&watcher::Event::Delete(bare.clone()));
                            tell(Change::Gone(K::clone(&object)));
                        }
                        tell(Change::Unreadable(bare));
                    }
                }
            }
            watcher::Event::Delete(reading) => {
                let key = Key::of(&reading);
                self.unreadable.forget(&key);
                self.aside.remove(&key);
                let object = self.usable(reading).unwrap_or_else(|bare| bare);
                self.writer.apply_watcher_event(&watcher::Event::Delete(object.clone()));
                tell(Change::Gone(object));
            }
        }
    }

    fn usable(&self, reading: Reading<K>) -> Result<K, K> {
        let Reading { mut object, fault, .. } = reading;
        object.reduce();
        match fault {
            None => Ok(object),
            Some(_) => Err(object),
        }
    }
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Drop for WatchStore<K> {
    fn drop(&mut self) {
        self.aside.iter().chain(&self.listed.aside).for_each(|key| self.unreadable.forget(key));
    }
}

#[cfg(test)]
mod tests;
