//! The end of the session that a browser's cookies hold: a sign-out, or a sign-in that takes its place.

use super::{Authenticator, SHORTLY, sid_of};
use crate::auth::cookies::FoundCookies;
use crate::auth::login::IssuedTokens;
use crate::auth::refresh::PresentedRefresh;
use crate::auth::session_cookies::{CookieJar, PresentedSession, Unread};
use crate::auth::unauthenticated::Unauthenticated;
use crate::auth::verify::{LogoutToken, LogoutTokenError, SignedOut, VerifyError};
use crate::clock::Now;
use crate::config::{IdentityToken, IssuerId};
use crate::issuer::Issuer;
use crate::oauth::AccessToken;
use crate::session::shared::Away;
use crate::session::{SidHash, TokenHash};

const AWAY: Unauthenticated = Unauthenticated::StoreAway { retry_after: SHORTLY };

/// The tokens of a sign-in that has just succeeded, which take the place of a session.
#[derive(Clone, Copy)]
pub struct Successor<'a> {
    /// The tokens.
    pub tokens: &'a IssuedTokens,
    /// At whose authorization server who has signed in; `None` where the tokens are an application's own.
    pub grant: Option<(IssuerId, &'a str)>,
}

/// A session that has just ended.
pub struct EndedSession {
    /// At which issuer it was.
    pub issuer: IssuerId,
    /// Whose it was, if that is known.
    pub subject: Option<Box<str>>,
    /// An ID token of it that the issuer has signed, when that is what the cookies held.
    pub id_token: Option<AccessToken>,
}

impl Authenticator {
    /// Ends the session that the cookies hold: on this instance at once, at the issuer in the background (R10). Of cookies
    /// that make no session together, each ends its own. Whose they are is not asked; `issuers` come first where they do
    /// not say. Says which one has ended, if that is known.
    ///
    /// # Errors
    /// [`Unauthenticated::StoreAway`]: it cannot be found, and its cookie stays, for somebody may have a copy of that.
    pub async fn end_session(
        &self,
        found: &FoundCookies,
        issuers: &[IssuerId],
        jar: &mut CookieJar,
    ) -> Result<Option<EndedSession>, Unauthenticated> {
        let ended = self.end_session_but(None, found, issuers).await;
        let ended = ended.map_err(|_| AWAY)?;
        self.cookies.clear_all(found, jar);
        Ok(ended)
    }

    /// The same, if this is what the issuer of that name calls the session (`iss` and `sid`).
    ///
    /// # Errors
    /// [`Unauthenticated::StoreAway`]: it is not known whether it is.
    pub async fn end_named_session(
        &self,
        (iss, sid): (&str, &str),
        found: &FoundCookies,
        issuers: &[IssuerId],
        jar: &mut CookieJar,
    ) -> Result<Option<EndedSession>, Unauthenticated> {
        let named = Some(SidHash::of(iss, sid));
        let presented = match self.cookies.read(found, issuers).await {
            Ok(Some(presented)) => presented,
            Ok(None) | Err(Unread::Unknown(_) | Unread::Unreadable(_)) => return Ok(None),
            Err(Unread::Away(_)) => return Err(AWAY),
        };
        let mut is_named = named == presented.session().and_then(|session| session.sid);
        if let Some(access) = presented.access.as_ref().filter(|_| !is_named) {
            let of_token =
                self.verify(access, presented.counts_for(issuers)).await.ok().and_then(|token| sid_of(&token.claims));
            is_named = of_token == named;
        }
        if !is_named {
            return Ok(None);
        }
        let ended = self.end_session(found, issuers, jar).await?;
        // Of tokens whose time is up, less is known.
        let issuer = || presented.facts.as_ref().map(|facts| facts.origin.issuer).or_else(|| issuers.first().copied());
        Ok(ended.or_else(|| Some(EndedSession { issuer: issuer()?, subject: None, id_token: None })))
    }

