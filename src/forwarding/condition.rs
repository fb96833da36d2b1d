//! How one address is: what requests and checks have told of it, for all workers alike.
//!
//! Two things keep an address out, each for itself. An **ejection** follows from what became of requests and ends after a
//! time, when one request at a time shows whether the address works again. A failed **check** lasts until checks succeed.
//! A request that asks about an address that is well reads two or three atomics; nothing here locks or allocates. Which
//! address a request goes to is not decided here, nor is anything logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::config::Ejection;
use crate::tally::Count;

/// Of so many requests, an address that takes part again gets one at first, and then more and more.
const SLOWEST: u64 = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Condition {
    clock: Clock,
    origin: Instant,
    /// Requests that broke or timed out, in a row.
    faults: AtomicU32,
    /// Answers of 500 and above, in a row.
    server_errors: AtomicU32,
    /// How often it was ejected since it last worked; 0: it is not ejected.
    stage: AtomicU32,
    /// The ejection ends then, and one request at a time is let through. In milliseconds after `origin`, as all moments.
    until: AtomicU64,
    /// A request is on its way to see whether it works again.
    probed: AtomicBool,
    /// Checks say that it is not well.
    ill: AtomicBool,
    /// When it last came back; 0: long ago.
    returned: AtomicU64,
    requests: AtomicUsize,
    connects: AtomicUsize,
    pub(super) counts: Arc<AddressCounts>,
}

/// What is counted of an address.
#[derive(Debug, Default)]
pub(super) struct AddressCounts {
    pub(super) ejections: Count,
    pub(super) failed_checks: Count,
    pub(super) retries: Count,
    pub(super) retries_refused: Count,
    pub(super) overloads: Count,
}

/// What speaks against an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// It takes no connection: nothing was sent, and nothing is lost by going elsewhere.
    NoConnection,
    /// A request was lost: perhaps the request's own fault.
    Fault,
    /// It says itself that it is in trouble.
    ServerError,
}

/// Whether an address is to get requests; the better comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It is. So is one that was ejected and whose time is up, for one request.
    In,
    /// It came back a moment ago, and this request is not for it.
    Returning,
    /// Only when no other is in.
    Out,
}

impl Condition {
    /// Well until something else is known.
    pub(super) fn new(clock: Clock, counts: Arc<AddressCounts>) -> Self {
        Self {
            origin: clock.instant(),
            clock,
            faults: AtomicU32::new(0),
            server_errors: AtomicU32::new(0),
            stage: AtomicU32::new(0),
            until: AtomicU64::new(0),
            probed: AtomicBool::new(false),
            ill: AtomicBool::new(false),
            returned: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            connects: AtomicUsize::new(0),
            counts,
        }
    }

    /// What another configuration begins with that checks the address differently: what requests have told stays known.
    /// What is on its way counts for the old one. Without `checks`, nothing would ever say that the address is well again.
    pub(super) fn anew(&self, checks: bool) -> Self {
        let take = |number: &AtomicU64| AtomicU64::new(number.load(Relaxed));
        let (until, returned) = (take(&self.until), take(&self.returned));
        Self {
            origin: self.origin,
            stage: AtomicU32::new(self.stage()),
            ill: AtomicBool::new(checks && self.ill.load(Relaxed)),
            until,
            returned,
            ..Self::new(self.clock.clone(), Arc::clone(&self.counts))
        }
    }

    /// Whether it is to get a request now. `dice` tells requests apart while it returns.
    pub(super) fn standing(&self, slow_start: Duration, dice: u64) -> Standing {
        if self.ill.load(Relaxed) {
            return Standing::Out;
        }
        if self.stage() != 0 {
            let out = self.probed.load(Relaxed) || self.now() < self.until.load(Relaxed);
            return if out { Standing::Out } else { Standing::In };
        }
        let returned = self.returned.load(Relaxed);
        if returned != 0 && !self.has_settled(returned, slow_start, dice) {
            return Standing::Returning;
        }
        Standing::In
    }

    /// Whether a request that comes a while after the return may go to the address: one in [`SLOWEST`] at once, all at last.
    fn has_settled(&self, returned: u64, slow_start: Duration, dice: u64) -> bool {
        let (since, whole) = (self.now().saturating_sub(returned), millis(slow_start));
        if since >= whole {
            self.returned.store(0, Relaxed);
            return true;
        }
        dice % SLOWEST <= since.saturating_mul(SLOWEST) / whole
    }

    /// Whether requests are kept away from it, one that tries it included.
    pub(super) fn is_out(&self) -> bool {
        self.is_ill() || self.stage() != 0
    }

    /// Whether checks keep it out.
    pub(super) fn is_ill(&self) -> bool {
        self.ill.load(Relaxed)
    }

    /// Whether it came back a moment ago.
    pub(super) fn is_returning(&self, slow_start: Duration) -> bool {
        let returned = self.returned.load(Relaxed);
        returned != 0 && !self.is_out() && self.now().saturating_sub(returned) < millis(slow_start)
    }

