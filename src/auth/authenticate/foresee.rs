//! What would become of a request's credentials, for people who ask: the decisions of the real thing, without what follows.
//!
//! Nothing is spent, renewed or noted. So where a renewal would decide, that is all that can be said.

use std::sync::Arc;

use super::{Authenticator, Course, Identity, Source, passes_without};
use crate::auth::cookies::FoundValue;
use crate::auth::credentials::Credentials;
use crate::auth::session_cookies::{CookieJar, PresentedSession, Unreadable};
use crate::auth::unauthenticated::{SessionEnd, Unauthenticated};
use crate::auth::verify::{VerifiedToken, Verifier};
use crate::clock::Timestamp;
use crate::config::{Access, IssuerId, Route};
use crate::oauth::AccessToken;

/// What would become of them.
#[derive(Debug)]
pub enum Foreseen {
    /// The route is open, and there is no identity.
    Nobody,
    /// They count.
    Somebody {
        /// Whose request it is.
        identity: Identity,
        /// A renewal ahead of time would begin beside it.
        renews_ahead: bool,
    },
    /// The refresh token would be exchanged, and what comes of that decide.
    Renewal,
    /// The cookie is a key to a session in the store, which would decide.
    Stored,
}

/// How far an access token is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// As ever.
    Verified,
    /// As if its signature were good, which there is no key to know by. Nobody may be let in by that.
    ButForSignature,
}

impl Authenticator {
    /// What [`Authenticator::authenticate`] would decide, as far as that can be known without a renewal. The jar receives the
    /// clearing of an ended session.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`].
    pub async fn foresee(
        &self,
        credentials: &Credentials,
        route: &Route,
        (may_renew, trust): (bool, Trust),
        jar: &mut CookieJar,
    ) -> Result<Foreseen, Unauthenticated> {
        if route.access == Access::Public {
            return Ok(Foreseen::Nobody);
        }
        let outcome = self.foresee_identity(credentials, &route.issuers, may_renew, trust).await;
        if credentials.bearer.is_none() {
            self.clear_ended(outcome.as_ref().err(), jar);
        }
        match outcome {
            Err(error) if passes_without(route, &error) => Ok(Foreseen::Nobody),
            outcome => outcome,
        }
    }

    async fn foresee_identity(
        &self,
        credentials: &Credentials,
        allowed: &[IssuerId],
        may_renew: bool,
        trust: Trust,
    ) -> Result<Foreseen, Unauthenticated> {
        if let Some(token) = &credentials.bearer {
            let token = self.trusted(token, allowed, trust).await?;
            self.refuse_denied(&token, None)?;
            let identity = Identity { token, session: None, source: Source::Header };
            return Ok(Foreseen::Somebody { identity, renews_ahead: false });
        }
        if let Some(certificate) = credentials.deciding_certificate() {
            let identity = self.by_certificate(certificate)?;
            return Ok(Foreseen::Somebody { identity, renews_ahead: false });
        }
        if self.has_key(credentials) {
            return Ok(Foreseen::Stored);
        }
        let presented = self.presented(credentials, allowed)?.ok_or(Unauthenticated::NoCredentials)?;
        self.refuse_old(&presented)?;
        let verified = match &presented.access {
            Some(access) => self.trusted(access, presented.counts_for(allowed), trust).await,
            None => Err(Unauthenticated::SessionEnded(SessionEnd::Expired)),
        };
        Ok(match self.course(&presented, verified, allowed, may_renew)? {
            Course::GoOn(token) => Foreseen::Somebody {
                renews_ahead: may_renew && presented.refresh.is_some() && self.is_due(&token),
                identity: presented.identity(token),
            },
            Course::Renew(_) => Foreseen::Renewal,
        })
    }

    async fn trusted(
        &self,
        token: &AccessToken,
        allowed: &[IssuerId],
        trust: Trust,
    ) -> Result<Arc<VerifiedToken>, Unauthenticated> {
        match trust {
            Trust::Verified => self.verify(token, allowed).await,
            Trust::ButForSignature => {
                let now = self.clock.now();
                let (issuer, claims, until) = self.verifier.but_for_signature(token.expose(), allowed, now)?;
                Ok(Arc::new(VerifiedToken::new(token.clone(), issuer, claims, until)))
            }
        }
    }

    /// Whether the cookies have a key to a session in the store instead of tokens.
    #[must_use]
    pub fn has_key(&self, credentials: &Credentials) -> bool {
        credentials.cookies.session.value != FoundValue::Absent && self.cookies.are_key(&credentials.cookies)
    }

    /// The session whose tokens the cookies hold, where those of these issuers count.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn presented(
        &self,
        credentials: &Credentials,
        allowed: &[IssuerId],
    ) -> Result<Option<PresentedSession>, Unreadable> {
        self.cookies.read_tokens(&credentials.cookies, allowed)
    }

    /// When a session ends that began then, however busy it is.
    #[must_use]
    pub const fn session_end_of(&self, started_at: Timestamp) -> Timestamp {
        started_at.after(self.absolute_timeout)
    }

    /// What verifies the tokens.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}