    /// The same, for a sign-in that has just given out other tokens. A service may give out the same ones again: those
    /// are of the new session then.
    pub(super) async fn replace_session(&self, successor: &Successor<'_>, found: &FoundCookies, issuers: &[IssuerId]) {
        // Should the store be away by now, the cookie is another one all the same.
        let _ended = self.end_session_but(Some(successor), found, issuers).await;
    }

    /// Ends what the issuer says has signed out there (OIDC Back-Channel Logout 1.0 §2.7), on this instance: its sessions here
    /// and its access tokens, whoever presents them. Says what has.
    ///
    /// # Errors
    /// [`LogoutTokenError`]; nothing has ended then, but with [`LogoutTokenError::Untold`], which the same token may follow.
    pub async fn sign_out_by_issuer(&self, token: &str, issuers: &[IssuerId]) -> Result<LogoutToken, LogoutTokenError> {
        let now = Now::of(&self.clock);
        let token = self.verifier.verify_logout_token(token, issuers, now.wall).await?;
        let issuer = self.verifier.issuers().by_id(token.issuer).ok_or(VerifyError::UntrustedIssuer)?.config();
        let (iss, until) = (issuer.issuer.as_str(), now.wall.after(self.absolute_timeout));
        if !self.denied.use_logout_token(iss, &token.id, token.usable_until, now) {
            return Err(LogoutTokenError::Replayed);
        }
        match &token.signed_out {
            SignedOut::User { subject } => {
                // The issuer's clock may be ahead.
                self.denied.deny_subject(iss, subject, now.wall.after(issuer.leeway), until, now);
            }
            SignedOut::Session { sid, subject } => {
                self.denied.deny_sid(SidHash::of(iss, sid), until, now);
                // A session that never learnt its name may be the one: better one sign-in too many.
                if let Some(subject) = subject {
                    self.denied.deny_nameless(iss, subject, now.wall, until, now);
                }
            }
        }
        // Only an issuer that hears of it repeats what a killed process cannot tell (§2.8).
        self.keeper.kept().await.map_err(|away| {
            self.denied.return_logout_token(iss, &token.id);
            LogoutTokenError::Untold(away)
        })?;
        Ok(token)
    }

    async fn end_session_but(
        &self,
        successor: Option<&Successor<'_>>,
        found: &FoundCookies,
        issuers: &[IssuerId],
    ) -> Result<Option<EndedSession>, Away> {
        let every: Vec<_> = issuers.iter().copied().chain(self.verifier.issuers().iter().map(Issuer::id)).collect();
        let ended = match self.cookies.read(found, &every).await {
            Ok(Some(presented)) => Ok(self.end(&presented, issuers, successor).await),
            // What nobody knows has ended. To deny it would let everybody fill the list with names of their own making.
            Ok(None) | Err(Unread::Unknown(_)) => return Ok(None),
            Err(Unread::Away(away)) => return Err(away),
            Err(Unread::Unreadable(_)) => {
                let mut ended = None;
                for half in found.apart() {
                    if let Ok(Some(presented)) = self.cookies.read_tokens(&half, &every) {
                        ended = self.end(&presented, issuers, successor).await.or(ended);
                    }
                }
                Ok(ended)
            }
        };
        self.survive_restart().await;
        ended
    }

    /// An answer that says somebody is signed out must be true whatever becomes of this process. While the store is away, it
    /// is for as long as this process lives: whoever signs out cannot wait for that.
    async fn survive_restart(&self) {
        if self.keeper.kept().await.is_err() {
            tracing::warn!(fault = "store", "a sign-out is answered before the shared store has it, which is away");
        }
    }

