//! How much there may be at one address at a time, of requests or of connections in the making.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How much there is.
#[derive(Debug, Default)]
pub(super) struct Room(AtomicUsize);

/// A place in it, until this is dropped.
pub(super) struct Place<'r>(&'r Room);

impl Room {
    /// Takes one of at most so many places. It is given back with [`Self::leave`].
    pub(super) fn enter(&self, most: usize) -> bool {
        let is_room = self.0.fetch_add(1, Relaxed) < most;
        if !is_room {
            self.leave();
        }
        is_room
    }

    /// One place is free again.
    pub(super) fn leave(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// One of at most so many places, which gives itself back.
    pub(super) fn hold(&self, most: usize) -> Option<Place<'_>> {
        // Only then: dropping it gives the place back.
        self.enter(most).then(|| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let room = Room::default();
        assert!(room.enter(2) && room.enter(2) && !room.enter(2));
        room.leave();
        assert!(room.enter(2) && !room.enter(2));
        let connects = Room::default();
        let one = connects.hold(1);
        assert!(one.is_some() && connects.hold(1).is_none());
        drop(one);
        assert!(connects.hold(1).is_some());
    }
}
