//! One chain of refresh tokens as a shared store keeps it: everything that the state machine knows of it, as bytes.
//!
//! Tokens that came out of each other stand on one sheet, and with them the ends of the sessions that presented them: one
//! value, which changes as a whole or not at all. Times are milliseconds since 1970 by the clock of the store, so that a
//! lease or a grace means the same to every instance. This module does *not* seal.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::record::{Fresh, Record, State, Term, Troubles};
use super::{Access, EndCause, RecordKey, Tokens};
use crate::clock::Timestamp;
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::{SessionId, TokenHash};

/// The first byte. A version that writes another layout must still read this one, and be read by the version before it,
/// or a rolling restart would lose what the other half of the fleet has recorded.
const LAYOUT: u8 = 1;

/// A chain of refresh tokens, named after the token that it began with. Of no use to who reads it: it is a hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ChainId([u8; 16]);

impl ChainId {
    /// The chain that begins with this token, unless the token came out of another.
    pub(super) fn beginning_with(key: &RecordKey) -> Self {
        Self(SessionId::beginning_with(key).0)
    }

    /// As it is written in the store.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_written = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_written)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ChainId(…)")
    }
}

/// What is known of a chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheet {
    pub(super) records: Vec<(RecordKey, Record)>,
    pub(super) ended: Vec<(Instant, SessionId, EndCause)>,
    pub(super) last_ticket: u64,
}

/// The instants by which the store's clock is told here: so many milliseconds after the one that stands for 1970. It lies in
/// the future of this process, so that no time is too early to be one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    pub(super) epoch: Instant,
}

impl Calendar {
    pub(super) fn instant(self, millis: u64) -> Instant {
        // Eternity is far enough off; what lies beyond it can only be garbage.
        self.epoch.checked_add(Duration::from_millis(millis)).unwrap_or(self.epoch)
    }

    pub(super) fn millis(self, instant: Instant) -> u64 {
        whole_millis(instant.saturating_duration_since(self.epoch))
    }
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A sheet was written by a version that this one does not understand, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

impl Sheet {
    /// The sheet as bytes; the same for the same sheet.
    pub(super) fn to_bytes(&self, calendar: Calendar) -> Zeroizing<Vec<u8>> {
        let mut records: Vec<_> = self.records.iter().map(|(key, record)| Written::of(key, record, calendar)).collect();
        records.sort_unstable_by_key(|record| record.key);
        let ended = self.ended.iter().map(|(at, session, cause)| (calendar.millis(*at), *session, *cause)).collect();
        let written = WrittenSheet { records, ended, last_ticket: self.last_ticket };
        // Writing to memory fails for types that have no length, and none of these is such.
        Zeroizing::new(postcard::to_extend(&written, vec![LAYOUT]).unwrap_or_default())
    }

    /// Reads what [`Sheet::to_bytes`] has written.
    pub(super) fn from_bytes(bytes: &[u8], calendar: Calendar) -> Result<Self, Unreadable> {
        let (&layout, rest) = bytes.split_first().ok_or(Unreadable)?;
        if layout != LAYOUT {
            return Err(Unreadable);
        }
        let (written, more): (WrittenSheet, _) = postcard::take_from_bytes(rest).map_err(|_| Unreadable)?;
        // Whatever follows, the version that wrote it counts on it, and it would be lost with the next step.
        if !more.is_empty() {
            return Err(Unreadable);
        }
        Ok(Self {
            records: written.records.into_iter().map(|record| record.read(calendar)).collect(),
            ended: written
                .ended
                .into_iter()
                .map(|(at, session, cause)| (calendar.instant(at), session, cause))
                .collect(),
            last_ticket: written.last_ticket,
        })
    }

    /// Until when the newest access token is accepted, if there is one.
    pub(super) fn accepted_until(&self) -> Option<Timestamp> {
        let tokens = self.records.iter().filter_map(|(_, record)| record.tokens.as_ref());
        tokens.filter_map(|fresh| fresh.tokens.access.as_ref()).map(|access| access.expires_at).max()
    }

