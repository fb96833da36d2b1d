//! Sessions whose tokens are in cookies: sealed, or as an existing service sets them.

use super::{
    CookieJar, Keeping, PresentedSession, SessionCookies, SessionFacts, SessionOrigin, SessionTokens, Unkept,
    Unreadable,
};
use crate::auth::cookies::{FoundCookies, FoundValue};
use crate::auth::refresh::PresentedRefresh;
use crate::auth::ticket::{Purpose, Ticket};
use crate::clock::Timestamp;
use crate::config::IssuerId;
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::store::Presenter;
use crate::session::stored::SessionKey;
use crate::session::{SealError, Sealer};

impl SessionCookies {
    /// The session whose tokens the cookies hold.
    ///
    /// # Errors
    /// [`Unreadable`], which says nothing about why: whoever made the cookie need not learn.
    pub fn read_tokens(
        &self,
        found: &FoundCookies,
        allowed: &[IssuerId],
    ) -> Result<Option<PresentedSession>, Unreadable> {
        let (access, refresh) = (text(&found.access.value)?, text(&found.refresh.value)?);
        match &self.keeping {
            _ if access.is_none() && refresh.is_none() => Ok(None),
            Keeping::Sealed(sealer) | Keeping::Stored(sealer, _) => self.open(sealer, access, refresh, allowed),
            Keeping::Raw => Ok(Some(raw(access, refresh, allowed))),
        }
    }

    fn open(
        &self,
        sealer: &Sealer,
        access: Option<&str>,
        refresh: Option<&str>,
        allowed: &[IssuerId],
    ) -> Result<Option<PresentedSession>, Unreadable> {
        let open = |value: Option<&str>, purpose| {
            value.map(|value| Ticket::open(value, purpose, sealer).ok_or(Unreadable)).transpose()
        };
        let (access, refresh) = (open(access, Purpose::Access)?, open(refresh, Purpose::Refresh)?);
        // The two cookies of one browser belong together.
        if let (Some(access), Some(refresh)) = (&access, &refresh)
            && (access.session != refresh.session || access.issuer != refresh.issuer)
        {
            return Err(Unreadable);
        }
        let Some(ticket) = refresh.as_ref().or(access.as_ref()) else { return Ok(None) };
        let Some(issuer) = self.allowed(&ticket.issuer, allowed) else { return Ok(None) };
        let moves = match &self.keeping {
            Keeping::Stored(_, secrets) => secrets.first().and_then(|secret| SessionKey::moved(secret, ticket.session)),
            Keeping::Sealed(_) | Keeping::Raw => None,
        };
        let (id, before) = moves.map_or((ticket.session, None), |key| (key.id(), Some(ticket.session)));
        let Ticket { started_at, sid, facts, .. } = *ticket;
        Ok(Some(PresentedSession {
            facts: Some(SessionFacts {
                origin: SessionOrigin { issuer, id, before, started_at, sid, facts },
                idle_until: ticket.idle_until,
            }),
            refresh: refresh.as_ref().map(|ticket| PresentedRefresh {
                issuer,
                token: RefreshToken::new(&ticket.token),
                session: Some(id),
                before,
                subject: Some(ticket.subject.clone()),
                started_at: Some(ticket.started_at),
                beside: None,
                by: Presenter::Browser,
            }),
            access: access.map(|ticket| AccessToken::new(&ticket.token)),
            stored: None,
            moves,
        }))
    }

    /// Writes both cookies of a session into the jar; without a refresh token, the browser's is cleared. The access token
    /// says what `origin` does not; cookies of an existing service have none.
    pub(super) fn write(
        &self,
        origin: Option<SessionOrigin>,
        SessionTokens { access, refresh }: SessionTokens<'_>,
        now: Timestamp,
        jar: &mut CookieJar,
    ) -> Result<(), Unkept> {
        let idle_until = self.idle_until(origin.map_or(now, |origin| origin.started_at), access, now);
        let max_age = idle_until.since(now).as_secs();
        let value = |token: &str, purpose| match (&self.keeping, origin) {
            (Keeping::Sealed(sealer), Some(SessionOrigin { issuer, id, before, started_at, sid, facts })) => Ticket {
                // A ticket has room for one name, and that is the one which all know who know the session.
                session: before.unwrap_or(id),
                started_at,
                idle_until,
                issuer: self.issuer_name(issuer),
                subject: access.claims.subject().unwrap_or_default().into(),
                token: token.into(),
                sid,
                facts,
            }
            .seal(purpose, sealer),
            (Keeping::Raw, _) => Ok(token.to_owned()),
            // What is not to be seen does not go out as it is.
            (Keeping::Sealed(_), None) | (Keeping::Stored(..), _) => Err(SealError::Failed),
        };
        let access = value(access.token.expose(), Purpose::Access)?;
        let mut lines = self.names.set_access(&access, max_age, jar.browser)?;
        lines.extend(match refresh {
            Some(refresh) => {
                self.names.set_refresh(&value(refresh.expose(), Purpose::Refresh)?, max_age, jar.browser)?
            }
            // That of the session before would not go with this one.
            None => self.names.clear_refresh(jar.browser),
        });
        lines.extend(self.names.clear_other_kind(jar.browser));
        jar.lines = lines;
        Ok(())
    }
}

pub(super) fn text(value: &FoundValue) -> Result<Option<&str>, Unreadable> {
    match value {
        FoundValue::Absent => Ok(None),
        FoundValue::Present(text) => Ok(Some(text)),
        FoundValue::Unusable => Err(Unreadable),
    }
}

/// The cookies of an existing service do not say whose they are: the refresh token belongs to the first issuer of the
/// route, where there is more than one.
fn raw(access: Option<&str>, refresh: Option<&str>, allowed: &[IssuerId]) -> PresentedSession {
    PresentedSession {
        access: access.map(AccessToken::new),
        refresh: refresh.zip(allowed.first()).map(|(token, issuer)| PresentedRefresh {
            issuer: *issuer,
            token: RefreshToken::new(token),
            session: None,
            before: None,
            subject: None,
            started_at: None,
            beside: None,
            by: Presenter::Browser,
        }),
        facts: None,
        stored: None,
        moves: None,
    }
}
