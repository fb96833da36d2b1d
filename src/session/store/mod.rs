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
mod outcome;
mod policy;
mod record;
mod records;
mod shared;
mod sheet;
mod shelf;
mod standing;
mod waiting;

use std::time::Duration;

use super::Sealer;
use super::shared::Away;
use crate::oauth::AccessToken;

pub use key::RecordKey;
pub use memory::{MemoryStore, Pending};
pub use outcome::{Access, EndCause, Ending, Lead, Outcome, Recording, Ticket, Tokens};
pub use policy::Policy;
pub use shared::SharedStore;
pub use standing::{Ask, Need, Newest, Presenter, Standing};

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
