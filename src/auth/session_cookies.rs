//! The session that a browser's cookies hold: reading it out of a request, writing it anew into an answer.
//!
//! Under Usher's own cookies the session says of itself whose it is and until when; those of an existing service say
//! nothing but the tokens. Nothing is verified here, and nothing is decided.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::cookies::{CookieNames, FoundCookies, FoundValue, InBrowser, Unstorable, own_line};
use super::refresh::{PresentedRefresh, Renewed};
use super::step_up::SignInFacts;
use super::ticket::{Purpose, Ticket};
use super::verify::VerifiedToken;
use crate::clock::Timestamp;
use crate::config::{Config, Cookies, IssuerId};
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::{SealError, Sealer, SessionId, SidHash};

/// Reads and writes sessions.
pub struct SessionCookies {
    sealer: Option<Sealer>,
    names: CookieNames,
    idle_timeout: Duration,
    absolute_timeout: Duration,
    issuers: Vec<Arc<str>>,
}

/// A session as cookies present it, before anything of it is verified.
pub struct PresentedSession {
    /// The access token.
    pub access: Option<AccessToken>,
    /// The refresh token, and what is known about it.
    pub refresh: Option<PresentedRefresh>,
    /// What the cookies say of the session; `None` for those of an existing service.
    pub facts: Option<SessionFacts>,
}

/// What sealed cookies say of a session beside its tokens.
#[derive(Clone, Copy, Debug)]
pub struct SessionFacts {
    /// Whose it is.
    pub issuer: IssuerId,
    /// What stays as it was at the sign-in.
    pub origin: SessionOrigin,
    /// When it ends if nothing happens before.
    pub idle_until: Timestamp,
}

/// What sealed cookies say of a session from its sign-in to its end.
#[derive(Clone, Copy, Debug)]
pub struct SessionOrigin {
    /// The session, new at every sign-in.
    pub id: SessionId,
    /// When it began.
    pub started_at: Timestamp,
    /// How its issuer calls it, where it does.
    pub sid: Option<SidHash>,
    /// What the ID token of its sign-in says of that, where there was one.
    pub facts: SignInFacts,
}

/// The cookies are no session: of another key, cut, doubled, forged, or a pair that was put together by somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session cookies cannot be read")]
pub struct Unreadable;

/// What shall happen to the browser's cookies, whatever the answer is.
pub struct CookieJar {
    browser: InBrowser,
    lines: Vec<HeaderValue>,
    /// Of cookies that carry no session.
    others: Vec<HeaderValue>,
    /// What the lines come from, when it is a renewal.
    pub(super) renewed: Option<RenewedSession>,
}

/// A session that this request has renewed, or found renewed.
pub(super) struct RenewedSession {
    /// The refresh token that the request presented.
    pub(super) presented: PresentedRefresh,
    /// The session, when the cookies name one.
    pub(super) origin: Option<SessionOrigin>,
    /// What it was renewed to, as far as this request knows.
    pub(super) tokens: Arc<Renewed<VerifiedToken>>,
}

