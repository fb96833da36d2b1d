//! What the requests to one address have told against it, and whether it is kept out for that.
//!
//! All moments are milliseconds of the [`Condition`](super::Condition)'s own time, and never 0. `stage` publishes what belongs to
//! it: whoever has seen that the address is ejected sees until when.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::Duration;

use super::{Evidence, millis};
use crate::config::Ejection;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ejected {
    /// Requests that broke or timed out, in a row.
    faults: AtomicU32,
    /// Answers of 500 and above, in a row.
    server_errors: AtomicU32,
    /// How often it was ejected since it last worked; 0: it is not ejected.
    stage: AtomicU32,
    /// The ejection ends then, and one request at a time is let through.
    until: AtomicU64,
    /// What began the ejection was that it answers 500 and above.
    in_trouble: AtomicBool,
    /// When the request set out that is on its way to see whether it works again; 0: there is none.
    probed: AtomicU64,
}

impl Ejected {
    /// The same, but for what is on its way and what has only begun to be counted.
    pub(super) fn anew(&self) -> Self {
        let stage = AtomicU32::new(self.stage());
        Self {
            stage,
            until: AtomicU64::new(self.until.load(Relaxed)),
            in_trouble: AtomicBool::new(self.in_trouble.load(Relaxed)),
            ..Self::default()
        }
    }

    pub(super) fn stage(&self) -> u32 {
        self.stage.load(Acquire)
    }

    /// Whether an address that is ejected is to get no request now: not before its time is up, nor while one is on its way.
    pub(super) fn keeps_out(&self, now: u64, ejection: &Ejection) -> bool {
        now < self.until.load(Relaxed) || is_awaited(self.probed.load(Relaxed), now, ejection)
    }

    /// When the request that begins did so, if it is the one that others wait for. They do not wait for ever: it may be a
    /// slow upload, or one whose answer takes long, and say nothing about the address meanwhile. But they wait long, for where
    /// an application hangs, so does each that tries it.
    pub(super) fn probe(&self, now: u64, ejection: &Ejection) -> Option<u64> {
        let last = self.probed.load(Relaxed);
        let is_free = !is_awaited(last, now, ejection);
        (is_free && self.probed.compare_exchange(last, now, Relaxed, Relaxed).is_ok()).then_some(now)
    }

    /// The request that began then is over, whatever it has shown. Another may be on its way.
    pub(super) fn probe_is_over(&self, began: u64) {
        let _ = self.probed.compare_exchange(began, 0, Relaxed, Relaxed);
    }

    /// Whether an answer of 500 or above speaks against it, for a request that began at `stage`. One that is out for something
    /// else has shown that it works.
    pub(super) fn weighs_server_errors(&self, stage: u32) -> bool {
        stage == 0 || self.in_trouble.load(Relaxed)
    }

    /// A request that began at `stage` was answered. Returns whether that ends the ejection.
    pub(super) fn worked(&self, stage: u32) -> bool {
        if self.faults.load(Relaxed) != 0 {
            self.faults.store(0, Relaxed);
        }
        // One that began before the ejection says nothing about what came after.
        if stage == 0 || self.stage.compare_exchange(stage, 0, Relaxed, Relaxed).is_err() {
            return false;
        }
        // The stream of the request that has shown it may go on for hours.
        self.probed.store(0, Relaxed);
        self.server_errors.store(0, Relaxed);
        true
    }

    /// The application has answered with a status below 500.
    pub(super) fn made_no_error(&self) {
        if self.server_errors.load(Relaxed) != 0 {
            self.server_errors.store(0, Relaxed);
        }
    }

    /// Something speaks against the address, of a request that began at `stage`. Returns for how long it is ejected, if it is.
    pub(super) fn failed(
        &self,
        stage: u32,
        evidence: Evidence,
        now: u64,
        ejection: &Ejection,
        is_room: impl FnOnce() -> bool,
        chance: impl FnOnce() -> u8,
    ) -> Option<Duration> {
        // What fails together, or began before the last ejection, counts once.
        if stage != self.stage() || stage != 0 && now < self.until.load(Relaxed) {
            return None;
        }
        if stage == 0 && !self.is_enough(evidence, ejection, is_room) {
            return None;
        }
        let doubled = ejection.first.saturating_mul(2_u32.saturating_pow(stage.min(16)));
        let penalty = doubled.min(ejection.longest);
        let penalty = penalty + (penalty / 4).mul_f64(f64::from(chance()) / f64::from(u8::MAX));
        self.until.store(now.saturating_add(millis(penalty)), Relaxed);
        self.in_trouble.store(evidence == Evidence::ServerError, Relaxed);
        self.stage.compare_exchange(stage, stage.saturating_add(1), Release, Relaxed).ok()?;
        self.probed.store(0, Relaxed);
        self.faults.store(0, Relaxed);
        self.server_errors.store(0, Relaxed);
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
}

/// Whether others wait for the request that set out at `probed`.
fn is_awaited(probed: u64, now: u64, ejection: &Ejection) -> bool {
    probed != 0 && now.saturating_sub(probed) < millis(ejection.longest)
}
