//! Attempts that are counted one by one: so many without a wait, and then with a growing one.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::{FORGOTTEN_AFTER, LONGEST_WAIT, MOST};

#[derive(Debug)]
pub(super) struct Counts<K> {
    counts: HashMap<K, Count>,
    free: u32,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    attempts: u32,
    last: Instant,
}

impl<K: Clone + Eq + Hash> Counts<K> {
    pub(super) fn new(free: u32) -> Self {
        Self { counts: HashMap::new(), free }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    pub(super) fn wait(&self, key: &K, now: Instant) -> Duration {
        let Some(count) = self.counts.get(key).filter(|count| !count.is_over(now)) else { return Duration::ZERO };
        let Some(beyond) = count.attempts.checked_sub(self.free) else { return Duration::ZERO };
        let pause = Duration::from_secs(1 << beyond.min(6)).min(LONGEST_WAIT);
        pause.saturating_sub(now.saturating_duration_since(count.last))
    }

    pub(super) fn count(&mut self, key: K, now: Instant) {
        if self.counts.len() >= MOST && !self.counts.contains_key(&key) {
            self.make_room(now);
        }
        let count = self.counts.entry(key).or_insert(Count { attempts: 0, last: now });
        let before = if count.is_over(now) { 0 } else { count.attempts };
        *count = Count { attempts: before.saturating_add(1), last: now };
    }

    /// The same for an attempt that was refused, which costs its sender nothing: it must not cost us the search for room.
    pub(super) fn count_refused(&mut self, key: K, now: Instant) {
        if self.counts.len() < MOST || self.counts.contains_key(&key) {
            self.count(key, now);
        }
    }

    pub(super) fn take_back(&mut self, key: &K) {
        if let Some(count) = self.counts.get_mut(key) {
            count.attempts = count.attempts.saturating_sub(1);
        }
    }

    pub(super) fn clear(&mut self, key: &K) {
        self.counts.remove(key);
    }

    /// Rarely, and beside the work of a password hash: what is over goes, else the lowest count.
    fn make_room(&mut self, now: Instant) {
        self.counts.retain(|_, count| !count.is_over(now));
        if self.counts.len() < MOST {
            return;
        }
        let lowest =
            self.counts.iter().min_by_key(|(_, count)| (count.attempts, count.last)).map(|(key, _)| key.clone());
        if let Some(lowest) = lowest {
            self.counts.remove(&lowest);
        }
    }
}

impl Count {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= FORGOTTEN_AFTER
    }
}
