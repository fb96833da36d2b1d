//! Sessions in memory, bounded in number and bytes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Held;
use crate::clock::Timestamp;
use crate::session::SessionId;

/// The most sessions, and the most bytes of them.
pub(super) type Bounds = (usize, usize);

/// Sessions by name. Those that will end first go first when there are too many (R17).
pub(super) struct Shelf {
    held: HashMap<SessionId, Arc<Held>>,
    by_end: BTreeSet<(Timestamp, SessionId)>,
    bytes: usize,
    bounds: Bounds,
}

impl Shelf {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { held: HashMap::new(), by_end: BTreeSet::new(), bytes: 0, bounds }
    }

    pub(super) fn get(&self, id: &SessionId) -> Option<&Arc<Held>> {
        self.held.get(id)
    }

    /// How many there are whose time is not up at `now`. Goes through them: for whoever asks a few times a minute.
    pub(super) fn living(&self, now: Timestamp) -> usize {
        self.by_end.iter().rev().take_while(|(idle_until, _)| *idle_until > now).count()
    }

    pub(super) fn take(&mut self, id: &SessionId) {
        if let Some(held) = self.held.remove(id) {
            self.by_end.remove(&(held.session.idle_until, *id));
            self.bytes = self.bytes.saturating_sub(held.session.bytes());
        }
    }

    pub(super) fn put(&mut self, id: SessionId, held: Arc<Held>) {
        self.take(&id);
        self.bytes = self.bytes.saturating_add(held.session.bytes());
        self.by_end.insert((held.session.idle_until, id));
        self.held.insert(id, held);
        self.shrink(Some(id));
    }

    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.shrink(None);
    }

    /// Whoever has just come stays, however large.
    fn shrink(&mut self, newest: Option<SessionId>) {
        let (most, most_bytes) = self.bounds;
        while self.held.len() > most || self.bytes > most_bytes {
            let mut in_order = self.by_end.iter().map(|(_, id)| *id);
            let Some(first) = in_order.find(|id| Some(*id) != newest) else { return };
            self.take(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::AccessToken;
    use crate::session::SignInFacts;
    use crate::session::stored::StoredSession;

    fn put(shelf: &mut Shelf, name: u8, idle_until: u64, bytes: usize) {
        let session = StoredSession {
            issuer: "".into(),
            subject: "".into(),
            started_at: Timestamp(0),
            renewed_at: Timestamp(0),
            idle_until: Timestamp(idle_until),
            sid: None,
            facts: SignInFacts::default(),
            access: AccessToken::new(&"x".repeat(bytes)),
            refresh: None,
            moved_from: None,
        };
        shelf.put(SessionId([name; 16]), Arc::new(Held::in_memory(session)));
    }

    fn names(shelf: &Shelf) -> Vec<u8> {
        let mut names: Vec<_> = shelf.held.keys().map(|id| id.0[0]).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn whoever_is_idle_for_longest_goes_first_and_who_has_just_come_stays() {
        let mut shelf = Shelf::new((3, 100));
        for (name, idle_until) in [(1, 30), (2, 10), (3, 20)] {
            put(&mut shelf, name, idle_until, 10);
        }
        put(&mut shelf, 4, 1, 10);
        assert_eq!(names(&shelf), [1, 3, 4]);
        assert_eq!([0, 1, 20, 30].map(|now| shelf.living(Timestamp(now))), [3, 2, 1, 0]);
        // Renewed: the order is another one, and its bytes count once.
        put(&mut shelf, 4, 99, 80);
        assert_eq!((names(&shelf), shelf.bytes), (vec![1, 3, 4], 100));
        put(&mut shelf, 5, 50, 500);
        assert_eq!((names(&shelf), shelf.bytes), (vec![5], 500));
        shelf.set_bounds((3, 400));
        assert_eq!((names(&shelf), shelf.bytes, shelf.by_end.len()), (vec![], 0, 0));
    }
}
