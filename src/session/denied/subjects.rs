//! Subjects of which everything was denied that they had been given until then.

use std::collections::HashMap;

use super::denial::{Denial, What};
use super::entries::Entries;
use super::names::SubjectHash;
use crate::clock::Timestamp;
use crate::session::SessionId;
use crate::session::store::Now;

/// The subjects. What was issued up to the second of the denial is denied with it, for nobody knows what came first within a
/// second. Only of a session that has begun here that is known, whatever the clock says: it is named when it begins.
pub(super) struct Subjects {
    ends: Entries<SubjectHash>,
    /// Has what `ends` has, and some that have ended.
    denials: HashMap<SubjectHash, Denied>,
    /// The sessions of these subjects that have begun since.
    begun: Entries<SessionId>,
    /// After how many denials. Has what `begun` has, and some that have ended.
    begun_after: HashMap<SessionId, u64>,
    /// How many denials there were.
    count: u64,
}

struct Denied {
    issued_until: Timestamp,
    number: u64,
}

impl Subjects {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            ends: Entries::new(capacity),
            denials: HashMap::new(),
            begun: Entries::new(capacity),
            begun_after: HashMap::new(),
            count: 0,
        }
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
    }

    pub(super) fn deny(&mut self, subject: SubjectHash, issued_until: Timestamp, until: Timestamp, now: Now) {
        self.count += 1;
        self.ends.insert(subject, until, now);
        let denial = self.denials.entry(subject).or_insert(Denied { issued_until, number: 0 });
        *denial = Denied { issued_until: issued_until.max(denial.issued_until), number: self.count };
        let Self { ends, denials, .. } = self;
        if needs_sweep(denials.len(), ends.len()) {
            denials.retain(|subject, _| ends.contains(subject));
        }
    }

    pub(super) fn begin(&mut self, session: SessionId, until: Timestamp, now: Now) {
        self.begun.insert(session, until, now);
        self.begun_after.insert(session, self.count);
        let Self { begun, begun_after, .. } = self;
        if needs_sweep(begun_after.len(), begun.len()) {
            begun_after.retain(|session, _| begun.contains(session));
        }
    }

    /// The subjects and the sessions that have begun since, in an order that makes the same of them again.
    pub(super) fn all(&self) -> Vec<Denial> {
        let subjects = self.denials.iter().filter_map(|(name, denial)| {
            let what = What::Subject { name: *name, issued_until: denial.issued_until };
            Some(((denial.number, false), Denial { what, until: self.ends.end_of(name)? }))
        });
        let begun = self.begun_after.iter().filter_map(|(session, count)| {
            Some(((*count, true), Denial { what: What::Begun(*session), until: self.begun.end_of(session)? }))
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
        let begun_after = begun.and_then(|session| self.begun_after.get(&session));
        let is_later = begun_after.is_some_and(|count| *count >= denial.number);
        !is_later && issued_at.is_none_or(|issued| issued <= denial.issued_until)
    }
}

/// Whether half of them have ended. Looking for those costs as much as there are, which must not be paid for each.
const fn needs_sweep(all: usize, alive: usize) -> bool {
    all > alive.saturating_mul(2)
}
