//! What a store is asked about a presented refresh token, and how that token stands.

use std::time::Duration;

use super::records::Decision;
use super::{EndCause, Pending, RecordKey, Tokens};
use crate::clock::Timestamp;
use crate::oauth::RefreshToken;
use crate::session::{SessionId, TokenHash};

/// A presented refresh token, as the store is asked about it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The record of the token.
    pub key: RecordKey,
    /// The token.
    pub token: RefreshToken,
    /// The session, where the cookies name one; else it is the chain that the token belongs to.
    pub session: Option<SessionId>,
    /// The access token that was presented beside it, while it is accepted.
    pub beside: Option<(TokenHash, Timestamp)>,
    /// Who presents it.
    pub by: Presenter,
    /// What the presenter needs.
    pub need: Need,
}

/// Who presents a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presenter {
    /// Somebody from outside: where the token is spent and its successor in use, it was copied (R16).
    Browser,
    /// The store that keeps the session, and lets no token out. An old one proves nothing but that a write was lost.
    Keeper,
}

/// What the presenter of a refresh token needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// An access token, having none that is good: any good one will do.
    Token,
    /// A fresher one than it has, which will expire soon: one that is due itself is no help.
    FresherToken,
}

/// How a presented refresh token stands.
#[derive(Debug)]
pub enum Standing {
    /// There is an outcome that answers, the newest of the chain.
    Recorded(Tokens),
    /// Somebody is spending a token of the chain. Look again when the pending is done.
    InFlight(Pending),
    /// The token at the end of the chain is unspent and may be claimed.
    Vacant,
    /// The issuer had trouble; the token is good, but not to be sent again for so long.
    Resting(Duration),
    /// The last renewal brought nothing that says who somebody is. After a rest, it may be tried again.
    Nameless,
    /// The issuer refused the token at the end of the chain.
    Rejected,
    /// Spent, and its successor has been in use for longer than the grace: evidence of a stolen cookie.
    Reused,
    /// The session has ended.
    Ended(EndCause),
    /// Spent, and what came of it is no longer known: nobody fetched it for the idle time-out, or memory ran out.
    Forgotten,
    /// The shared store is away, and with it what is known.
    Away,
}

impl Standing {
    /// What was decided about a token. `pending` is for the record of the one that is being spent.
    pub(super) fn of(decision: Decision, pending: impl FnOnce(RecordKey) -> Pending) -> Self {
        match decision {
            Decision::Recorded(tokens) => Self::Recorded(tokens),
            Decision::InFlight(key) => Self::InFlight(pending(key)),
            Decision::Vacant(_) => Self::Vacant,
            Decision::Resting(rest) => Self::Resting(rest),
            Decision::Nameless => Self::Nameless,
            Decision::Rejected => Self::Rejected,
            Decision::Reused => Self::Reused,
            Decision::Ended(cause) => Self::Ended(cause),
            Decision::Forgotten => Self::Forgotten,
        }
    }
}

/// What an answer that took long is to bring the browser.
#[derive(Debug)]
pub enum Newest {
    /// These tokens are at the end of the chain, however old the access token among them is.
    Tokens(Tokens),
    /// The session is over.
    Ended,
    /// Nothing is known of the chain.
    Unknown,
}
