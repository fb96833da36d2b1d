//! Renewing the tokens of a session: whose refresh token it is, when it is spent, and how the new ones reach the browser.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Authenticator, Identity, Renewed, Source};
use crate::auth::refresh::{PresentedRefresh, Renewal, due_at};
use crate::auth::session_cookies::{CookieJar, PresentedSession, RenewedSession, SessionOrigin, Unkept, Waited};
use crate::auth::unauthenticated::{SessionEnd, Unauthenticated};
use crate::auth::verify::{VerifiedToken, VerifyError};
use crate::config::IssuerId;
use crate::oauth::Claims;
use crate::session::TokenHash;

impl Authenticator {
    /// With little life left in the access token, the request goes on with it while a renewal runs; a renewal that is
    /// recorded already is picked up (R11).
    pub(super) async fn ahead(
        &self,
        token: Arc<VerifiedToken>,
        presented: &PresentedSession,
        refresh: &PresentedRefresh,
        may_renew: bool,
        jar: &mut CookieJar,
    ) -> Result<Identity, Unauthenticated> {
        let issuer = if presented.facts.is_none() { token.issuer } else { refresh.issuer };
        self.note(&token, issuer, refresh).await;
        if may_renew && self.is_due(&token) {
            let beside = Some((TokenHash::of(token.token.expose()), token.usable_until));
            let refresh = &PresentedRefresh { issuer, beside, ..of_whom(refresh, &token.claims) };
            let renewed = Box::pin(self.renewals.renew_ahead(refresh)).await;
            // Looking may have shown that the refresh token was stolen, which ends the session here and now (R16).
            self.refuse_denied(&token, presented.session().as_ref())?;
            if let Some(renewed) = renewed.filter(|renewed| renewed.access.token != token.token) {
                return Ok(Box::pin(self.take_over(presented, refresh, &renewed, jar)).await);
            }
        }
        Ok(presented.identity(token))
    }

    /// Whether little life is left in an access token.
    pub(super) fn is_due(&self, token: &VerifiedToken) -> bool {
        let issued_at = token.issued_at().unwrap_or(token.expires_at);
        due_at(issued_at, token.expires_at, self.refresh_ahead) <= self.clock.now()
    }

    /// The first request with this token: its refresh token has reached whoever keeps it as well (R3).
    pub(super) async fn note(&self, token: &VerifiedToken, issuer: IssuerId, refresh: &PresentedRefresh) {
        if !token.noted.swap(true, Ordering::Relaxed) {
            Box::pin(self.renewals.note_presented(issuer, &refresh.token)).await;
        }
    }

    pub(super) async fn renew(
        &self,
        presented: &PresentedSession,
        refresh: &PresentedRefresh,
        jar: &mut CookieJar,
    ) -> Result<Identity, Unauthenticated> {
        let mut led = false;
        let renewal = self.renewals.renew(refresh, &mut led).await;
        jar.waited = Some(if led { Waited::Led } else { Waited::Joined });
        match renewal {
            Renewal::Renewed(renewed) => {
                self.refuse_denied(&renewed.access, presented.session().as_ref())?;
                Ok(self.take_over(presented, refresh, &renewed, jar).await)
            }
            Renewal::Ended(reason) => {
                self.deny_ended(presented, reason);
                Err(Unauthenticated::SessionEnded(SessionEnd::Renewal(reason)))
            }
            Renewal::Unavailable { retry_after } => Err(Unauthenticated::IssuerUnavailable { retry_after }),
            Renewal::StoreAway { retry_after } => Err(Unauthenticated::StoreAway { retry_after }),
        }
    }

    /// The request goes on with renewed tokens, and the browser gets them, or the store.
    async fn take_over(
        &self,
        presented: &PresentedSession,
        refresh: &PresentedRefresh,
        renewed: &Arc<Renewed>,
        jar: &mut CookieJar,
    ) -> Identity {
        let origin = presented.session();
        let (tokens, stored) = (Arc::clone(renewed), presented.stored.clone());
        let session = RenewedSession { presented: refresh.clone(), origin, tokens, stored };
        self.write_renewed(&session, jar).await;
        jar.renewed = Some(session);
        Identity { token: Arc::clone(&renewed.access), session: origin, source: Source::Renewal }
    }

    /// Puts the newest tokens of a renewed session into the jar. To be called when the answer is there: it may have taken so
    /// long that the session was renewed again meanwhile, and older cookies must not replace newer ones in the browser (R9);
    /// or that it has ended, and what the browser has by now is another one's (R10).
    pub async fn freshen(&self, jar: &mut CookieJar) {
        let is_over =
            |moved: SessionOrigin| self.denied.is_denied(Some(moved.id), "") || moved.is_denied_before(&self.denied);
        if jar.moved.take().is_some_and(is_over) {
            return jar.forget();
        }
        // Where tokens are in the store, they are there by now, and the browser has nothing to do with them.
        let Some(mut session) = jar.renewed.take().filter(|_| self.cookies.hold_tokens()) else { return };
        match Box::pin(self.renewals.newest(&session.presented, &session.tokens)).await {
            Some(newest) => {
                session.tokens = newest;
                Box::pin(self.write_renewed(&session, jar)).await;
            }
            None => jar.forget(),
        }
    }

    async fn write_renewed(&self, session: &RenewedSession, jar: &mut CookieJar) {
        match self.cookies.renew(session, self.clock.now(), jar).await {
            Ok(()) => {}
            // Whoever comes next presents the old token, and finds by it what it was renewed to.
            Err(Unkept::Away(_)) => tracing::debug!("a renewed session is not in the shared store yet"),
            // The request goes on, and it is the next one that pays, with another renewal.
            Err(error) => tracing::error!(fault = "issuer", %error, "this session's tokens cannot be kept"),
        }
    }

    /// The refresh token with its owner: whoever issued the access token beside it, where the cookies do not say. `None` when
    /// that is an issuer of other routes: its refresh token is none of this route's business, and must never be sent to
    /// another issuer.
    pub(super) fn owned(
        &self,
        presented: &PresentedSession,
        refresh: &PresentedRefresh,
        error: &Unauthenticated,
        allowed: &[IssuerId],
    ) -> Option<PresentedRefresh> {
        if presented.facts.is_some() {
            return Some(refresh.clone());
        }
        let refresh = match error {
            Unauthenticated::Token(VerifyError::Expired(claims) | VerifyError::Withdrawn(claims)) => {
                of_whom(refresh, claims)
            }
            _ => refresh.clone(),
        };
        Some(self.with_issuer(presented, refresh, allowed)).filter(|refresh| allowed.contains(&refresh.issuer))
    }

    /// The same refresh token as one of the issuer that the access token beside it names. Sealed cookies name it themselves.
    pub(super) fn with_issuer(
        &self,
        presented: &PresentedSession,
        refresh: PresentedRefresh,
        allowed: &[IssuerId],
    ) -> PresentedRefresh {
        let access = presented.access.as_ref().filter(|_| presented.facts.is_none());
        let named = access.and_then(|access| self.verifier.named_issuer(access.expose(), allowed));
        PresentedRefresh { issuer: named.unwrap_or(refresh.issuer), ..refresh }
    }
}

/// Cookies of an existing service do not say whose they are, but a verified access token does, be its time up or not: the
/// renewal must not change it (R7).
fn of_whom(refresh: &PresentedRefresh, claims: &Claims) -> PresentedRefresh {
    let mut refresh = refresh.clone();
    refresh.subject.get_or_insert_with(|| claims.subject().unwrap_or_default().into());
    refresh
}
