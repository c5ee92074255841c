//! Stores the events of a watch.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use kube::runtime::watcher;

use super::held::Held;
use super::objects::{ObjectName, Objects};
use crate::controller::unreadable::{Key, Unreadable};
use certwright_core::reading::Reading;

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
pub struct WatchStore<K: Held> {
    objects: Arc<Objects<K>>,
    unreadable: Arc<Unreadable>,
    /// The unreadable objects of this watch.
    aside: BTreeSet<Key>,
    /// The objects of the list that is being read.
    listed: Listed,
    /// Names of further annotations that are kept.
    also: Arc<[String]>,
}

/// What a list has brought so far.
#[derive(Default)]
struct Listed {
    objects: HashSet<Arc<ObjectName>>,
    aside: BTreeSet<Key>,
}

impl<K: Held> WatchStore<K> {
    /// A store that fills `objects`. `also` are names of further annotations that are kept.
    pub fn new(objects: Arc<Objects<K>>, unreadable: Arc<Unreadable>, also: Arc<[String]>) -> Self {
        Self { objects, unreadable, aside: BTreeSet::new(), listed: Listed::default(), also }
    }

    /// Stores an event of the watch, then calls `tell`.
    pub fn put(&mut self, event: watcher::Event<Reading<K>>, mut tell: impl FnMut(Change<K>)) {
        match event {
            watcher::Event::Init => self.listed = Listed::default(),
            watcher::Event::InitApply(reading) => {
                let key = Key::of(&reading);
                // Another list, because the watch was broken: most objects have not changed.
                let unchanged = if reading.fault.is_none() && reading.status_fault.is_none() {
                    self.objects.has_version(&reading.object)
                } else {
                    None
                };
                let listed = unchanged.or_else(|| self.apply(reading, &mut tell));
                self.listed.objects.extend(listed);
                if self.aside.contains(&key) {
                    self.listed.aside.insert(key);
                }
            }
            watcher::Event::InitDone => self.listed(tell),
            watcher::Event::Apply(reading) => drop(self.apply(reading, &mut tell)),
            watcher::Event::Delete(reading) => {
                let key = Key::of(&reading);
                self.unreadable.forget(&key);
                self.aside.remove(&key);
                let object = self.usable(reading).unwrap_or_else(|bare| bare);
                self.objects.remove(&ObjectName::of(&object));
                tell(Change::Gone(object));
            }
        }
    }

    /// An object is new or changed. Returns its name, if it is in the cache now.
    fn apply(&mut self, reading: Reading<K>, tell: &mut impl FnMut(Change<K>)) -> Option<Arc<ObjectName>> {
        let key = Key::of(&reading);
        match self.unreadable.note(&reading) {
            true => self.aside.insert(key),
            false => self.aside.remove(&key),
        };
        match self.usable(reading) {
            Ok(object) => {
                let object = Arc::new(object);
                let name = self.objects.put(object.clone());
                tell(Change::Seen(object));
                Some(name)
            }
            Err(bare) => {
                if let Some(object) = self.objects.remove(&ObjectName::of(&bare)) {
                    tell(Change::Gone(Arc::unwrap_or_clone(object)));
                }
                tell(Change::Unreadable(bare));
                None
            }
        }
    }

    /// A list is complete: what is not in it is gone.
    fn listed(&mut self, mut tell: impl FnMut(Change<K>)) {
        let listed = std::mem::take(&mut self.listed);
        for gone in self.aside.difference(&listed.aside) {
            self.unreadable.forget(gone);
        }
        self.aside = listed.aside;
        for name in self.objects.names() {
            if !listed.objects.contains(&name)
                && let Some(object) = self.objects.remove(&name)
            {
                tell(Change::Gone(Arc::unwrap_or_clone(object)));
            }
        }
        self.objects.complete();
    }

    fn usable(&self, reading: Reading<K>) -> Result<K, K> {
        let Reading { mut object, fault, .. } = reading;
        object.reduce(&self.also);
        match fault {
            None => Ok(object),
            Some(_) => Err(object),
        }
    }
}

impl<K: Held> Drop for WatchStore<K> {
    fn drop(&mut self) {
        self.aside.iter().for_each(|key| self.unreadable.forget(key));
    }
}

#[cfg(test)]
mod tests;
