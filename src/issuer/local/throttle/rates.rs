//! Attempts of which so many may be made at once, and then one in so long, whoever makes them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{ACCOUNT_ATTEMPTS, ACCOUNT_INTERVAL, Account, MOST};

/// By account: when all of its attempts are free again.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<Account, Instant>);

impl Rates {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn wait(&self, account: &Account, now: Instant) -> Duration {
        let owed = self.0.get(account).map_or(Duration::ZERO, |free| free.saturating_duration_since(now));
        (owed + ACCOUNT_INTERVAL).saturating_sub(ACCOUNT_INTERVAL * ACCOUNT_ATTEMPTS)
    }

    pub(super) fn count(&mut self, account: Account, now: Instant) {
        if self.0.len() >= MOST && !self.0.contains_key(&account) {
            self.make_room(now);
        }
        let free = self.0.entry(account).or_insert(now);
        *free = (*free).max(now) + ACCOUNT_INTERVAL;
    }

    pub(super) fn take_back(&mut self, account: &Account) {
        if let Some(free) = self.0.get_mut(account) {
            *free = free.checked_sub(ACCOUNT_INTERVAL).unwrap_or(*free);
        }
    }

    /// Rarely, and beside the work of a password hash: what is free goes, else what is free first.
    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, free| *free > now);
        if self.0.len() < MOST {
            return;
        }
        let first = self.0.iter().min_by_key(|(_, free)| **free).map(|(account, _)| account.clone());
        if let Some(first) = first {
            self.0.remove(&first);
        }
    }
}
