//! From a spent token to what came of it, and back: each outcome names its successor, each successor where it came from.

use std::time::Instant;

use super::super::RecordKey;
use super::super::record::{Record, State};
use super::Records;
use crate::clock::{Now, Timestamp};
use crate::session::TokenHash;

/// Longer chains than this do not come about: following one shortens it.
const LONGEST_CHAIN: usize = 100_000;

impl Records {
    /// The end of the chain that a token belongs to.
    pub(in crate::session::store) fn tip(&self, key: &RecordKey) -> Option<(RecordKey, &Record)> {
        let mut key = *key;
        for _ in 0..LONGEST_CHAIN {
            let record = self.shelf.get(&key)?;
            let State::Renewed { successor, .. } = record.state else { return Some((key, record)) };
            key = successor;
        }
        None
    }

    /// All outcomes from this one back have arrived.
    pub(super) fn confirm(&mut self, mut outcome: Option<RecordKey>, now: Instant) {
        while let Some(before) = outcome {
            let unconfirmed = self.shelf.get(&before).filter(|record| record.is_unconfirmed());
            outcome = unconfirmed.and_then(|record| record.predecessor);
            self.shelf.change(&before, |record| {
                if let State::Renewed { confirmed_at, .. } = &mut record.state {
                    confirmed_at.get_or_insert(now);
                }
            });
        }
    }

    /// Points a spent token straight at the end of its chain, so that a client that never keeps its new cookies does not
    /// make every look longer than the one before.
    pub(super) fn shorten_chain(&mut self, key: &RecordKey) {
        let Some((end, _)) = self.tip(key) else { return };
        let Some(Record { state: State::Renewed { successor, confirmed_at }, .. }) = self.shelf.get(key) else {
            return;
        };
        if *successor != end {
            let state = State::Renewed { successor: end, confirmed_at: *confirmed_at };
            self.shelf.change(key, |record| record.state = state);
        }
    }

    /// What came of a chain and has not expired, from its end back.
    pub(super) fn access_tokens(&self, key: &RecordKey, now: Now) -> Vec<(TokenHash, Timestamp)> {
        let mut found = Vec::new();
        let mut next = self.tip(key).map(|(end, _)| end);
        for _ in 0..LONGEST_CHAIN {
            let Some(record) = next.and_then(|key| self.shelf.get(&key)) else { break };
            let good = record.access_tokens.iter().filter(|(_, expires_at)| *expires_at > now.wall);
            let before = found.len();
            found.extend(good);
            if found.len() == before && !record.access_tokens.is_empty() {
                break;
            }
            next = record.predecessor;
        }
        found
    }
}
