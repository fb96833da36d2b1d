//! The records of renewals: who is spending which refresh token, and what came of it.
//!
//! One record per refresh token, named by [`RecordKey`]. A spent token's record points to its successor, and what came
//! with a token (the newest access token) stands in that token's own record; so whoever presents any token of a chain
//! finds the newest outcome at its end, and an issuer that does not rotate is the same case with a chain of one.
//!
//! [`Store`] is the seam where the memory of this process and a server shared by several instances stand side by side.
//! Everything that crosses it is plain data, every operation is one atomic step, and nobody is ever *handed* an outcome:
//! those who wait are told that there is one and look again (R3, R4 of the refresh protocol). This module does *not* spend
//! tokens.

mod kept;
mod key;
mod memory;
mod record;
mod records;
mod shared;
mod sheet;
mod shelf;
mod waiting;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::records::Decision;
use super::shared::Away;
use super::{Sealer, SessionId, TokenHash};
use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::oauth::{AccessToken, RefreshToken};

pub use key::RecordKey;
pub use memory::{MemoryStore, Pending};
pub use shared::SharedStore;

/// How long things are remembered, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// So long after its successor was first presented, a spent token still finds the outcome.
    pub grace: Duration,
    /// So long without being presented, an outcome that nobody fetched is kept.
    pub idle: Duration,
    /// So long a spent token is remembered as spent, and a session as ended: the longest life of a session.
    pub keep: Duration,
    /// Cookies say themselves until when they count: nobody comes with an older one.
    pub dated: bool,
    /// Bound on the number of records, and on that of ended sessions.
    pub max_records: usize,
    /// Bound on the bytes of the tokens in them.
    pub max_bytes: usize,
}

impl Policy {
    /// The policy that the configuration asks for. Tokens may take 2 KiB a record on average: a pair of long ones for
    /// every other record.
    #[must_use]
    pub fn new(session: &config::Session) -> Self {
        Self {
            grace: session.refresh_grace,
            idle: session.idle_timeout,
            keep: session.absolute_timeout,
            dated: !matches!(session.cookies, config::Cookies::Raw { .. }),
            max_records: session.max_records,
            max_bytes: session.max_records.saturating_mul(2048),
        }
    }
}

/// What is known of tokens stays so much longer than they count: clocks differ.
const SPARE: Duration = Duration::from_secs(3600);

impl Policy {
    /// For how long what is known of tokens is of use, when the access token that came last is accepted until then, if that is
    /// known. A cookie that says until when it counts does so for the idle time-out after its access token.
    fn lasts(&self, accepted_until: Option<Timestamp>, now: Timestamp) -> Duration {
        match accepted_until.filter(|_| self.dated) {
            Some(until) => until.since(now).saturating_add(self.idle).saturating_add(SPARE).min(self.keep),
            None => self.keep,
        }
    }
}

/// The two times of one moment: monotonic for what lasts, wall-clock for what a token says about itself.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic.
    pub instant: Instant,
    /// Wall clock.
    pub wall: Timestamp,
}

impl Now {
    /// This moment by `clock`.
    #[must_use]
    pub fn of(clock: &Clock) -> Self {
        Self { instant: clock.instant(), wall: clock.now() }
    }
}

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
    fn of(decision: Decision, pending: impl FnOnce(RecordKey) -> Pending) -> Self {
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
    /// again](Store::end_again) later.
    pub recorded: bool,
}

/// Where the records are.
pub enum Store {
    /// In the memory of this process.
    Memory(MemoryStore),
    /// On a server that several instances share.
    Shared(SharedStore),
    /// The same seen from afar, so that tests meet every interleaving that a shared store would bring about.
    #[cfg(test)]
    Distant(MemoryStore),
    /// On a server that is simulated.
    #[cfg(test)]
    Simulated(SharedStore<super::shared::simulated::Simulated>),
}

// What a shared store does is boxed: whoever has the memory alone does not carry that around.
impl Store {
    /// From now on this policy holds, and these secrets seal: the configuration has changed, the records stay.
    pub fn set_terms(&self, policy: Policy, sealer: Sealer) {
        match self {
            Self::Memory(store) => store.set_policy(policy),
            Self::Shared(store) => store.set_terms(policy, sealer),
            #[cfg(test)]
            Self::Simulated(store) => store.set_terms(policy, sealer),
            #[cfg(test)]
            Self::Distant(store) => store.set_policy(policy),
        }
    }

