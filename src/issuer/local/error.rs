//! Why the local issuer gives out no tokens.

use std::time::Duration;

use super::sign_in::FirstStep;
use super::store::StoreError;

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// There is no such user, or the password is another one, or the user is disabled: which of them is not said. The
    /// client's.
    #[error("the user name or the password is wrong")]
    Wrong,
    /// The password is right, and the user has a second factor. Nobody's fault.
    #[error("a one-time password is needed after the password")]
    CodeNeeded(FirstStep),
    /// The one-time password is another one, or was used before. The client's.
    #[error("the one-time password is wrong, or was used before")]
    WrongCode {
        /// Whose it is not.
        subject: Box<str>,
    },
    /// The password was given too long ago, or the user has changed since. The client's.
    #[error("the password was given too long ago, or the user has changed since")]
    Stale,
    /// The name or the password is longer than any is. The client's.
    #[error("the user name or the password is too long")]
    TooLong,
    /// There were too many attempts. The client's, or those of others at the same account.
    #[error("there were too many attempts to sign in")]
    Throttled {
        /// Whose account it is, where the password was right and the one-time passwords were not.
        subject: Option<Box<str>>,
        /// When the next one may be made.
        retry_after: Duration,
    },
    /// Too many sign in at once. Nobody's fault.
    #[error("too many sign in at once")]
    Busy {
        /// When to come again.
        retry_after: Duration,
    },
    /// The new session cannot be kept. The disk's.
    #[error("the sign-in cannot be recorded")]
    Unavailable {
        /// Why.
        #[source]
        cause: IssueError,
        /// When to come again.
        retry_after: Duration,
    },
}

/// Why no tokens are given out although somebody may have some. Ours, or the disk's.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Signing failed.
    #[error("the access token cannot be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// Why a refresh token is not exchanged.
#[derive(Debug)]
pub(in crate::issuer) enum ExchangeError {
    /// It is not good, or not any more.
    Rejected,
    /// Not now; the session stays.
    Unavailable(IssueError),
}
