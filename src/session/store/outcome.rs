//! The right to spend a refresh token, and what comes of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RecordKey;
use crate::clock::Timestamp;
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::{SessionId, TokenHash};

/// The right to spend one refresh token, alone.
#[derive(Clone, Debug)]
pub struct Lead {
    /// What the outcome is recorded with.
    pub ticket: Ticket,
    /// The token to spend: the presented one, or the successor at the end of its chain.
    pub token: RefreshToken,
    /// An earlier request with this token was lost without an answer, so the one retry of R1 is used up.
    pub answer_lost: bool,
}

/// Who leads. Numbers only grow; a record takes an outcome from the newest ticket alone (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The record of the token being spent.
    pub key: RecordKey,
    /// The fencing number.
    pub number: u64,
    /// The session it is spent for.
    pub session: SessionId,
}

/// Tokens as an issuer gave them, with the access token verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The access token; `None` when the one that came did not verify.
    pub access: Option<Access>,
    /// The refresh token that is good now.
    pub refresh_token: RefreshToken,
}

/// A verified access token as plain data. Who takes it from the store verifies it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The token.
    pub token: AccessToken,
    /// Its subject.
    pub subject: Option<Box<str>>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it is to be renewed ahead of that.
    pub due_at: Timestamp,
}

/// What came of spending a token.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// New tokens. `successor` is the record of the refresh token in them; the spent token's own when it stays good (R8).
    Tokens {
        /// The record of [`Tokens::refresh_token`].
        successor: RecordKey,
        /// The tokens.
        tokens: Tokens,
        /// They do not say who somebody is, and need not (OIDC Core §12.2): there is no ID token where that is what counts.
        nameless: bool,
    },
    /// A parsed `invalid_grant`.
    Rejected,
    /// Anything else. The token is good again after a rest.
    Unavailable {
        /// The rest that the issuer asked for.
        retry_after: Option<Duration>,
        /// Whether the answer may have been lost on its way, and the token be spent after all.
        answer_lost: bool,
    },
    /// The token was not sent, for reasons that are not its own; it may be claimed again after so long.
    NotSent(Duration),
}

/// What became of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// It is recorded, and those who wait were woken.
    Recorded,
    /// The session has ended meanwhile: whatever was produced must be revoked and denied (R10).
    SessionEnded(EndCause),
    /// Another ticket took over; the record is as it was (R9).
    Fenced,
    /// The shared store is away. Until it takes the outcome, it is kept for those who ask here: record it again later.
    Kept,
}

/// Why a session ended before its time. New causes go to the end: a shared store knows them by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// The user signed out.
    SignedOut,
    /// A spent token was presented again.
    Reused,
    /// A renewal gave tokens of somebody else.
    IdentityChanged,
}

/// What is left to do when a session has ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The refresh token that is good at the issuer still. `None` while one is being spent: whoever does revokes it.
    pub refresh_token: Option<RefreshToken>,
    /// The access tokens that renewals produced and that have not expired.
    pub access_tokens: Vec<(TokenHash, Timestamp)>,
    /// Whether all who share the store know of it. If not, it is away, and the session is to be [ended
    /// again](super::Store::end_again) later.
    pub recorded: bool,
}