    /// Whether what is noted here has to travel.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Shared(_) => true,
            #[cfg(test)]
            Self::Simulated(_) => true,
            #[cfg(test)]
            Self::Distant(_) => false,
        }
    }

    /// How many records this process keeps; `None` where they are on a server.
    #[must_use]
    pub fn records(&self) -> Option<usize> {
        match self {
            Self::Memory(store) => Some(store.len()),
            Self::Shared(_) => None,
            #[cfg(test)]
            Self::Simulated(_) => None,
            #[cfg(test)]
            Self::Distant(store) => Some(store.len()),
        }
    }

    /// How the presented token stands. Says also that it was presented, which starts the grace of those before it.
    /// May be abandoned at any point.
    pub async fn look(&self, ask: &Ask) -> Standing {
        match self {
            Self::Memory(store) => store.look(ask),
            Self::Shared(store) => Box::pin(store.look(ask)).await,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.look(ask)).await,
            #[cfg(test)]
            Self::Distant(store) => distant(|| store.look(ask)).await,
        }
    }

    /// Takes the lead in spending the token at the end of the chain, for at most `lease`, or for as long as it is
    /// [held](Self::hold). `None` when there is nothing to lead any more. Must not be abandoned before the outcome was
    /// recorded: call it from a task of its own.
    ///
    /// # Errors
    /// [`Away`]: nobody leads, or nobody knows.
    pub async fn claim(&self, ask: &Ask, lease: Duration) -> Result<Option<Lead>, Away> {
        match self {
            Self::Memory(store) => Ok(store.claim(ask, lease)),
            Self::Shared(store) => Box::pin(store.claim(ask)).await,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.claim(ask)).await,
            #[cfg(test)]
            Self::Distant(store) => Ok(distant(|| store.claim(ask, lease)).await),
        }
    }

    /// How often whoever leads has to [hold](Self::hold) the lead; `None` where the lease is as long as that takes: nobody
    /// dies alone in one process.
    #[must_use]
    pub const fn heartbeat(&self) -> Option<Duration> {
        match self {
            Self::Memory(_) => None,
            Self::Shared(_) => Some(shared::HEARTBEAT),
            #[cfg(test)]
            Self::Simulated(_) => Some(shared::HEARTBEAT),
            #[cfg(test)]
            Self::Distant(_) => None,
        }
    }

    /// Says that whoever leads is alive, so that nobody takes over (R14), unless that was just said. Whether it leads still: when
    /// not, somebody else has taken over, or may have while the store was away or this process was stopped.
    pub async fn hold(&self, ticket: &Ticket) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Shared(store) => Box::pin(store.extend(ticket)).await,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.extend(ticket)).await,
            #[cfg(test)]
            Self::Distant(_) => true,
        }
    }

    /// Records what came of spending a token, then wakes those who wait for it, in that order (R3).
    pub async fn record(&self, ticket: &Ticket, outcome: &Outcome) -> Recording {
        match self {
            Self::Memory(store) => store.record(ticket, outcome),
            Self::Shared(store) => Box::pin(store.record(ticket, outcome)).await,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.record(ticket, outcome)).await,
            #[cfg(test)]
            Self::Distant(store) => distant(|| store.record(ticket, outcome)).await,
        }
    }

    /// Says that this access token, recorded for the chain of a presented token, is not accepted any more: its key was
    /// withdrawn. Whoever looks next finds the refresh token to go on with.
    ///
    /// # Errors
    /// [`Away`]: whoever looks next finds it still.
    pub async fn disown(&self, ask: &Ask, access_token: &AccessToken) -> Result<(), Away> {
        match self {
            Self::Memory(store) => store.disown(ask, access_token),
            Self::Shared(store) => Box::pin(store.disown(ask, access_token)).await?,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.disown(ask, access_token)).await?,
            #[cfg(test)]
            Self::Distant(store) => distant(|| store.disown(ask, access_token)).await,
        }
        Ok(())
    }

    /// Says that the issuer has just given out a token at a sign-in: whatever was known of it, it is good.
    ///
    /// # Errors
    /// [`Away`]: what was known of it counts still.
    pub async fn begin(&self, key: &RecordKey) -> Result<(), Away> {
        match self {
            Self::Memory(store) => store.begin(key),
            Self::Shared(store) => Box::pin(store.begin(key)).await?,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.begin(key)).await?,
            #[cfg(test)]
            Self::Distant(store) => distant(|| store.begin(key)).await,
        }
        Ok(())
    }

    /// Says that a token was presented, which starts the grace of those before it (R3).
    ///
    /// # Errors
    /// [`Away`]: the grace starts when the token is presented again.
    pub async fn note_presented(&self, key: &RecordKey) -> Result<(), Away> {
        match self {
            Self::Memory(store) => store.note_presented(key),
            Self::Shared(store) => Box::pin(store.note_presented(key)).await?,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.note_presented(key)).await?,
            #[cfg(test)]
            Self::Distant(store) => distant(|| store.note_presented(key)).await,
        }
        Ok(())
    }

    /// What is at the end of a presented token's chain now, whether or not it may still be handed out for that token.
    pub async fn newest(&self, ask: &Ask) -> Newest {
        match self {
            Self::Memory(store) => store.newest(ask),
            Self::Shared(store) => Box::pin(store.newest(ask)).await,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.newest(ask)).await,
            #[cfg(test)]
            Self::Distant(store) => distant(|| store.newest(ask)).await,
        }
    }

    /// Ends the session of a presented token. `None` when it has ended before.
    pub async fn end(&self, ask: &Ask, cause: EndCause) -> Option<Ending> {
        match self {
            Self::Memory(store) => store.end(ask, cause),
            Self::Shared(store) => Box::pin(store.end(ask, cause)).await,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.end(ask, cause)).await,
            #[cfg(test)]
            Self::Distant(store) => distant(|| store.end(ask, cause)).await,
        }
    }

    /// The same once more after an end that was not [recorded](Ending::recorded), or of which that is not known: it may be the
    /// answer alone that was lost. So what is left to do is said even when the session has ended before.
    pub async fn end_again(&self, ask: &Ask, cause: EndCause) -> Option<Ending> {
        match self {
            // Its answers are never lost.
            Self::Memory(store) => store.end(ask, cause),
            Self::Shared(store) => Box::pin(store.end_again(ask, cause)).await,
            #[cfg(test)]
            Self::Simulated(store) => Box::pin(store.end_again(ask, cause)).await,
            #[cfg(test)]
            Self::Distant(store) => distant(|| store.end(ask, cause)).await,
        }
    }
}

/// Lets everybody else run before and after an operation, as a round trip would.
#[cfg(test)]
async fn distant<T>(operation: impl FnOnce() -> T) -> T {
    yield_now().await;
    let answer = operation();
    yield_now().await;
    answer
}

/// Lets everybody else run, under whatever executor.
#[cfg(test)]
pub(crate) async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