/// Why new tokens are not written into cookies.
#[derive(Debug, thiserror::Error)]
pub enum Unkept {
    /// No browser would keep them. The issuer's fault.
    #[error(transparent)]
    Unstorable(#[from] Unstorable),
    /// They cannot be sealed. Our host's fault.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl SessionCookies {
    /// As the configuration wants them.
    ///
    /// # Errors
    /// [`SealError`] when no key can be made of the session secrets.
    pub fn new(config: &Config) -> Result<Self, SealError> {
        let sealer = match config.session.cookies {
            Cookies::Sealed => Some(Sealer::new(&config.session.secrets)?),
            Cookies::Raw { .. } => None,
        };
        Ok(Self {
            sealer,
            names: CookieNames::new(&config.session.cookies),
            idle_timeout: config.session.idle_timeout,
            absolute_timeout: config.session.absolute_timeout,
            issuers: config.issuers.iter().map(|issuer| Arc::clone(&issuer.name)).collect(),
        })
    }

    /// The names of the cookies.
    #[must_use]
    pub const fn names(&self) -> &CookieNames {
        &self.names
    }

    /// Whether the cookies are Usher's own, with a session id inside.
    #[must_use]
    pub const fn are_sealed(&self) -> bool {
        self.sealer.is_some()
    }

    /// The session that the cookies hold, if its issuer is one of `allowed`; that of another issuer is none of this
    /// route's business, and stays as it is.
    ///
    /// # Errors
    /// [`Unreadable`], which says nothing about why: whoever made the cookie need not learn.
    pub fn read(&self, found: &FoundCookies, allowed: &[IssuerId]) -> Result<Option<PresentedSession>, Unreadable> {
        let (access, refresh) = (text(&found.access.value)?, text(&found.refresh.value)?);
        match &self.sealer {
            _ if access.is_none() && refresh.is_none() => Ok(None),
            Some(sealer) => self.open(sealer, access, refresh, allowed),
            None => Ok(Some(raw(access, refresh, allowed))),
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
        let issuer = self.issuers.iter().position(|name| **name == *ticket.issuer).map(IssuerId);
        let Some(issuer) = issuer.filter(|issuer| allowed.contains(issuer)) else { return Ok(None) };
        Ok(Some(PresentedSession {
            facts: Some(SessionFacts {
                issuer,
                origin: SessionOrigin {
                    id: ticket.session,
                    started_at: ticket.started_at,
                    sid: ticket.sid,
                    facts: ticket.facts,
                },
                idle_until: ticket.idle_until,
            }),
            refresh: refresh.as_ref().map(|ticket| PresentedRefresh {
                issuer,
                token: RefreshToken::new(&ticket.token),
                session: Some(ticket.session),
                subject: Some(ticket.subject.clone()),
                started_at: Some(ticket.started_at),
                beside: None,
            }),
            access: access.map(|ticket| AccessToken::new(&ticket.token)),
        }))
    }

    /// Writes both cookies of a session into the jar; without a refresh token, the browser's is cleared. The access token
    /// says what `origin` does not; cookies of an existing service have none.
    ///
    /// # Errors
    /// [`Unkept`]: the jar stays as it is.
    pub fn write(
        &self,
        (issuer, origin): (IssuerId, Option<SessionOrigin>),
        access: &VerifiedToken,
        refresh: Option<&RefreshToken>,
        now: Timestamp,
        jar: &mut CookieJar,
    ) -> Result<(), Unkept> {
        let ends_at = origin.map_or(now, |origin| origin.started_at).after(self.absolute_timeout);
        // "Idle" cannot begin before the access token has expired: until then, requests leave no trace in the cookies.
        let idle_until = access.expires_at.max(now).after(self.idle_timeout).min(ends_at);
        let max_age = idle_until.since(now).as_secs();
        let value = |token: &str, purpose| match (&self.sealer, origin) {
            (Some(sealer), Some(SessionOrigin { id, started_at, sid, facts })) => Ticket {
                session: id,
                started_at,
                idle_until,
                issuer: self.issuers.get(issuer.0).map(|name| Box::from(&**name)).unwrap_or_default(),
                subject: access.claims.subject().unwrap_or_default().into(),
                token: token.into(),
                sid,
                facts,
            }
            .seal(purpose, sealer),
            _ => Ok(token.to_owned()),
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
        jar.lines = lines;
        Ok(())
    }

    /// Clears whatever Usher has set in this browser, sign-ins under way included.
    pub fn clear_all(&self, found: &FoundCookies, jar: &mut CookieJar) {
        self.clear(jar);
        for other in &found.others {
            jar.clear_other(&other.name);
        }
    }

    /// Clears both cookies.
    pub fn clear(&self, jar: &mut CookieJar) {
        jar.lines = self.names.clear(jar.browser);
    }
}

fn text(value: &FoundValue) -> Result<Option<&str>, Unreadable> {
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
            subject: None,
            started_at: None,
            beside: None,
        }),
        facts: None,
    }
}

impl CookieJar {
    /// An empty jar for a browser that has these cookies.
    #[must_use]
    pub const fn new(browser: InBrowser) -> Self {
        Self { browser, lines: Vec::new(), others: Vec::new(), renewed: None }
    }

    /// Leaves the browser's cookies as they are.
    pub(super) fn forget(&mut self) {
        self.lines.clear();
    }

    /// Sets a cookie of Usher's own that carries no session, by what follows the prefix of its name.
    pub(super) fn set_other(&mut self, name: &str, value: &str, max_age: u64) {
        self.others.extend(own_line(name, value, max_age));
    }

    /// Clears it.
    pub(super) fn clear_other(&mut self, name: &str) {
        self.others.extend(own_line(name, "", 0));
    }

    /// The `Set-Cookie` lines to send.
    pub fn lines(&self) -> impl Iterator<Item = &HeaderValue> {
        self.lines.iter().chain(&self.others)
    }
}
