//! Beginning a session: with tokens of a sign-in that has just succeeded, in whatever way.

use super::denial::sid_of;
use super::{Authenticator, Identity, SHORTLY, Source, Successor};
use crate::auth::cookies::FoundCookies;
use crate::auth::session_cookies::{CookieJar, SessionTokens, Unkept};
use crate::auth::unauthenticated::Unauthenticated;
use crate::clock::Now;
use crate::config::IssuerId;

impl Authenticator {
    /// Begins a session with tokens that the issuer has just given out: verified first, under a session id of its own. Then, and
    /// not before, whoever was signed in with the cookies `found` is signed out: a session is never handed over (ASVS 7.2.4),
    /// and a sign-in that comes to nothing ends nothing.
    ///
    /// # Errors
    /// [`Unauthenticated::Token`] when the access token does not count, [`Unauthenticated::IssuerUnavailable`] when that
    /// cannot be found out, [`Unauthenticated::StoreAway`], [`Unauthenticated::Unkept`], [`Unauthenticated::NoRandomness`].
    pub async fn begin_session(
        &self,
        issuer: IssuerId,
        successor: &Successor<'_>,
        found: &FoundCookies,
        jar: &mut CookieJar,
    ) -> Result<Identity, Unauthenticated> {
        let tokens = successor.tokens;
        let token = self.verify(&tokens.access, &[issuer]).await?;
        let now = self.clock.now();
        let sid = tokens.sid.or_else(|| sid_of(&token.claims));
        let named = self.cookies.name(issuer, now, sid, tokens.facts)?;
        let session = named.map(|named| named.origin);
        if let (Some(session), Some(iss), Some(subject)) = (session, token.claims.text("iss"), token.claims.subject()) {
            let until = now.after(self.absolute_timeout);
            self.denied.begin_session(session.id, iss, subject, until, Now::of(&self.clock));
        }
        let begun = SessionTokens { access: &token, refresh: tokens.refresh.as_ref() };
        let begun = self.cookies.begin(named, begun, now, jar).await;
        begun.map_err(|error| match error {
            Unkept::Away(_) => Unauthenticated::StoreAway { retry_after: SHORTLY },
            error => error.into(),
        })?;
        if found.any() {
            self.replace_session(successor, found, &[issuer]).await;
        }
        // Last: a service may give out a token that has just been ended.
        if let Some(refresh) = &tokens.refresh {
            self.renewals.begin(issuer, refresh).await;
        }
        Ok(Identity { token, session, source: Source::Login })
    }
}
