//! How one address is: what requests and checks have told of it, for all workers alike.
//!
//! Two things keep an address out, each for itself. An **ejection** follows from what became of requests and ends after a
//! time, when one request at a time shows whether the address works again. A failed **check** lasts until checks succeed.
//! A request that asks about an address that is well reads two or three atomics; nothing here locks, and only what has
//! changed for the worse allocates. Which address a request goes to is not decided here, nor is anything logged.

mod checked;
mod ejected;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use self::checked::Checked;
use self::ejected::Ejected;
use crate::clock::{Clock, Timestamp};
use crate::config::Ejection;
use crate::forwarding::room::Room;
use crate::tally::Count;

/// Of so many requests, an address that takes part again gets one at first, and then more and more.
const SLOWEST: u64 = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Condition {
    clock: Clock,
    /// When its time began, which is counted in milliseconds from 1.
    origin: Instant,
    ejected: Ejected,
    checked: Checked,
    /// When it last came back; 0: long ago.
    returned: AtomicU64,
    /// A request or a check has shown how it is.
    tried: AtomicBool,
    /// What keeps it out.
    failure: ArcSwapOption<AddressFailure>,
    pub(super) requests: Room,
    /// Connections that are being made.
    pub(super) connects: Room,
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

/// What keeps an address out, for whoever looks for the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFailure {
    /// Since when it is out.
    pub since: Timestamp,
    /// What was seen last, as the log says it.
    pub cause: String,
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
            ejected: Ejected::default(),
            checked: Checked::default(),
            returned: AtomicU64::new(0),
            tried: AtomicBool::new(false),
            failure: ArcSwapOption::empty(),
            requests: Room::default(),
            connects: Room::default(),
            counts,
        }
    }

    /// What another configuration begins with that checks the address differently: what requests have told stays known.
    /// What is on its way counts for the old one. Without `checks`, nothing would ever say that the address is well again.
    pub(super) fn anew(&self, checks: bool) -> Self {
        let next = Self {
            origin: self.origin,
            ejected: self.ejected.anew(),
            checked: Checked::beginning(checks && self.is_ill()),
            returned: AtomicU64::new(self.returned.load(Relaxed)),
            tried: AtomicBool::new(self.is_tried()),
            ..Self::new(self.clock.clone(), Arc::clone(&self.counts))
        };
        next.failure.store(self.failure());
        next.forget_failure();
        next
    }

    /// Whether it is to get a request now. `dice` tells requests apart while it returns.
    pub(super) fn standing(&self, ejection: &Ejection, dice: u64) -> Standing {
        if self.is_ill() {
            return Standing::Out;
        }
        if self.stage() != 0 {
            return if self.ejected.keeps_out(self.now(), ejection) { Standing::Out } else { Standing::In };
        }
        let returned = self.returned.load(Relaxed);
        if returned != 0 && !self.has_settled(returned, ejection.slow_start, dice) {
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
        self.checked.is_ill()
    }

    /// Whether it came back a moment ago.
    pub(super) fn is_returning(&self, slow_start: Duration) -> bool {
        let returned = self.returned.load(Relaxed);
        returned != 0 && !self.is_out() && self.now().saturating_sub(returned) < millis(slow_start)
    }

    /// Whether a request or a check has shown how it is.
    pub(super) fn is_tried(&self) -> bool {
        self.tried.load(Relaxed)
    }

    fn note_tried(&self) {
        if !self.is_tried() {
            self.tried.store(true, Relaxed);
        }
    }

    /// What keeps it out, while something does.
    pub(super) fn failure(&self) -> Option<Arc<AddressFailure>> {
        self.failure.load_full().filter(|_| self.is_out())
    }

    /// This has just put it out, or keeps it there.
    pub(super) fn note_failure(&self, cause: String) {
        let since = self.failure.load().as_ref().map_or_else(|| self.clock.now(), |failure| failure.since);
        self.failure.store(Some(Arc::new(AddressFailure { since, cause })));
    }

    fn forget_failure(&self) {
        if !self.is_out() {
            self.failure.store(None);
        }
    }

    /// What a request notes when it begins: what it tells counts only if nobody else has told more since.
    pub(super) fn stage(&self) -> u32 {
        self.ejected.stage()
    }

    /// When the request that begins did so, if it is the one that shows whether the address works again.
    pub(super) fn probe(&self, stage: u32, ejection: &Ejection) -> Option<u64> {
        // Most requests need not know what time it is.
        if stage == 0 { None } else { self.ejected.probe(self.now(), ejection) }
    }

    /// The request that began then is over, whatever it has shown. Another may be on its way.
    pub(super) fn probe_is_over(&self, began: u64) {
        self.ejected.probe_is_over(began);
    }

    /// Whether an answer of 500 or above speaks against it, for a request that began at `stage`. One that is out for something
    /// else has shown that it works.
    pub(super) fn weighs_server_errors(&self, stage: u32) -> bool {
        self.ejected.weighs_server_errors(stage)
    }

    /// A request that began at `stage` was answered. Returns whether the address takes part again.
    pub(super) fn worked(&self, stage: u32) -> bool {
        self.note_tried();
        let is_over = self.ejected.worked(stage);
        if is_over {
            self.returned.store(self.now(), Relaxed);
            self.forget_failure();
        }
        is_over
    }

    /// The application has answered with a status below 500.
    pub(super) fn made_no_error(&self) {
        self.ejected.made_no_error();
    }

    /// Something speaks against the address, of a request that began at `stage`. Returns for how long it is ejected, if it
    /// is. `is_room`: whether so many are in that this one may go. `chance`, of 255, makes ejections of several instances end
    /// at different times.
    pub(super) fn failed(
        &self,
        stage: u32,
        evidence: Evidence,
        ejection: &Ejection,
        is_room: impl FnOnce() -> bool,
        chance: impl FnOnce() -> u8,
    ) -> Option<Duration> {
        self.note_tried();
        let ejected = self.ejected.failed(stage, evidence, self.now(), ejection, is_room, chance);
        if ejected.is_some() {
            self.counts.ejections.add();
        }
        ejected
    }

    /// A check has found it well or not, as so many before it have in a row, this one included.
    pub(super) fn add_check(&self, well: bool) -> u32 {
        self.note_tried();
        self.checked.add(well)
    }

    /// Checks have come to a conclusion. Returns whether it is another one than before.
    pub(super) fn checked(&self, well: bool) -> bool {
        if !self.checked.conclude(well) {
            return false;
        }
        if well {
            self.returned.store(self.now(), Relaxed);
            self.forget_failure();
        } else {
            self.counts.failed_checks.add();
        }
        true
    }

    /// In milliseconds, and never 0.
    fn now(&self) -> u64 {
        millis(self.clock.instant().saturating_duration_since(self.origin)).saturating_add(1)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
