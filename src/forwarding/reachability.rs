//! How each address has been doing, over all workers: for whoever looks. Which address a request goes to is decided by what
//! each worker knows itself, never by this.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::forwarding::upstreams::Upstreams;
use crate::tally::Count;

/// How an address is, at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressHealth {
    /// How many workers have seen it fail, and not seen it answer since.
    pub failing_workers: usize,
    /// How often it did not work; requests that fail together count once.
    pub failures: u64,
    /// How long ago it last did not.
    pub last_failure: Option<Duration>,
}

/// What all workers have seen of one address.
#[derive(Debug)]
pub(super) struct Reachability {
    since: Instant,
    failing_workers: AtomicUsize,
    failures: Count,
    /// Milliseconds after `since`.
    last_failure: AtomicU64,
}

impl Reachability {
    pub(super) fn new() -> Self {
        let (failing_workers, last_failure) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { since: Instant::now(), failing_workers, failures: Count::new(), last_failure }
    }

    /// It did not work; `is_first`: for a worker with which it did before.
    pub(super) fn failed(&self, is_first: bool) {
        if is_first {
            self.failing_workers.fetch_add(1, Relaxed);
        }
        self.last_failure.store(u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.failures.add();
    }

    /// It works again for a worker, or that worker is no more.
    pub(super) fn recovered(&self) {
        self.failing_workers.fetch_sub(1, Relaxed);
    }

    fn health(&self) -> AddressHealth {
        let failures = self.failures.total();
        let last_failure =
            || self.since.elapsed().saturating_sub(Duration::from_millis(self.last_failure.load(Relaxed)));
        AddressHealth {
            failing_workers: self.failing_workers.load(Relaxed),
            failures,
            last_failure: (failures > 0).then(last_failure),
        }
    }
}

impl Upstreams {
    /// How every address of every upstream is, in the order of the configuration.
    pub fn health(&self) -> impl Iterator<Item = Vec<AddressHealth>> {
        self.iter().map(|addresses| addresses.iter().map(|address| address.reachability.health()).collect())
    }
}
