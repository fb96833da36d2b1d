//! Joins the small writes of one wake-up.
//!
//! h2 writes every DATA frame by itself and flushes behind it: a system call and a TLS record for each of the responses
//! that are ready at the same time. Here they gather until a flush comes behind which nothing was written, or until enough
//! is there. Whoever drives the connection asks whether a flush was put off when it has nothing more to do
//! ([`Activity::flush_is_due`](super::activity::Activity::flush_is_due)), so nothing is ever left lying.

use std::io::IoSlice;

/// Bytes that are written without waiting for more: four frames of the usual largest size.
const ENOUGH: usize = 64 * 1024;

/// Bytes on their way to the socket.
#[derive(Debug, Default)]
pub(super) struct Joined {
    bytes: Vec<u8>,
    /// How many of them have been written.
    written: usize,
    /// Something came since the last flush.
    fresh: bool,
}

impl Joined {
    /// Whether more may come before something is written.
    pub(super) const fn has_room(&self) -> bool {
        self.bytes.len() < ENOUGH
    }

    /// Takes in all of `slices`, and says how many bytes that are.
    pub(super) fn append(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let count = slices.iter().map(|slice| slice.len()).sum();
        self.bytes.reserve(count);
        for slice in slices {
            self.bytes.extend_from_slice(slice);
        }
        self.fresh = true;
        count
    }

    /// What has yet to be written; `None` when that is nothing.
    pub(super) fn rest(&self) -> Option<&[u8]> {
        self.bytes.get(self.written..).filter(|rest| !rest.is_empty())
    }

    /// `count` bytes of the rest have been written. An idle connection holds no memory for this.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.bytes.len() {
            *self = Self::default();
        }
    }

    /// Whether to put this flush off: something came since the last one, so another will follow.
    pub(super) const fn puts_off(&mut self) -> bool {
        std::mem::replace(&mut self.fresh, false)
    }
}
