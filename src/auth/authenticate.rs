//! Whose request this is: verify what is presented, renew it when it has expired.
//!
//! [`Authenticator::authenticate`] decides. Whatever it decides, changes to the browser's cookies are noted in a
//! [`CookieJar`] that the caller sends with *every* answer (law 6): a renewal has burnt the old refresh token whether or
//! not the request goes on to succeed.

mod beginning;
mod certificate;
mod denial;
mod ending;
mod foresee;
mod moving;
mod remembered;
mod renewing;
mod step_up;

use std::sync::Arc;
use std::time::Duration;

use super::authority::IssuerAuthority;
use super::cookies::CookieNames;
use super::credentials::Credentials;
use super::refresh::{self, EndReason, PresentedRefresh};
use super::session_cookies::{CookieJar, PresentedSession, SessionCookies, SessionOrigin};
use super::unauthenticated::{SessionEnd, Unauthenticated};
use super::verify::{VerifiedToken, Verifier, VerifyError};
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Access, IssuerId, Route};
use crate::oauth::AccessToken;
use crate::session::{DenialKeeper, Denied};

pub(super) use denial::sid_of;

pub use ending::{EndedSession, Successor};
pub use foresee::{Foreseen, Trust};

/// The refresh protocol with the configured issuers.
pub type Renewals = refresh::Renewals<IssuerAuthority>;
/// Tokens that it produced.
type Renewed = refresh::Renewed<VerifiedToken>;

/// What somebody is told to wait who was not served for want of the store.
const SHORTLY: Duration = Duration::from_secs(1);

/// Verifies and renews what requests present.
pub struct Authenticator {
    verifier: Arc<Verifier>,
    renewals: Renewals,
    denied: Arc<Denied>,
    keeper: DenialKeeper,
    cookies: SessionCookies,
    refresh_ahead: Duration,
    absolute_timeout: Duration,
    clock: Clock,
}

/// A request that has been authenticated.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The verified access token.
    pub token: Arc<VerifiedToken>,
    /// The session, when Usher's own cookies carried it.
    pub session: Option<SessionOrigin>,
    /// What authenticated the request.
    pub source: Source,
}

/// What authenticated a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `Authorization: Bearer`.
    Header,
    /// The access token in the cookies.
    Cookie,
    /// A renewal: the refresh token in the cookies.
    Renewal,
    /// A sign-in, just now: the application's own login, or at the authorization server.
    Login,
    /// The certificate of the TLS handshake.
    Certificate,
}

/// What is to be done about a session.
enum Course {
    /// Its access token counts.
    GoOn(Arc<VerifiedToken>),
    /// Its refresh token decides. Boxed, as few requests have it.
    Renew(Box<PresentedRefresh>),
}

