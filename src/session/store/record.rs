//! One record: the state of one refresh token.

use std::time::{Duration, Instant};

use super::{Access, Need, RecordKey, Tokens};
use crate::clock::{Now, Timestamp};
use crate::oauth::RefreshToken;
use crate::session::{SessionId, TokenHash};

/// However short its access token lives, an outcome answers for so long. Those who waited for it would otherwise find it
/// expired, and each renew anew.
const ANSWERS_AT_LEAST: Duration = Duration::from_secs(2);
/// The first rest after trouble; it doubles with each further trouble, up to [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// An issuer may ask for a longer rest with `Retry-After`, but not keep a user out for a day by a slip of its own.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// A stretch of monotonic time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) since: Instant,
    pub(super) length: Duration,
}

impl Term {
    /// What is left of it; `None` when it is over.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.length.saturating_sub(now.saturating_duration_since(self.since));
        (!left.is_zero()).then_some(left)
    }
}

/// What is known of one refresh token.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) session: SessionId,
    pub(super) state: State,
    /// What came with this token when it is unspent or in flight.
    pub(super) tokens: Option<Fresh>,
    /// The access tokens that came with it and may not have expired, for the day that the session is ended.
    pub(super) access_tokens: Vec<(TokenHash, Timestamp)>,
    /// The token that this one came out of.
    pub(super) predecessor: Option<RecordKey>,
    /// When it was last presented, or changed.
    pub(super) seen: Instant,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Good. After trouble, it rests first.
    Unspent(Troubles),
    /// Being spent by the ticket of that number, as long as the lease lasts.
    InFlight { number: u64, lease: Term, troubles: Troubles },
    /// Spent. `confirmed_at`: when a successor was first presented, which says that the outcome arrived.
    Renewed { successor: RecordKey, confirmed_at: Option<Instant> },
    /// Spent, and nobody fetched the outcome for the idle time-out.
    Lapsed,
    /// Refused by the issuer.
    Rejected,
}

/// What went wrong with spending a token, without saying anything about the token.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Troubles {
    pub(super) in_a_row: u32,
    pub(super) answer_lost: bool,
    /// The last answer had tokens, but none that says who somebody is.
    pub(super) nameless: bool,
    pub(super) rest: Option<Term>,
}

impl Troubles {
    pub(super) fn and_another(self, retry_after: Option<Duration>, answer_lost: bool, now: Instant) -> Self {
        let doubled = FIRST_REST.saturating_mul(1 << self.in_a_row.min(5)).min(LONGEST_REST);
        let length = retry_after.map_or(doubled, |asked| asked.clamp(FIRST_REST, LONGEST_RETRY_AFTER));
        Self {
            in_a_row: self.in_a_row.saturating_add(1),
            answer_lost: self.answer_lost || answer_lost,
            nameless: false,
            rest: Some(Term { since: now, length }),
        }
    }

    pub(super) fn resting(self, length: Duration, now: Instant) -> Self {
        Self { rest: Some(Term { since: now, length }), ..self }
    }
}

/// Tokens as they were recorded.
#[derive(Clone, Debug)]
pub(super) struct Fresh {
    pub(super) tokens: Tokens,
    pub(super) recorded_at: Instant,
}

impl Fresh {
    /// Whether the tokens help somebody with this need. `own`: the presenter has this refresh token, and so probably the
    /// access token that came with it.
    pub(super) fn answers(&self, need: Need, own: bool, now: Now) -> bool {
        let just_recorded = Term { since: self.recorded_at, length: ANSWERS_AT_LEAST }.left(now.instant).is_some();
        self.tokens.access.as_ref().is_some_and(|Access { expires_at, due_at, .. }| {
            let until = if own && need == Need::FresherToken { due_at } else { expires_at };
            just_recorded || now.wall < *until
        })
    }
}

impl Record {
    pub(super) const fn new(session: SessionId, state: State, now: Instant) -> Self {
        Self { session, state, tokens: None, access_tokens: Vec::new(), predecessor: None, seen: now }
    }

    /// Spent, with an outcome that nobody has shown to have.
    pub(super) const fn is_unconfirmed(&self) -> bool {
        matches!(self.state, State::Renewed { confirmed_at: None, .. })
    }

    pub(super) const fn is_rejected(&self) -> bool {
        matches!(self.state, State::Rejected)
    }

    pub(super) fn is_in_flight(&self, now: Instant) -> bool {
        matches!(self.state, State::InFlight { lease, .. } if lease.left(now).is_some())
    }

    /// The token itself, where it came out of a renewal and is not spent.
    pub(super) fn refresh_token(&self) -> Option<RefreshToken> {
        self.tokens.as_ref().map(|fresh| fresh.tokens.refresh_token.clone())
    }

    /// Whether the time has come to forget the outcome, or the token.
    pub(super) fn is_idle(&self, idle: Duration, now: Instant) -> bool {
        (self.is_unconfirmed() || matches!(self.state, State::Unspent(_)))
            && Term { since: self.seen, length: idle }.left(now).is_none()
    }

    /// Keeps tokens that came with this one.
    pub(super) fn keep(&mut self, tokens: Tokens, now: Now) {
        if let Some(access) = &tokens.access {
            self.access_tokens.retain(|(_, expires_at)| *expires_at > now.wall);
            self.access_tokens.push((TokenHash::of(access.token.expose()), access.expires_at));
        }
        self.tokens = Some(Fresh { tokens, recorded_at: now.instant });
    }

    /// Bytes of the tokens in it.
    pub(super) fn bytes(&self) -> usize {
        self.tokens.as_ref().map_or(0, |Fresh { tokens, .. }| {
            let access = tokens.access.as_ref().map_or(0, |access| access.token.expose().len());
            access + tokens.refresh_token.expose().len()
        })
    }
}
