//! A bounded set whose members end by themselves.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

use crate::clock::{Now, Timestamp};

/// A set whose members end, each at its time: when it is past by the wall clock, by which tokens end, and as much monotonic
/// time has passed. A wall clock that jumps ahead and back again makes nothing forgotten.
pub(super) struct Entries<T> {
    ends: HashMap<T, (Timestamp, Option<Instant>)>,
    by_end: BTreeSet<(Timestamp, T)>,
    pub(super) capacity: usize,
}

impl<T: Copy + Eq + Hash + Ord> Entries<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { ends: HashMap::new(), by_end: BTreeSet::new(), capacity: capacity.max(1) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn contains(&self, entry: &T) -> bool {
        self.ends.contains_key(entry)
    }

    pub(super) fn end_of(&self, entry: &T) -> Option<Timestamp> {
        self.ends.get(entry).map(|(until, _)| *until)
    }

    /// Every entry with its end, those that end first coming first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (T, Timestamp)> {
        self.by_end.iter().map(|(until, entry)| (*entry, *until))
    }

    pub(super) fn drop_ended(&mut self, now: Now) {
        let has_passed = |entry: &T| {
            self.ends.get(entry).is_none_or(|(_, passes)| passes.is_some_and(|passes| passes < now.instant))
        };
        let ended = self.by_end.iter().take_while(|(until, entry)| *until < now.wall && has_passed(entry)).count();
        for _ in 0..ended {
            self.drop_first();
        }
    }

    pub(super) fn remove(&mut self, entry: &T) {
        if let Some((until, _)) = self.ends.remove(entry) {
            self.by_end.remove(&(until, *entry));
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, entry)) = self.by_end.pop_first() {
            self.ends.remove(&entry);
        }
    }

    /// Says whether that is news: it was not in the set, or would have ended earlier.
    pub(super) fn insert(&mut self, entry: T, until: Timestamp, now: Now) -> bool {
        let known = self.ends.get(&entry).map(|(known, _)| *known);
        if until < now.wall || known.is_some_and(|known| known >= until) {
            return false;
        }
        if let Some(known) = known {
            self.by_end.remove(&(known, entry));
        } else if self.ends.len() >= self.capacity {
            tracing::warn!("the list of denied sessions and tokens is full; the entry that ends first is dropped");
            self.drop_first();
        }
        self.ends.insert(entry, (until, now.instant.checked_add(until.since(now.wall))));
        self.by_end.insert((until, entry));
        true
    }
}