impl Authenticator {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        session: &config::Session,
        cookies: SessionCookies,
        verifier: Arc<Verifier>,
        renewals: Renewals,
        (denied, keeper): (Arc<Denied>, DenialKeeper),
        clock: Clock,
    ) -> Self {
        let (refresh_ahead, absolute_timeout) = (session.refresh_ahead, session.absolute_timeout);
        Self { verifier, renewals, denied, keeper, cookies, refresh_ahead, absolute_timeout, clock }
    }

    /// The names of the cookies.
    #[must_use]
    pub const fn names(&self) -> &CookieNames {
        self.cookies.names()
    }

    /// Whose request this is. `None` where the route is open and there is no identity.
    ///
    /// `may_renew` says whether this request has a right to spend the refresh token (R13). The jar receives the cookies of
    /// a renewal, or the clearing of an ended session.
    ///
    /// # Errors
    /// [`Unauthenticated`], which says whose fault it is. An `optional` route turns absent and ended sessions into `None`,
    /// but not what is *wrong*: a presented token that does not count, or an issuer that cannot be asked, so that nobody
    /// becomes anonymous by accident.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        route: &Route,
        may_renew: bool,
        jar: &mut CookieJar,
    ) -> Result<Option<Identity>, Unauthenticated> {
        if route.access == Access::Public {
            return Ok(None);
        }
        match self.identify(credentials, &route.issuers, may_renew, jar).await {
            Ok(identity) => Ok(Some(identity)),
            Err(error) if passes_without(route, &error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whose request this is, where tokens of these issuers count.
    ///
    /// # Errors
    /// [`Unauthenticated`], absent credentials included.
    pub async fn identify(
        &self,
        credentials: &Credentials,
        allowed: &[IssuerId],
        may_renew: bool,
        jar: &mut CookieJar,
    ) -> Result<Identity, Unauthenticated> {
        if let Some(token) = &credentials.bearer {
            return self.by_header(token, allowed).await;
        }
        if let Some(certificate) = credentials.deciding_certificate() {
            return self.by_certificate(certificate);
        }
        let outcome = match self.cookies.read(&credentials.cookies, allowed).await {
            Ok(Some(presented)) => {
                let outcome = self.by_presented(&presented, allowed, may_renew, jar).await;
                if let Ok(identity) = &outcome
                    && self.is_elsewhere(&presented)
                {
                    Box::pin(self.move_over(&presented, identity, jar)).await;
                }
                outcome
            }
            Ok(None) => Err(Unauthenticated::NoCredentials),
            Err(unread) => Err(self.unread(unread)),
        };
        self.clear_ended(outcome.as_ref().err(), jar);
        outcome
    }

    async fn by_header(&self, token: &AccessToken, allowed: &[IssuerId]) -> Result<Identity, Unauthenticated> {
        let token = self.verify(token, allowed).await.map_err(Unauthenticated::of_token_alone)?;
        self.refuse_denied(&token, None)?;
        Ok(Identity { token, session: None, source: Source::Header })
    }

    /// The browser need not keep what is no session any more.
    fn clear_ended(&self, error: Option<&Unauthenticated>, jar: &mut CookieJar) {
        match error {
            // Whoever ended it on purpose has cleared these cookies, or set those of another session, which have the same
            // names: an answer that comes late must not clear them. What the store does not know may have ended so, too.
            Some(Unauthenticated::SessionEnded(
                SessionEnd::Denied | SessionEnd::Unknown | SessionEnd::Renewal(EndReason::SignedOut),
            )) => {}
            Some(Unauthenticated::SessionEnded(_) | Unauthenticated::UnreadableCookies(_)) => self.cookies.clear(jar),
            Some(_) | None => {}
        }
    }

    async fn by_presented(
        &self,
        presented: &PresentedSession,
        allowed: &[IssuerId],
        may_renew: bool,
        jar: &mut CookieJar,
    ) -> Result<Identity, Unauthenticated> {
        let outcome = match presented.session() {
            Some(session) if session.is_denied_before(&self.denied) => {
                Err(Unauthenticated::SessionEnded(SessionEnd::Denied))
            }
            _ if presented.is_remembered() => Box::pin(self.by_remembered(presented, allowed, may_renew, jar)).await,
            _ => self.by_session(presented, allowed, may_renew, jar).await,
        };
        if let Err(Unauthenticated::SessionEnded(_)) = &outcome {
            Box::pin(self.cookies.forget_stored(presented)).await;
        }
        outcome
    }

    async fn by_session(
        &self,
        presented: &PresentedSession,
        allowed: &[IssuerId],
        may_renew: bool,
        jar: &mut CookieJar,
    ) -> Result<Identity, Unauthenticated> {
        self.refuse_old(presented)?;
        let verified = match &presented.access {
            Some(access) => self.verify(access, presented.counts_for(allowed)).await,
            None => Err(Unauthenticated::SessionEnded(SessionEnd::Expired)),
        };
        match self.course(presented, verified, allowed, may_renew)? {
            Course::GoOn(token) => match &presented.refresh {
                Some(refresh) => self.ahead(token, presented, refresh, may_renew, jar).await,
                None => Ok(presented.identity(token)),
            },
            Course::Renew(refresh) => Box::pin(self.renew(presented, &refresh, jar)).await,
        }
    }

    /// What is to be done about a session that is not too old, before anything is done. `verified` is its access token.
    fn course(
        &self,
        presented: &PresentedSession,
        verified: Result<Arc<VerifiedToken>, Unauthenticated>,
        allowed: &[IssuerId],
        may_renew: bool,
    ) -> Result<Course, Unauthenticated> {
        match (verified, &presented.refresh) {
            (Ok(token), _) => {
                self.refuse_denied(&token, presented.session().as_ref())?;
                Ok(Course::GoOn(token))
            }
            // An issuer that cannot be asked says nothing about the token: no reason to spend the refresh token.
            (Err(error @ Unauthenticated::IssuerUnavailable { .. }), _) => Err(error),
            (Err(_), Some(_)) if !may_renew => Err(Unauthenticated::RenewalNotAllowed),
            // Expired, inactive, or signed with a key that has been withdrawn: the refresh token decides.
            (Err(error), Some(refresh)) => match self.owned(presented, refresh, &error, allowed) {
                Some(refresh) => {
                    self.refuse_denied_renewal(presented, &refresh, &error)?;
                    Ok(Course::Renew(Box::new(refresh)))
                }
                None => Err(Unauthenticated::NoCredentials),
            },
            (
                Err(Unauthenticated::Token(
                    VerifyError::Expired(_) | VerifyError::Withdrawn(_) | VerifyError::Inactive,
                )),
                None,
            ) => Err(Unauthenticated::SessionEnded(SessionEnd::Expired)),
            (Err(error), None) => Err(error),
        }
    }

    /// Until when the session of this identity can go on: the absolute time-out. `None` where nobody knows when it began.
    #[must_use]
    pub fn session_ends_at(&self, identity: &Identity) -> Option<Timestamp> {
        Some(identity.session?.started_at.after(self.absolute_timeout))
    }

    async fn verify(&self, token: &AccessToken, allowed: &[IssuerId]) -> Result<Arc<VerifiedToken>, Unauthenticated> {
        Ok(self.verifier.verify(token.expose(), allowed, self.clock.now()).await?)
    }

    fn refuse_old(&self, presented: &PresentedSession) -> Result<(), Unauthenticated> {
        let Some(facts) = &presented.facts else { return Ok(()) };
        let now = self.clock.now();
        if facts.origin.started_at.after(self.absolute_timeout) <= now {
            return Err(Unauthenticated::SessionEnded(SessionEnd::Absolute));
        }
        if facts.idle_until <= now {
            return Err(Unauthenticated::SessionEnded(SessionEnd::Idle));
        }
        Ok(())
    }
}

/// Whether a route lets a request that is not authenticated pass without an identity.
const fn passes_without(route: &Route, error: &Unauthenticated) -> bool {
    use Unauthenticated::{NoCredentials, SessionEnded, UnreadableCookies};
    matches!(error, NoCredentials | UnreadableCookies(_) | SessionEnded(_)) && matches!(route.access, Access::Optional)
}

impl PresentedSession {
    fn identity(&self, token: Arc<VerifiedToken>) -> Identity {
        Identity { token, session: self.session(), source: Source::Cookie }
    }

    /// The issuers of whom the access token may be: sealed cookies name theirs, and it is shown to no other one.
    fn counts_for<'a>(&'a self, allowed: &'a [IssuerId]) -> &'a [IssuerId] {
        self.facts.as_ref().map_or(allowed, |facts| std::slice::from_ref(&facts.origin.issuer))
    }

    fn session(&self) -> Option<SessionOrigin> {
        self.facts.map(|facts| facts.origin)
    }

    /// Whether the store may know better.
    fn is_remembered(&self) -> bool {
        self.stored.as_ref().is_some_and(|found| found.is_remembered)
    }
}
