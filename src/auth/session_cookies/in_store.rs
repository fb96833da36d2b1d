//! Sessions in the store, to which the cookie has a key; and those that move, because the operator wants the tokens elsewhere
//! than they are.

use super::in_cookies::text;
use super::{
    CookieJar, Keeping, PresentedSession, SessionCookies, SessionFacts, SessionOrigin, SessionTokens, Unkept, Unread,
    Unreadable,
};
use crate::auth::cookies::FoundCookies;
use crate::auth::refresh::PresentedRefresh;
use crate::clock::Timestamp;
use crate::config::IssuerId;
use crate::session::store::Presenter;
use crate::session::stored::{Found, SessionKey, StoredSession};

impl SessionCookies {
    /// Whether the browser is to be told of a renewal: where the tokens are in the store, it has nothing to do with them.
    pub(in crate::auth) const fn hold_tokens(&self) -> bool {
        !matches!(self.keeping, Keeping::Stored(..))
    }

    /// The same session as it is now, be it remembered otherwise.
    ///
    /// # Errors
    /// [`Unread::Unknown`], [`Unread::Away`]
    pub(in crate::auth) async fn read_anew(
        &self,
        remembered: &Found,
        allowed: &[IssuerId],
    ) -> Result<Option<PresentedSession>, Unread> {
        let found = self.sessions.find_anew(remembered.id).await?.ok_or(Unread::Unknown(remembered.id))?;
        Ok(self.presented(found, allowed))
    }

    /// Forgets what the store has of a session that is over. Should it be away, what is left there ends by itself; the denial
    /// counts, and the records of its tokens.
    pub(in crate::auth) async fn forget_stored(&self, session: &PresentedSession) {
        if let Some(found) = &session.stored
            && self.sessions.end(found).await.is_err()
        {
            tracing::warn!(
                "a session that has ended stays in the shared store, which is away, until it ends by itself"
            );
        }
    }

    /// Moves a session out of the store, if the tokens are to be in cookies. What it leaves behind there, requests under way may
    /// need, and it ends by itself.
    ///
    /// # Errors
    /// [`Unkept`]: it stays where it is.
    pub(in crate::auth) fn move_out(
        &self,
        session: &PresentedSession,
        tokens: SessionTokens<'_>,
        now: Timestamp,
        jar: &mut CookieJar,
    ) -> Result<(), Unkept> {
        let Some(SessionFacts { origin, .. }) = session.facts else { return Ok(()) };
        // A renewal has written the cookies already.
        if matches!(self.keeping, Keeping::Sealed(_)) && session.stored.is_some() && jar.lines.is_empty() {
            self.write(Some(origin), tokens, now, jar)?;
            jar.moved = Some(origin);
        }
        Ok(())
    }

    /// Puts a session into the store, unless it is there already. What stands there then; `None` for what cannot be read.
    ///
    /// # Errors
    /// [`Unkept`]
    pub(in crate::auth) async fn move_in(
        &self,
        origin: SessionOrigin,
        tokens: SessionTokens<'_>,
        now: Timestamp,
    ) -> Result<Option<Found>, Unkept> {
        let session = self.to_store(origin, tokens, now);
        let ends_at = origin.started_at.after(self.absolute_timeout);
        Ok(self.sessions.begin(origin.id, session, (now, ends_at)).await?)
    }

    /// Puts the tokens of cookies in the place of older ones that an earlier move has left in the store. Whoever was faster, or
    /// has ended it, wins.
    ///
    /// # Errors
    /// [`Unkept`]
    pub(in crate::auth) async fn move_over(
        &self,
        older: &Found,
        origin: SessionOrigin,
        tokens: SessionTokens<'_>,
        now: Timestamp,
    ) -> Result<(), Unkept> {
        let session = self.to_store(origin, tokens, now);
        Ok(self.sessions.replace(older, session, now).await?)
    }

