//! Attempts of which so many may be made at once, and then one in so long, whoever makes them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Account, MOST};

#[derive(Debug)]
pub(super) struct Rates {
    /// By account: when all of its attempts are free again.
    free: HashMap<Account, Instant>,
    attempts: u32,
    interval: Duration,
}

impl Rates {
    pub(super) fn new(attempts: u32, interval: Duration) -> Self {
        Self { free: HashMap::new(), attempts, interval }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.free.len()
    }

    pub(super) fn wait(&self, account: &Account, now: Instant) -> Duration {
        let owed = self.free.get(account).map_or(Duration::ZERO, |free| free.saturating_duration_since(now));
        (owed + self.interval).saturating_sub(self.interval * self.attempts)
    }

    pub(super) fn count(&mut self, account: Account, now: Instant) {
        if self.free.len() >= MOST && !self.free.contains_key(&account) {
            self.make_room(now);
        }
        let free = self.free.entry(account).or_insert(now);
        *free = (*free).max(now) + self.interval;
    }

    pub(super) fn take_back(&mut self, account: &Account) {
        if let Some(free) = self.free.get_mut(account) {
            *free = free.checked_sub(self.interval).unwrap_or(*free);
        }
    }

    /// Rarely, and beside the work of a password hash: what is free goes, else what is free first.
    fn make_room(&mut self, now: Instant) {
        self.free.retain(|_, free| *free > now);
        if self.free.len() < MOST {
            return;
        }
        let first = self.free.iter().min_by_key(|(_, free)| **free).map(|(account, _)| account.clone());
        if let Some(first) = first {
            self.free.remove(&first);
        }
    }
}
