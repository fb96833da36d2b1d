//! Subjects of which everything was denied that they had been given until then.
//!
//! What came first is known by the order of the list that instances share: each applies what the others say in that order. Its
//! own denials count at once, and get their place in that order when they come back from the list.

use std::collections::{HashMap, VecDeque};

use super::denial::{Denial, What};
use super::entries::Entries;
use super::names::SubjectHash;
use crate::clock::{Now, Timestamp};
use crate::session::SessionId;

/// The subjects. What was issued up to the second of the denial is denied with it, for nobody knows what came first within a
/// second. Only of a session that has begun here that is known, whatever the clock says: it is named when it begins.
pub(super) struct Subjects {
    ends: Entries<SubjectHash>,
    /// Has what `ends` has, and some that have ended.
    denials: HashMap<SubjectHash, Denied>,
    /// The sessions of these subjects that have begun since.
    begun: Entries<SessionId>,
    /// When they have. Has what `begun` has, and some that have ended.
    beginnings: HashMap<SessionId, Beginning>,
    /// How many denials there were.
    count: u64,
    /// Whether denials that are made here come back from where those of all instances stand.
    is_shared: bool,
    /// Those that have not come back yet, the oldest first.
    unplaced: VecDeque<Unplaced>,
}

/// Whose a denial or a beginning is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Here,
    Elsewhere,
}

struct Denied {
    issued_until: Timestamp,
    /// Of the last one.
    number: u64,
    /// Of the last one that was made here.
    own: Option<u64>,
}

/// When a session began: after the first so many denials, but before those of them that were made here from this number on.
struct Beginning {
    after: u64,
    before: u64,
}

struct Unplaced {
    number: u64,
    subject: SubjectHash,
    issued_until: Timestamp,
    until: Timestamp,
}

impl Subjects {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            ends: Entries::new(capacity),
            denials: HashMap::new(),
            begun: Entries::new(capacity),
            beginnings: HashMap::new(),
            count: 0,
            is_shared: false,
            unplaced: VecDeque::new(),
        }
    }

    /// From now on each denial that is made here comes back once it has its [place](Self::place).
    pub(super) const fn share(&mut self) {
        self.is_shared = true;
    }

    pub(super) const fn set_capacity(&mut self, capacity: usize) {
        (self.ends.capacity, self.begun.capacity) = (capacity, capacity);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn contains(&self, subject: &SubjectHash) -> bool {
        self.ends.contains(subject)
    }

    pub(super) fn drop_ended(&mut self, now: Now) {
        self.ends.drop_ended(now);
        self.begun.drop_ended(now);
        while self.unplaced.front().is_some_and(|unplaced| unplaced.until < now.wall) {
            self.unplaced.pop_front();
        }
    }

    pub(super) fn deny(
        &mut self,
        subject: SubjectHash,
        (issued_until, until): (Timestamp, Timestamp),
        made: Made,
        now: Now,
    ) {
        self.count += 1;
        self.ends.insert(subject, until, now);
        let denial = self.denials.entry(subject).or_insert(Denied { issued_until, number: 0, own: None });
        denial.issued_until = denial.issued_until.max(issued_until);
        denial.number = self.count;
        if made == Made::Here {
            denial.own = Some(self.count);
            if self.is_shared {
                self.unplaced.push_back(Unplaced { number: self.count, subject, issued_until, until });
                let surplus = self.unplaced.len().saturating_sub(self.ends.capacity);
                self.unplaced.drain(..surplus);
            }
        }
        let Self { ends, denials, .. } = self;
        if needs_sweep(denials.len(), ends.len()) {
            denials.retain(|subject, _| ends.contains(subject));
        }
    }

    /// A denial that was made here has come back: what others say from now on, they say after it.
    pub(super) fn place(&mut self, subject: &SubjectHash, issued_until: Timestamp) {
        let is_it = |unplaced: &Unplaced| unplaced.subject == *subject && unplaced.issued_until <= issued_until;
        if let Some(index) = self.unplaced.iter().position(is_it) {
            self.unplaced.remove(index);
        }
    }

    pub(super) fn begin(&mut self, session: SessionId, until: Timestamp, made: Made, now: Now) {
        // Whoever began it elsewhere had not heard of what has no place yet.
        let unheard = self.unplaced.front().filter(|_| made == Made::Elsewhere);
        let before = unheard.map_or(u64::MAX, |unplaced| unplaced.number);
        self.begun.insert(session, until, now);
        self.beginnings.insert(session, Beginning { after: self.count, before });
        let Self { begun, beginnings, .. } = self;
        if needs_sweep(beginnings.len(), begun.len()) {
            beginnings.retain(|session, _| begun.contains(session));
        }
    }

    /// The subjects and the sessions that have begun since, in an order that makes the same of them again.
    pub(super) fn all(&self) -> Vec<Denial> {
        let subjects = self.denials.iter().filter_map(|(name, denial)| {
            let what = What::Subject { name: *name, issued_until: denial.issued_until };
            Some(((denial.number, false), Denial { what, until: self.ends.end_of(name)? }))
        });
        let begun = self.beginnings.iter().filter_map(|(session, beginning)| {
            // One order for both. Where there is none, a session is rather denied by what it began after.
            let count = beginning.after.min(beginning.before.saturating_sub(1));
            Some(((count, true), Denial { what: What::Begun(*session), until: self.begun.end_of(session)? }))
        });
        let mut all: Vec<_> = subjects.chain(begun).collect();
        all.sort_unstable_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, denial)| denial).collect()
    }

    /// Whether what this subject was given at that time, or this session of it, is denied.
    pub(super) fn cover(
        &self,
        subject: &SubjectHash,
        issued_at: Option<Timestamp>,
        session: Option<SessionId>,
    ) -> bool {
        let Some(denial) = self.denials.get(subject).filter(|_| self.ends.contains(subject)) else { return false };
        let begun = session.filter(|session| self.begun.contains(session));
        let is_later = begun.and_then(|session| self.beginnings.get(&session)).is_some_and(|beginning| {
            beginning.after >= denial.number && denial.own.is_none_or(|own| own < beginning.before)
        });
        !is_later && issued_at.is_none_or(|issued| issued <= denial.issued_until)
    }
}

/// Whether half of them have ended. Looking for those costs as much as there are, which must not be paid for each.
const fn needs_sweep(all: usize, alive: usize) -> bool {
    all > alive.saturating_mul(2)
}