    /// What a request notes when it begins: what it tells counts only if nobody else has told more since.
    pub(super) fn stage(&self) -> u32 {
        self.stage.load(Relaxed)
    }

    /// Whether the request that begins is the one that others wait for.
    pub(super) fn probe(&self, stage: u32) -> bool {
        stage != 0 && !self.probed.swap(true, Relaxed)
    }

    /// That request is over, whatever it has shown.
    pub(super) fn probe_is_over(&self) {
        self.probed.store(false, Relaxed);
    }

    /// A request that began at `stage` was answered. Returns whether the address takes part again.
    pub(super) fn worked(&self, stage: u32) -> bool {
        if self.faults.load(Relaxed) != 0 {
            self.faults.store(0, Relaxed);
        }
        // One that began before the ejection says nothing about what came after.
        if stage == 0 || self.stage.compare_exchange(stage, 0, Relaxed, Relaxed).is_err() {
            return false;
        }
        // The stream of the request that has shown it may go on for hours.
        self.probed.store(false, Relaxed);
        self.server_errors.store(0, Relaxed);
        self.returned.store(self.now(), Relaxed);
        true
    }

    /// The application has answered with a status below 500.
    pub(super) fn made_no_error(&self) {
        if self.server_errors.load(Relaxed) != 0 {
            self.server_errors.store(0, Relaxed);
        }
    }

    /// Something speaks against the address, of a request that began at `stage`. Returns for how long it is ejected, if it
    /// is. `is_room`: whether so many are in that this one may go. `chance`, of 255, makes ejections of several instances end
    /// at different times.
    pub(super) fn failed(
        &self,
        (stage, evidence): (u32, Evidence),
        ejection: &Ejection,
        is_room: impl FnOnce() -> bool,
        chance: impl FnOnce() -> u8,
    ) -> Option<Duration> {
        // What fails together, or began before the last ejection, counts once.
        if stage != self.stage() || stage != 0 && self.now() < self.until.load(Relaxed) {
            return None;
        }
        if stage == 0 && !self.is_enough(evidence, ejection, is_room) {
            return None;
        }
        let doubled = ejection.first.saturating_mul(2_u32.saturating_pow(stage.min(16)));
        let penalty = doubled.min(ejection.longest);
        let penalty = penalty + (penalty / 4).mul_f64(f64::from(chance()) / f64::from(u8::MAX));
        let until = self.now().saturating_add(millis(penalty));
        // First, so that nobody sees an ejection that is over.
        self.until.store(until, Relaxed);
        self.stage.compare_exchange(stage, stage.saturating_add(1), Relaxed, Relaxed).ok()?;
        self.probed.store(false, Relaxed);
        self.faults.store(0, Relaxed);
        self.server_errors.store(0, Relaxed);
        self.counts.ejections.add();
        Some(penalty)
    }

    /// Whether it is enough to eject an address that has been well. Only where a connection cannot be made is that
    /// certain; what may be the fault of the requests never takes most of the addresses away.
    fn is_enough(&self, evidence: Evidence, ejection: &Ejection, is_room: impl FnOnce() -> bool) -> bool {
        let (row, enough) = match evidence {
            Evidence::NoConnection => return true,
            Evidence::Fault => (&self.faults, ejection.faults),
            Evidence::ServerError => (&self.server_errors, ejection.server_errors.unwrap_or(u32::MAX)),
        };
        let row = row.fetch_add(1, Relaxed).saturating_add(1);
        row >= enough && is_room()
    }

    /// Checks have come to a conclusion. Returns whether it is another one than before.
    pub(super) fn checked(&self, well: bool) -> bool {
        if self.ill.swap(!well, Relaxed) != well {
            return false;
        }
        if well {
            self.returned.store(self.now(), Relaxed);
        } else {
            self.counts.failed_checks.add();
        }
        true
    }

    /// Room for one more request, of at most so many. It is given back with [`Self::leave`].
    pub(super) fn enter(&self, most: usize) -> bool {
        enter(&self.requests, most)
    }

    /// One request less.
    pub(super) fn leave(&self) {
        self.requests.fetch_sub(1, Relaxed);
    }

    /// Room for making one more connection, of at most so many, until what is returned is dropped.
    pub(super) fn connect(&self, most: usize) -> Option<Connecting<'_>> {
        // Only then: dropping it gives the room back.
        enter(&self.connects, most).then(|| Connecting(self))
    }

    /// In milliseconds, and never 0.
    fn now(&self) -> u64 {
        millis(self.clock.instant().saturating_duration_since(self.origin)).saturating_add(1)
    }
}

/// A connection that is being made.
pub(super) struct Connecting<'c>(&'c Condition);

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.connects.fetch_sub(1, Relaxed);
    }
}

fn enter(count: &AtomicUsize, most: usize) -> bool {
    let is_room = count.fetch_add(1, Relaxed) < most;
    if !is_room {
        count.fetch_sub(1, Relaxed);
    }
    is_room
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
