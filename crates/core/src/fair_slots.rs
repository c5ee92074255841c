//! Slots that are shared fairly between groups, such as the namespaces of a cluster, and the queue for them.

use std::collections::{BTreeMap, HashMap};

/// A number of slots, their holders, and the queue.
///
/// A free slot goes to a waiting group that holds none, otherwise to any waiting group; groups take turns. Within a group, a
/// lower rank `R` comes first, then the order of arrival. A group that already holds a slot leaves the last slots
/// ([`with_reserve`](Self::with_reserve)) to groups that hold none, so that no group can occupy all of them.
///
/// A slot is assigned to a waiting member immediately: nobody can overtake it, and it must be freed even if it is never used.
/// Every operation takes time logarithmic in the length of the queue.
#[derive(Debug)]
pub struct FairSlots<T, R = u32> {
    limit: usize,
    reserve: usize,
    taken: usize,
    arrivals: u64,
    turns: u64,
    groups: HashMap<String, Group<T, R>>,
    members: HashMap<String, Member<R>>,
    /// Groups with waiting members, by turn: those that hold no slot, and the others.
    without: BTreeMap<u64, String>,
    with: BTreeMap<u64, String>,
}

#[derive(Debug)]
struct Group<T, R> {
    held: usize,
    /// Its turn, if somebody waits.
    turn: u64,
    waiting: BTreeMap<(R, u64), (String, T)>,
}

#[derive(Debug)]
struct Member<R> {
    group: String,
    /// Rank and arrival; `None` if it holds a slot.
    waits: Option<(R, u64)>,
}

impl<T, R: Copy + Ord> FairSlots<T, R> {
    /// This many slots, and at least one.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            reserve: 0,
            taken: 0,
            arrivals: 0,
            turns: 0,
            groups: HashMap::new(),
            members: HashMap::new(),
            without: BTreeMap::new(),
            with: BTreeMap::new(),
        }
    }

    /// The same, with this many reserved for groups that hold none; at least one is for all.
    pub fn with_reserve(self, reserve: usize) -> Self {
        Self { reserve: reserve.min(self.limit - 1), ..self }
    }

    /// Whether `id` holds a slot.
    pub fn has(&self, id: &str) -> bool {
        self.members.get(id).is_some_and(|member| member.waits.is_none())
    }

    /// Takes a slot for `id`, or queues it and returns false. If it already holds a slot, nothing changes; if it waits, it moves to
    /// its new rank. `token` is returned when its turn comes.
    pub fn take(&mut self, id: &str, group: &str, rank: R, token: T) -> bool {
        if let Some(member) = self.members.get_mut(id) {
            let Some(place) = &mut member.waits else { return true };
            let before = std::mem::replace(place, (rank, place.1));
            if let Some(group) = self.groups.get_mut(&member.group)
                && let Some(waiting) = group.waiting.remove(&before)
            {
                group.waiting.insert(*place, waiting);
            }
            return false;
        }
        let held = self.groups.get(group).map_or(0, |group| group.held);
        // Nobody waits for a slot that it could have.
        let waits = if self.is_free_for(held) { None } else { Some((rank, self.arrivals)) };
        self.members.insert(id.to_owned(), Member { group: group.to_owned(), waits });
        let entry = self.groups.entry(group.to_owned()).or_insert_with(|| Group {
            held: 0,
            turn: 0,
            waiting: BTreeMap::new(),
        });
        let Some(place) = waits else {
            entry.held += 1;
            self.taken += 1;
            return true;
        };
        self.arrivals += 1;
        if entry.waiting.is_empty() {
            entry.turn = self.turns;
            self.turns += 1;
            let queue = if entry.held == 0 { &mut self.without } else { &mut self.with };
            queue.insert(entry.turn, group.to_owned());
        }
        entry.waiting.insert(place, (id.to_owned(), token));
        false
    }

    /// Frees the slot or the queue entry of `id`; returns the tokens of those that get a slot now.
    pub fn free(&mut self, id: &str) -> Vec<T> {
        let Some(member) = self.members.remove(id) else { return Vec::new() };
        if let Some(group) = self.groups.get_mut(&member.group) {
            match member.waits {
                Some(place) => {
                    group.waiting.remove(&place);
                    if group.waiting.is_empty() {
                        let queue = if group.held == 0 { &mut self.without } else { &mut self.with };
                        queue.remove(&group.turn);
                    }
                }
                None => {
                    group.held -= 1;
                    self.taken -= 1;
                    if group.held == 0
                        && !group.waiting.is_empty()
                        && let Some(name) = self.with.remove(&group.turn)
                    {
                        self.without.insert(group.turn, name);
                    }
                }
            }
            if group.held == 0 && group.waiting.is_empty() {
                self.groups.remove(&member.group);
            }
        }
        std::iter::from_fn(|| self.serve()).collect()
    }

    /// How many wait for a slot.
    pub fn waiting(&self) -> usize {
        self.members.len() - self.taken
    }

    /// Whether nobody holds a slot or waits for one.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn is_free_for(&self, held: usize) -> bool {
        let free = self.limit - self.taken;
        free > if held == 0 { 0 } else { self.reserve }
    }

    /// Gives a slot to the next in the queue.
    fn serve(&mut self) -> Option<T> {
        let (turn, name) = match (self.without.first_key_value(), self.with.first_key_value()) {
            (Some((turn, name)), _) if self.is_free_for(0) => (*turn, name.clone()),
            (_, Some((turn, name))) if self.is_free_for(1) => (*turn, name.clone()),
            _ => return None,
        };
        self.without.remove(&turn);
        self.with.remove(&turn);
        let group = self.groups.get_mut(&name)?;
        let (_, (id, token)) = group.waiting.pop_first()?;
        group.held += 1;
        self.taken += 1;
        if !group.waiting.is_empty() {
            group.turn = self.turns;
            self.turns += 1;
            self.with.insert(group.turn, name);
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.waits = None;
        }
        Some(token)
    }
}

#[cfg(test)]
mod tests;
