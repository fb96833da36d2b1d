//! Why a request is not authenticated, and whose fault that is.

use std::fmt;
use std::time::Duration;

use super::certificate::UnusableCertificate;
use super::refresh::EndReason;
use super::session_cookies::{Unkept, Unreadable};
use super::verify::VerifyError;
use crate::session::NoRandomness;

/// Why a request is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum Unauthenticated {
    /// Nothing was presented. Nobody's fault.
    #[error("no credentials were presented")]
    NoCredentials,
    /// The token does not count here. The client's fault, or the operator's when no token ever counts.
    #[error("the access token was refused")]
    Token(#[source] VerifyError),
    /// The certificate does not say who it is. The fault of whoever issued it, or the operator's who asks for what it lacks.
    #[error("the client certificate does not say who it is")]
    Certificate(#[from] UnusableCertificate),
    /// The cookies are no session. They are cleared. The client's fault, or the operator's who changed the secret.
    #[error(transparent)]
    UnreadableCookies(#[from] Unreadable),
    /// The session has ended. Its cookies are cleared.
    #[error("the session has ended: {0}")]
    SessionEnded(SessionEnd),
    /// The access token has expired, and this request has no right to a renewal (R13). The session is untouched.
    #[error("the access token has expired, and a request of this kind does not renew it")]
    RenewalNotAllowed,
    /// The issuer cannot be asked. The session is kept (law 7).
    #[error("the issuer cannot be reached at the moment")]
    IssuerUnavailable {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The issuer cannot be asked, and nobody knows whether there is a session: the token came alone.
    #[error("the issuer cannot be reached at the moment")]
    Unverified {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The store that instances share cannot be asked. The session is kept. The fault of the store's operator, or of the
    /// network.
    #[error("the shared store cannot be reached at the moment")]
    StoreAway {
        /// When to ask again.
        retry_after: Duration,
    },
    /// There can be no new session: the browser would not have it. The issuer's fault, mostly.
    #[error("the new session cannot be kept")]
    Unkept(#[from] Unkept),
    /// There can be no new session: better none than a guessable one. Our host's fault.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Unauthenticated {
    /// Whether it says nothing against anybody: nobody has signed in yet, or the time of that is over.
    #[must_use]
    pub const fn is_everyday(&self) -> bool {
        match self {
            // One that is not valid yet speaks for a clock that is wrong, and leads into a circle.
            Self::Token(error) => !error.is_suspect() && !matches!(error, VerifyError::NotYetValid { .. }),
            Self::SessionEnded(SessionEnd::Renewal(end)) => {
                !matches!(end, EndReason::Reused | EndReason::IdentityChanged | EndReason::Nameless)
            }
            Self::NoCredentials | Self::SessionEnded(_) => true,
            Self::UnreadableCookies(_)
            | Self::Certificate(_)
            | Self::RenewalNotAllowed
            | Self::IssuerUnavailable { .. }
            | Self::Unverified { .. }
            | Self::StoreAway { .. }
            | Self::Unkept(_)
            | Self::NoRandomness(_) => false,
        }
    }

    /// The same of a token that came without a session.
    #[must_use]
    pub(super) fn of_token_alone(self) -> Self {
        match self {
            Self::IssuerUnavailable { retry_after } => Self::Unverified { retry_after },
            other => other,
        }
    }
}

impl From<VerifyError> for Unauthenticated {
    fn from(error: VerifyError) -> Self {
        match error.retry_after() {
            Some(retry_after) => Self::IssuerUnavailable { retry_after },
            None => Self::Token(error),
        }
    }
}

/// Why a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// No request for longer than the idle time-out.
    Idle,
    /// Older than the absolute time-out.
    Absolute,
    /// Denied before its time: signed out, or revoked for reuse.
    Denied,
    /// The access token has expired and there is no refresh token.
    Expired,
    /// The store does not know it: ended, or forgotten.
    Unknown,
    /// A renewal ended it.
    Renewal(EndReason),
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Idle => "idle for too long",
            Self::Absolute => "the absolute time-out has passed",
            Self::Denied | Self::Renewal(EndReason::SignedOut) => "signed out or revoked",
            Self::Unknown => "the store does not know it, or no longer",
            Self::Expired => "expired, and there is no refresh token",
            Self::Renewal(EndReason::Rejected) => "the issuer refused the refresh token",
            Self::Renewal(EndReason::Reused) => "a spent refresh token was presented again",
            Self::Renewal(EndReason::IdentityChanged) => "the issuer gave tokens of somebody else",
            Self::Renewal(EndReason::Nameless) => {
                "the issuer renews without an ID token, which identity: id_token needs"
            }
            Self::Renewal(EndReason::Forgotten) => "its tokens are spent and forgotten",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_everyday_and_what_is_forged_reused_or_of_another_time_is_not() {
        let ended = |end| Unauthenticated::SessionEnded(SessionEnd::Renewal(end));
        for (why, is_everyday) in [
            (Unauthenticated::NoCredentials, true),
            (Unauthenticated::Token(VerifyError::Inactive), true),
            (Unauthenticated::Token(VerifyError::NotYetValid { seconds: 7 }), false),
            (Unauthenticated::Token(VerifyError::WrongType), false),
            (Unauthenticated::SessionEnded(SessionEnd::Idle), true),
            (ended(EndReason::Rejected), true),
            (ended(EndReason::Reused), false),
            (ended(EndReason::IdentityChanged), false),
            (Unauthenticated::RenewalNotAllowed, false),
        ] {
            assert_eq!(why.is_everyday(), is_everyday, "{why:?}");
        }
    }
}