    async fn end(
        &self,
        presented: &PresentedSession,
        here: &[IssuerId],
        successor: Option<&Successor<'_>>,
    ) -> Option<EndedSession> {
        let new_tokens = successor.map(|successor| successor.tokens);
        let now = Now::of(&self.clock);
        if let Some(facts) = presented.facts {
            let session = facts.origin;
            let names = [Some(session.id), session.before];
            // Another instance may have other time-outs, and have written these cookies.
            let ends_at = session.started_at.after(self.absolute_timeout).max(facts.idle_until);
            // Behind its end by a clock that is ahead, perhaps. That end moves, so it is taken once: whoever signs out with
            // one cookie again and again must tell nothing new.
            let is_over = ends_at < now.wall;
            let until = if is_over { now.wall.after(self.absolute_timeout) } else { ends_at };
            for name in names.into_iter().flatten().filter(|name| !is_over || !self.denied.is_denied(Some(*name), "")) {
                self.denied.deny_session(name, until, now);
            }
        }
        self.cookies.forget_stored(presented).await;
        let is_new =
            |refresh: &PresentedRefresh| new_tokens.is_some_and(|new| new.refresh.as_ref() == Some(&refresh.token));
        let (mut issuer, mut subject) = (None, None);
        if let Some(refresh) = presented.refresh.as_ref().filter(|refresh| !is_new(refresh)) {
            let refresh = self.with_issuer(presented, refresh.clone(), here);
            issuer = Some(refresh.issuer);
            subject.clone_from(&refresh.subject);
            if successor.is_some_and(|successor| successor.shares_grant_of(&refresh)) {
                self.renewals.replace(&refresh).await;
            } else {
                self.renewals.end(&refresh).await;
            }
        }
        // Last, for this may wait for keys, and whoever asked may leave meanwhile.
        // By what a denial would name: a new token may differ from the old one in its signature alone.
        let named = |token: &AccessToken| TokenHash::of(token.expose());
        let is_new = |access: &AccessToken| new_tokens.is_some_and(|new| named(&new.access) == named(access));
        let mut signed = None;
        if let Some(access) = presented.access.as_ref().filter(|access| !is_new(access)) {
            let issuers = presented.facts.map_or_else(|| self.may_have_issued(here), |facts| vec![facts.origin.issuer]);
            let verified = match self.verify(access, &issuers).await {
                // It was good, and may be again once the issuer can be asked.
                Err(error @ Unauthenticated::IssuerUnavailable { .. }) => {
                    self.verifier.once_verified(access.expose(), &issuers).ok_or(error)
                }
                outcome => outcome,
            };
            match verified {
                Ok(token) => {
                    self.denied.deny_access_token(TokenHash::of(access.expose()), token.usable_until, now);
                    issuer = issuer.or(Some(token.issuer));
                    subject = subject.or_else(|| token.claims.subject().map(Box::from));
                    signed = Some(access);
                }
                Err(Unauthenticated::Token(VerifyError::Expired(claims) | VerifyError::Withdrawn(claims))) => {
                    subject = subject.or_else(|| claims.subject().map(Box::from));
                    signed = Some(access);
                }
                Err(_) => {}
            }
        }
        let issuer = issuer?;
        let config = self.verifier.issuers().by_id(issuer).map(Issuer::config);
        let is_id_token = config.is_some_and(|config| config.identity == IdentityToken::IdToken);
        let id_token = signed.filter(|_| is_id_token).cloned();
        let subject = subject.filter(|subject| !subject.is_empty());
        Some(EndedSession { issuer, subject, id_token })
    }

    /// Those of whom an access token may be whose cookie does not say so: whoever has signed it, but of those that would have to be
    /// asked, only the one `here`.
    fn may_have_issued(&self, here: &[IssuerId]) -> Vec<IssuerId> {
        let others = self.verifier.issuers().iter().filter(|issuer| issuer.config().introspection().is_none());
        here.iter().copied().chain(others.map(Issuer::id)).collect()
    }
}

impl Successor<'_> {
    /// Cookies of an existing service do not say whose they are: better a refresh token that lives on unused than new tokens
    /// which are dead at once.
    fn shares_grant_of(&self, refresh: &PresentedRefresh) -> bool {
        self.grant.is_some_and(|(issuer, subject)| {
            refresh.issuer == issuer && refresh.subject.as_deref().is_none_or(|of| of == subject)
        })
    }
}
