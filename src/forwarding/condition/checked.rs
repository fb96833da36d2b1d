//! What checks have found of one address, and whether it is kept out for that.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI32};

/// See the module. Checks of an address come one after another.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// They say that it is not well.
    ill: AtomicBool,
    /// How many in a row found it well, or below 0 did not.
    row: AtomicI32,
}

impl Checked {
    /// Of an address that is ill, or not, so far.
    pub(super) fn beginning(ill: bool) -> Self {
        Self { ill: AtomicBool::new(ill), row: AtomicI32::new(0) }
    }

    pub(super) fn is_ill(&self) -> bool {
        self.ill.load(Relaxed)
    }

    /// One more has found it well or not, as so many before it have in a row, this one included.
    pub(super) fn add(&self, well: bool) -> u32 {
        let before = self.row.load(Relaxed);
        let row = if well { before.max(0).saturating_add(1) } else { before.min(0).saturating_sub(1) };
        self.row.store(row, Relaxed);
        row.unsigned_abs()
    }

    /// They have come to a conclusion. Returns whether it is another one than before.
    pub(super) fn conclude(&self, well: bool) -> bool {
        self.ill.swap(!well, Relaxed) == well
    }
}
