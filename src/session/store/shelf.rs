//! The records on a bounded shelf, in the order in which they go.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::RecordKey;
use super::record::{Record, State, Term};

/// Records by key. Who changes one takes it down and puts it back, which keeps order and bytes right.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    records: HashMap<RecordKey, Record>,
    /// Rejected, lapsed, or spent with an outcome that arrived: what is left is to recognise the token.
    settled: BTreeSet<(Instant, RecordKey)>,
    /// Unspent, or spent with an outcome that somebody may still come for. What is in flight stands in neither.
    live: BTreeSet<(Instant, RecordKey)>,
    bytes: usize,
}

enum Place {
    Settled(Instant),
    Live(Instant),
    InFlight,
}

const fn place(record: &Record) -> Place {
    match record.state {
        State::InFlight { .. } => Place::InFlight,
        State::Renewed { confirmed_at: Some(at), .. } => Place::Settled(at),
        State::Lapsed | State::Rejected => Place::Settled(record.seen),
        State::Unspent(_) | State::Renewed { confirmed_at: None, .. } => Place::Live(record.seen),
    }
}

impl Shelf {
    pub(super) fn get(&self, key: &RecordKey) -> Option<&Record> {
        self.records.get(key)
    }

    pub(super) fn take(&mut self, key: &RecordKey) -> Option<Record> {
        let record = self.records.remove(key)?;
        self.bytes = self.bytes.saturating_sub(record.bytes());
        match place(&record) {
            Place::Settled(at) => self.settled.remove(&(at, *key)),
            Place::Live(at) => self.live.remove(&(at, *key)),
            Place::InFlight => true,
        };
        Some(record)
    }

    pub(super) fn put(&mut self, key: RecordKey, record: Record) {
        drop(self.take(&key));
        self.bytes = self.bytes.saturating_add(record.bytes());
        match place(&record) {
            Place::Settled(at) => self.settled.insert((at, key)),
            Place::Live(at) => self.live.insert((at, key)),
            Place::InFlight => true,
        };
        self.records.insert(key, record);
    }

    pub(super) fn change(&mut self, key: &RecordKey, change: impl FnOnce(&mut Record)) {
        if let Some(mut record) = self.take(key) {
            change(&mut record);
            self.put(*key, record);
        }
    }

    pub(super) fn into_records(self) -> Vec<(RecordKey, Record)> {
        self.records.into_iter().collect()
    }

    /// The record that has been settled longest, if that is longer than `keep`.
    pub(super) fn settled_for(&self, keep: Duration, now: Instant) -> Option<RecordKey> {
        let (since, key) = self.settled.first()?;
        Term { since: *since, length: keep }.left(now).is_none().then_some(*key)
    }

    /// The live record that was not seen for longest, if that is longer than `idle`.
    pub(super) fn unseen_for(&self, idle: Duration, now: Instant) -> Option<RecordKey> {
        let (since, key) = self.live.first()?;
        Term { since: *since, length: idle }.left(now).is_none().then_some(*key)
    }

    /// Drops records until the bounds hold: the oldest settled ones first, then those not seen for longest (R17). What is
    /// in flight stays, and so does `newest`, which those who wait are about to look for.
    pub(super) fn shrink(&mut self, max_records: usize, max_bytes: usize, newest: &[RecordKey]) {
        while self.records.len() > max_records || self.bytes > max_bytes {
            let mut in_order = self.settled.iter().chain(&self.live).map(|(_, key)| *key);
            let Some(oldest) = in_order.find(|key| !newest.contains(key)) else { return };
            self.take(&oldest);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