    /// Gives the browser the key of a session that is in the store, in the place of whatever cookies it has.
    pub(in crate::auth) fn give_key(
        &self,
        key: SessionKey,
        started_at: Timestamp,
        now: Timestamp,
        jar: &mut CookieJar,
    ) {
        let ends_at = started_at.after(self.absolute_timeout);
        jar.lines = self.names.set_session(&key.to_text(), ends_at.since(now).as_secs(), jar.browser);
    }

    pub(super) async fn begin_stored(
        &self,
        key: SessionKey,
        origin: SessionOrigin,
        tokens: SessionTokens<'_>,
        now: Timestamp,
        jar: &mut CookieJar,
    ) -> Result<(), Unkept> {
        // Nothing else has a name that chance has just made.
        let _there = self.move_in(origin, tokens, now).await?;
        self.give_key(key, origin.started_at, now, jar);
        Ok(())
    }

    pub(super) async fn find(
        &self,
        found: &FoundCookies,
        allowed: &[IssuerId],
    ) -> Result<Option<PresentedSession>, Unread> {
        let Some(key) = key(found)? else { return Ok(None) };
        let found = self.sessions.find(key.id()).await?.ok_or(Unread::Unknown(key.id()))?;
        Ok(self.presented(found, allowed))
    }

    /// The same session under the key that it has moved to already, should another secret have been the first one then: it must
    /// not be two sessions. While the store is away, nothing moves.
    pub(super) async fn find_moved(&self, presented: &mut PresentedSession) {
        let (Keeping::Stored(_, secrets), Some(facts)) = (&self.keeping, &mut presented.facts) else { return };
        let Some(before) = facts.origin.before.filter(|_| secrets.len() > 1) else { return };
        for key in secrets.iter().filter_map(|secret| SessionKey::moved(secret, before)) {
            if matches!(self.sessions.find(key.id()).await, Ok(Some(_))) {
                facts.origin.id = key.id();
                presented.refresh.iter_mut().for_each(|refresh| refresh.session = Some(key.id()));
                presented.moves = Some(key);
                return;
            }
        }
    }

    fn presented(&self, found: Found, allowed: &[IssuerId]) -> Option<PresentedSession> {
        let session = &found.held.session;
        let issuer = self.allowed(&session.issuer, allowed)?;
        let StoredSession { started_at, sid, facts, idle_until, moved_from, .. } = *session;
        let refresh = session.refresh.as_ref().map(|token| PresentedRefresh {
            issuer,
            token: token.clone(),
            session: Some(found.id),
            before: moved_from,
            subject: Some(session.subject.clone()),
            started_at: Some(started_at),
            beside: None,
            by: Presenter::Keeper,
        });
        let origin = SessionOrigin { issuer, id: found.id, before: moved_from, started_at, sid, facts };
        Some(PresentedSession {
            access: Some(session.access.clone()),
            refresh,
            facts: Some(SessionFacts { origin, idle_until }),
            stored: Some(found),
            moves: None,
        })
    }

    pub(super) fn to_store(
        &self,
        origin: SessionOrigin,
        SessionTokens { access, refresh }: SessionTokens<'_>,
        now: Timestamp,
    ) -> StoredSession {
        let SessionOrigin { issuer, id: _, before, started_at, sid, facts } = origin;
        StoredSession {
            issuer: self.issuer_name(issuer),
            subject: access.claims.subject().unwrap_or_default().into(),
            started_at,
            renewed_at: now,
            idle_until: self.idle_until(started_at, access, now),
            sid,
            facts,
            access: access.token.clone(),
            refresh: refresh.cloned(),
            moved_from: before,
        }
    }
}

/// What is no key is not asked for.
fn key(found: &FoundCookies) -> Result<Option<SessionKey>, Unreadable> {
    text(&found.session.value)?.map(|value| SessionKey::parse(value).ok_or(Unreadable)).transpose()
}
