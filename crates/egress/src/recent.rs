//! A map that drops entries that have not been used for an hour, and the least recently used ones if there are too many.
//!
//! It stores objects that tenants can create in any number, such as the servers of their Issuers. A dropped entry is created
//! again when it is needed.

use std::collections::HashMap;
use std::hash::Hash;

use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};

/// How long an unused entry is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// How often unused entries are looked for.
const SWEPT: SignedDuration = SignedDuration::from_mins(1);

/// The map. Values are cheap to clone.
pub struct Recent<K, V> {
    clock: fn() -> Timestamp,
    most: usize,
    /// Whether two entries compete for the same space.
    rivals: fn(&K, &K) -> bool,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    swept: Option<Timestamp>,
}

struct Entry<V> {
    value: V,
    used: Timestamp,
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    /// A map of at most `most` entries.
    pub fn new(most: usize, clock: fn() -> Timestamp) -> Self {
        Self::with_rivals(most, |_, _| true, clock)
    }

    /// A map of at most `most` entries among those that compete with each other.
    pub fn with_rivals(most: usize, rivals: fn(&K, &K) -> bool, clock: fn() -> Timestamp) -> Self {
        Self { clock, most, rivals, state: Mutex::new(State { entries: HashMap::new(), swept: None }) }
    }

    /// The value of `key`, which counts as used now.
    pub fn get(&self, key: &K) -> Option<V> {
        let (mut state, now) = self.state();
        state.entries.get_mut(key).map(|entry| entry.take(now))
    }

    /// The value of any entry that matches `wanted`, which counts as used now.
    pub fn find(&self, wanted: impl Fn(&K, &V) -> bool) -> Option<V> {
        let (mut state, now) = self.state();
        let mut found = state.entries.iter_mut().filter(|(key, entry)| wanted(key, &entry.value));
        found.next().map(|(_, entry)| entry.take(now))
    }

    /// The value of `key`, created if there is none.
    ///
    /// # Errors
    /// That of `make`.
    pub fn get_or_try_insert<E>(&self, key: &K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let (mut state, now) = self.state();
        if let Some(entry) = state.entries.get_mut(key) {
            return Ok(entry.take(now));
        }
        let value = make()?;
        self.insert_into(&mut state, key, value.clone(), now);
        Ok(value)
    }

    /// The value of `key` if it matches `wanted`, otherwise `value`, which replaces it.
    pub fn get_or_replace(&self, key: &K, wanted: impl FnOnce(&V) -> bool, value: V) -> V {
        let (mut state, now) = self.state();
        match state.entries.get_mut(key).filter(|entry| wanted(&entry.value)) {
            Some(entry) => entry.take(now),
            None => {
                self.insert_into(&mut state, key, value.clone(), now);
                value
            }
        }
    }

    /// What `each` says of each value; that does not count as a use.
    pub fn each<T>(&self, each: impl FnMut(&V) -> T) -> Vec<T> {
        self.state().0.entries.values().map(|entry| &entry.value).map(each).collect()
    }

    /// Drops one entry.
    pub fn remove(&self, key: &K) {
        self.state().0.entries.remove(key);
    }

    /// Drops all entries.
    pub fn clear(&self) {
        self.state().0.entries.clear();
    }

    fn insert_into(&self, state: &mut State<K, V>, key: &K, value: V, now: Timestamp) {
        state.entries.remove(key);
        let rivals = state.entries.iter().filter(|(other, _)| (self.rivals)(key, other));
        let (count, oldest) = rivals.fold((0, None::<(&K, Timestamp)>), |(count, oldest), (other, entry)| {
            let older = oldest.is_none_or(|(_, used)| entry.used < used);
            (count + 1, if older { Some((other, entry.used)) } else { oldest })
        });
        if let Some(oldest) = oldest.filter(|_| count >= self.most).map(|(oldest, _)| oldest.clone()) {
            state.entries.remove(&oldest);
        }
        state.entries.insert(key.clone(), Entry { value, used: now });
    }

    /// The remaining entries.
    fn state(&self) -> (MutexGuard<'_, State<K, V>>, Timestamp) {
        let now = (self.clock)();
        let mut state = self.state.lock();
        let age = |since: Timestamp| now.duration_since(since).abs();
        if state.swept.is_none_or(|swept| age(swept) >= SWEPT) {
            state.entries.retain(|_, entry| age(entry.used) < KEPT);
            state.entries.shrink_to_fit();
            state.swept = Some(now);
        }
        (state, now)
    }
}

impl<V: Clone> Entry<V> {
    fn take(&mut self, now: Timestamp) -> V {
        self.used = now;
        self.value.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;

    thread_local! {
        static NOW: Cell<i64> = const { Cell::new(0) };
    }

    fn clock() -> Timestamp {
        Timestamp::from_second(NOW.get()).unwrap()
    }

    #[test]
    fn an_entry_unused_for_an_hour_is_dropped() {
        let recent = Recent::new(10, clock);
        let kept = Arc::new(());
        recent.get_or_replace(&"used", |_| true, kept.clone());
        recent.get_or_replace(&"unused", |_| true, kept.clone());
        NOW.set(59 * 60);
        assert!(recent.get(&"used").is_some());
        NOW.set(61 * 60);
        assert!(recent.get(&"another").is_none());
        assert_eq!(Arc::strong_count(&kept), 2, "the unused one is gone, though nobody asked for it");
        assert!(recent.get(&"used").is_some());
    }

    #[test]
    fn the_longest_unused_of_its_rivals_makes_room() {
        let rivals = |one: &(&str, u8), other: &(&str, u8)| one.0 == other.0;
        let recent = Recent::with_rivals(2, rivals, clock);
        for (second, key) in [("mallory", 1), ("mallory", 2), ("alice", 1)].into_iter().enumerate() {
            NOW.set(i64::try_from(second).unwrap());
            recent.get_or_try_insert(&key, || Ok::<_, ()>(())).unwrap();
        }
        NOW.set(4);
        assert!(recent.get(&("mallory", 1)).is_some());
        NOW.set(5);
        recent.get_or_try_insert(&("mallory", 3), || Ok::<_, ()>(())).unwrap();
        let there = |key| recent.get(&key).is_some();
        assert!(there(("mallory", 1)) && !there(("mallory", 2)) && there(("mallory", 3)));
        assert!(there(("alice", 1)), "nobody else makes room");
    }

    #[test]
    fn a_value_that_cannot_be_made_is_not_kept() {
        let recent = Recent::<u8, u8>::new(1, clock);
        assert_eq!(recent.get_or_try_insert(&1, || Err("no")), Err("no"));
        assert_eq!(recent.get_or_try_insert(&1, || Ok::<_, ()>(7)), Ok(7));
        assert_eq!(recent.get_or_try_insert(&1, || Err("no")), Ok(7));
        assert_eq!(recent.find(|_, value| *value == 7), Some(7));
        recent.remove(&1);
        assert_eq!(recent.find(|_, _| true), None);
    }
}