    /// Nobody is taken for dead before `until`: those who are not could not say so.
    pub(super) fn spare_leaders(&mut self, until: Instant) {
        for (_, record) in &mut self.records {
            if let State::InFlight { lease, .. } = &mut record.state {
                lease.length = lease.length.max(until.saturating_duration_since(lease.since));
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct WrittenSheet {
    records: Vec<Written>,
    ended: Vec<(u64, SessionId, EndCause)>,
    last_ticket: u64,
}

#[derive(Serialize, Deserialize)]
struct Written {
    key: RecordKey,
    session: SessionId,
    state: WrittenState,
    tokens: Option<WrittenTokens>,
    access_tokens: Vec<(TokenHash, Timestamp)>,
    predecessor: Option<RecordKey>,
    seen: u64,
}

#[derive(Serialize, Deserialize)]
enum WrittenState {
    Unspent(WrittenTroubles),
    InFlight { number: u64, since: u64, length: u64, troubles: WrittenTroubles },
    Renewed { successor: RecordKey, confirmed_at: Option<u64> },
    Lapsed,
    Rejected,
}

#[derive(Serialize, Deserialize)]
struct WrittenTroubles {
    in_a_row: u32,
    answer_lost: bool,
    rest: Option<(u64, u64)>,
    nameless: bool,
}

#[derive(Serialize, Deserialize)]
struct WrittenTokens {
    access: Option<(AccessToken, Option<Box<str>>, Timestamp, Timestamp)>,
    refresh_token: RefreshToken,
    recorded_at: u64,
}

impl Written {
    fn of(key: &RecordKey, record: &Record, calendar: Calendar) -> Self {
        let tokens = record.tokens.clone().map(|Fresh { tokens: Tokens { access, refresh_token }, recorded_at }| {
            let access =
                access.map(|Access { token, subject, expires_at, due_at }| (token, subject, expires_at, due_at));
            WrittenTokens { access, refresh_token, recorded_at: calendar.millis(recorded_at) }
        });
        Self {
            key: *key,
            session: record.session,
            state: WrittenState::of(record.state, calendar),
            tokens,
            access_tokens: record.access_tokens.clone(),
            predecessor: record.predecessor,
            seen: calendar.millis(record.seen),
        }
    }

    fn read(self, calendar: Calendar) -> (RecordKey, Record) {
        let tokens = self.tokens.map(|WrittenTokens { access, refresh_token, recorded_at }| {
            let access =
                access.map(|(token, subject, expires_at, due_at)| Access { token, subject, expires_at, due_at });
            Fresh { tokens: Tokens { access, refresh_token }, recorded_at: calendar.instant(recorded_at) }
        });
        let record = Record {
            session: self.session,
            state: self.state.read(calendar),
            tokens,
            access_tokens: self.access_tokens,
            predecessor: self.predecessor,
            seen: calendar.instant(self.seen),
        };
        (self.key, record)
    }
}

impl WrittenState {
    fn of(state: State, calendar: Calendar) -> Self {
        match state {
            State::Unspent(troubles) => Self::Unspent(WrittenTroubles::of(troubles, calendar)),
            State::InFlight { number, lease: Term { since, length }, troubles } => Self::InFlight {
                number,
                since: calendar.millis(since),
                length: whole_millis(length),
                troubles: WrittenTroubles::of(troubles, calendar),
            },
            State::Renewed { successor, confirmed_at } => {
                Self::Renewed { successor, confirmed_at: confirmed_at.map(|at| calendar.millis(at)) }
            }
            State::Lapsed => Self::Lapsed,
            State::Rejected => Self::Rejected,
        }
    }

    fn read(self, calendar: Calendar) -> State {
        match self {
            Self::Unspent(troubles) => State::Unspent(troubles.read(calendar)),
            Self::InFlight { number, since, length, troubles } => {
                let lease = Term { since: calendar.instant(since), length: Duration::from_millis(length) };
                State::InFlight { number, lease, troubles: troubles.read(calendar) }
            }
            Self::Renewed { successor, confirmed_at } => {
                State::Renewed { successor, confirmed_at: confirmed_at.map(|at| calendar.instant(at)) }
            }
            Self::Lapsed => State::Lapsed,
            Self::Rejected => State::Rejected,
        }
    }
}

impl WrittenTroubles {
    fn of(Troubles { in_a_row, answer_lost, rest, nameless }: Troubles, calendar: Calendar) -> Self {
        let rest = rest.map(|Term { since, length }| (calendar.millis(since), whole_millis(length)));
        Self { in_a_row, answer_lost, rest, nameless }
    }

    fn read(self, calendar: Calendar) -> Troubles {
        let rest = self
            .rest
            .map(|(since, length)| Term { since: calendar.instant(since), length: Duration::from_millis(length) });
        Troubles { in_a_row: self.in_a_row, answer_lost: self.answer_lost, rest, nameless: self.nameless }
    }
}

#[cfg(test)]
mod tests;
