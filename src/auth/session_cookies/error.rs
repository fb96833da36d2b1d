//! Why cookies lead to no session, and why new tokens are not kept.

use crate::auth::cookies::Unstorable;
use crate::session::shared::Away;
use crate::session::stored::NotKept;
use crate::session::{SealError, SessionId};

/// The cookies are no session: of another key, cut, doubled, forged, or a pair that was put together by somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session cookies cannot be read")]
pub struct Unreadable;

/// Why the cookies of a request lead to no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// They are none that Usher has made.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The store has no session of this name: it has ended, or never was.
    #[error("the store does not know the session")]
    Unknown(SessionId),
    /// Nobody can say.
    #[error(transparent)]
    Away(#[from] Away),
}

/// Why new tokens are not kept.
#[derive(Debug, thiserror::Error)]
pub enum Unkept {
    /// No browser would keep them. The issuer's fault.
    #[error(transparent)]
    Unstorable(#[from] Unstorable),
    /// They cannot be sealed. Our host's fault.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store is away.
    #[error(transparent)]
    Away(#[from] Away),
}

impl From<NotKept> for Unkept {
    fn from(error: NotKept) -> Self {
        match error {
            NotKept::Away(away) => away.into(),
            NotKept::Seal(error) => error.into(),
        }
    }
}
