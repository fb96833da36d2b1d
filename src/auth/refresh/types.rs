//! What goes into the refresh protocol and what comes out.

use std::sync::Arc;
use std::time::Duration;

use super::RenewalCounts;
use crate::clock::Timestamp;
use crate::config::{self, IssuerId, OnReuse};
use crate::oauth::RefreshToken;
use crate::session::store::{EndCause, Presenter};
use crate::session::{SessionId, TokenHash};

/// A refresh token as a request presented it.
#[derive(Clone, Debug)]
pub struct PresentedRefresh {
    /// Whose token it is.
    pub issuer: IssuerId,
    /// The token.
    pub token: RefreshToken,
    /// The session, for cookies that name one.
    pub session: Option<SessionId>,
    /// What the session was called before it moved into the store, if it did: it ends under both names.
    pub before: Option<SessionId>,
    /// The subject of the access token beside it, or of the session, when one is known; empty when that names nobody.
    pub subject: Option<Box<str>>,
    /// When the session began, if known.
    pub started_at: Option<Timestamp>,
    /// The access token beside it and until when that is accepted, when it still is: a sign-out must end it too, even when
    /// it comes after the renewal.
    pub beside: Option<(TokenHash, Timestamp)>,
    /// Where it comes from: a cookie, or a session in the store.
    pub by: Presenter,
}

impl PresentedRefresh {
    /// Whether tokens of this subject may go to whoever presented this (R7).
    pub(super) fn is_of(&self, subject: Option<&str>) -> bool {
        // No verified token has an empty subject: here, that is one without.
        self.subject.as_deref().is_none_or(|known| known == subject.unwrap_or_default())
    }
}

/// What became of a presented refresh token.
#[derive(Debug)]
pub enum Renewal<T> {
    /// Tokens, whose cookies go out with whatever the answer is (law 6).
    Renewed(Arc<Renewed<T>>),
    /// The session is over; its cookies are cleared.
    Ended(EndReason),
    /// Not now. The session stays (R6).
    Unavailable {
        /// When to come again.
        retry_after: Duration,
    },
    /// Not now either: the shared store is away, and with it what is known. The session stays.
    StoreAway {
        /// When to come again.
        retry_after: Duration,
    },
}

impl<T> Renewal<T> {
    #[cfg(test)]
    pub(super) fn into_renewed(self) -> Option<Arc<Renewed<T>>> {
        match self {
            Self::Renewed(renewed) => Some(renewed),
            Self::Ended(_) | Self::Unavailable { .. } | Self::StoreAway { .. } => None,
        }
    }
}

/// The tokens that a renewal produced.
#[derive(Debug)]
pub struct Renewed<T> {
    /// The access token, verified.
    pub access: Arc<T>,
    /// The refresh token that is good now.
    pub refresh_token: RefreshToken,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The issuer refused the refresh token.
    Rejected,
    /// The user signed out.
    SignedOut,
    /// A spent refresh token was presented after the grace.
    Reused,
    /// A renewal gave tokens of somebody else.
    IdentityChanged,
    /// A renewal brought no ID token, by which the users of this issuer are known.
    Nameless,
    /// The token is spent and its successor no longer known: idle for too long, or memory ran out.
    Forgotten,
}

impl From<EndCause> for EndReason {
    fn from(cause: EndCause) -> Self {
        match cause {
            EndCause::SignedOut => Self::SignedOut,
            EndCause::Reused => Self::Reused,
            EndCause::IdentityChanged => Self::IdentityChanged,
        }
    }
}

/// What the configuration says about renewal.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By [`IssuerId`].
    pub issuers: Vec<IssuerSettings>,
    /// How long a request waits for a renewal, and a renewal for its turn at the issuer.
    pub wait: Duration,
    /// How long before expiry a token is renewed.
    pub ahead: Duration,
    /// What a spent token presented after the grace does.
    pub on_reuse: OnReuse,
    /// The longest life of a session.
    pub absolute_timeout: Duration,
}

/// What the configuration says about renewal at one issuer.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The issuer's short name.
    pub name: Arc<str>,
    /// How long a renewal may take before whoever leads it is taken for dead.
    pub lease: Duration,
    /// What is counted of renewals there.
    pub counts: Arc<RenewalCounts>,
}

impl Settings {
    /// Takes them from the configuration.
    #[must_use]
    pub fn new(issuers: &[config::Issuer], session: &config::Session) -> Self {
        let settings = |issuer: &config::Issuer| IssuerSettings {
            name: Arc::clone(&issuer.name),
            // Its turn, discovery and token request twice each, the keys, and time to spare: a lease that ends before
            // the renewal does would send a spent token again.
            lease: session
                .refresh_wait
                .saturating_add(issuer.transport.timeout.saturating_mul(5))
                .saturating_add(Duration::from_secs(10)),
            counts: Arc::default(),
        };
        Self {
            issuers: issuers.iter().map(settings).collect(),
            wait: session.refresh_wait,
            ahead: session.refresh_ahead,
            on_reuse: session.on_reuse,
            absolute_timeout: session.absolute_timeout,
        }
    }

    /// What is counted at each issuer, by its name.
    #[must_use]
    pub fn counts(&self) -> Vec<(Arc<str>, Arc<RenewalCounts>)> {
        self.issuers.iter().map(|issuer| (Arc::clone(&issuer.name), Arc::clone(&issuer.counts))).collect()
    }

    /// Goes on counting from there, at the issuers that have the same names.
    pub fn count_on_from(&mut self, before: &[(Arc<str>, Arc<RenewalCounts>)]) {
        for issuer in &mut self.issuers {
            if let Some((_, counts)) = before.iter().find(|(name, _)| *name == issuer.name) {
                issuer.counts = Arc::clone(counts);
            }
        }
    }
}

/// When an access token that was received at `received_at` is to be renewed ahead of its expiry: `ahead` before, but not
/// in the first half of its life, or a short-lived token would be renewed with every request (R8).
#[must_use]
pub fn due_at(received_at: Timestamp, expires_at: Timestamp, ahead: Duration) -> Timestamp {
    let half = expires_at.since(received_at).as_secs() / 2;
    Timestamp(expires_at.0.saturating_sub(ahead.as_secs().min(half)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_due_so_long_before_expiry_and_never_in_the_first_half_of_its_life() {
        let due = |expires_at, ahead| due_at(Timestamp(1_000), Timestamp(expires_at), Duration::from_secs(ahead)).0;
        assert_eq!(due(1_300, 30), 1_270);
        assert_eq!(due(1_020, 30), 1_010);
        assert_eq!(due(1_300, 0), 1_300);
        assert_eq!(due(900, 30), 900);
    }
}
