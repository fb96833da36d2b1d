//! The connections that there may be at once, and who makes room when there are too many.
//!
//! Whoever reaches the listener may open any number of them and ask for nothing, and probes must be answered all the same. So
//! the last to come always gets a place: of those that wait for a request, the one that has waited longest is closed for it. A
//! probe sends its request at once, so that it is the last to be closed. A request that is being answered is left alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Connections at once.
const CONNECTIONS: usize = 64;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// How often anything has begun to wait.
    turn: u64,
    /// By the turn in which they were taken.
    places: HashMap<u64, State>,
}

#[derive(Debug)]
struct State {
    /// Since which turn it waits for a request; `None` while one is answered.
    waits_since: Option<u64>,
    wanted: Arc<Notify>,
}

impl Taken {
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// Closes the one that has waited longest. `false`: all are being answered.
    fn make_room(&mut self) -> bool {
        let waiting = self.places.iter().filter_map(|(number, state)| Some((state.waits_since?, *number)));
        let Some((_, longest)) = waiting.min() else { return false };
        if let Some(state) = self.places.remove(&longest) {
            state.wanted.notify_one();
        }
        true
    }
}

impl Places {
    /// A place for one more. `None` where every other one is being answered.
    pub(super) fn take(places: &Arc<Self>) -> Option<Place> {
        let mut taken = places.taken();
        if taken.places.len() >= CONNECTIONS && !taken.make_room() {
            return None;
        }
        let (number, wanted) = (taken.next_turn(), Arc::new(Notify::new()));
        taken.places.insert(number, State { waits_since: Some(number), wanted: Arc::clone(&wanted) });
        Some(Place { number, wanted, places: Arc::clone(places) })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    wanted: Arc<Notify>,
    places: Arc<Places>,
}

impl Place {
    /// Waits until it is somebody else's.
    pub(super) async fn is_wanted(&self) {
        self.wanted.notified().await;
    }

    /// Nobody else gets it until what this returns is dropped.
    pub(super) fn answering(&self) -> Answering<'_> {
        if let Some(state) = self.places.taken().places.get_mut(&self.number) {
            state.waits_since = None;
        }
        Answering(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().places.remove(&self.number);
    }
}

/// A request that is being answered.
pub(super) struct Answering<'a>(&'a Place);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        let mut taken = self.0.places.taken();
        let turn = taken.next_turn();
        if let Some(state) = taken.places.get_mut(&self.0.number) {
            state.waits_since = Some(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_one_that_has_waited_longest_makes_room_and_none_that_is_answered() {
        let places = Arc::new(Places::default());
        let mut all: Vec<_> = (0..CONNECTIONS).map(|_| Places::take(&places).unwrap()).collect();
        let answered = all.remove(0);
        let answering = answered.answering();
        drop(all[0].answering());
        let _newcomer = Places::take(&places).unwrap();
        let wanted: Vec<_> = (0..all.len()).filter(|at| all[*at].is_wanted().now_or_never().is_some()).collect();
        assert_eq!(wanted, [1], "the first is answered, and the second has asked lately");
        assert!(answered.is_wanted().now_or_never().is_none());
        drop(answering);
        drop((all, answered));
        assert_eq!(places.taken().places.len(), 1);
    }

    #[test]
    fn where_all_are_answered_nobody_makes_room() {
        let places = Arc::new(Places::default());
        let all: Vec<_> = (0..CONNECTIONS).map(|_| Places::take(&places).unwrap()).collect();
        let answering: Vec<_> = all.iter().map(Place::answering).collect();
        assert!(Places::take(&places).is_none());
        drop(answering);
        assert!(Places::take(&places).is_some());
    }
}
