//! The session that a browser's cookies hold: reading it out of a request, writing it anew into an answer.
//!
//! Under Usher's own cookies the session says of itself whose it is and until when, or has a [key](in_store) to what the store
//! says of it; those of an existing service say nothing but the tokens. Nothing is verified here, and nothing is decided.

mod error;
mod in_cookies;
mod in_store;
mod jar;

use std::sync::Arc;
use std::time::Duration;

use super::cookies::{CookieNames, Found, FoundCookies, FoundValue};
use super::refresh::{PresentedRefresh, Renewed};
use super::verify::VerifiedToken;
use crate::clock::Timestamp;
use crate::config::{Config, Cookies, IssuerId, Secret};
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::stored::{self, SessionKey, StoredSessions};
use crate::session::{NoRandomness, SealError, Sealer, SessionId, SidHash, SignInFacts};

pub use error::{Unkept, Unread, Unreadable};
pub(super) use jar::RenewedSession;
pub use jar::{CookieJar, Waited};

/// Reads and writes sessions.
pub struct SessionCookies {
    keeping: Keeping,
    sessions: Arc<StoredSessions>,
    names: CookieNames,
    idle_timeout: Duration,
    absolute_timeout: Duration,
    issuers: Vec<Arc<str>>,
}

/// How a session is kept.
enum Keeping {
    /// The tokens in cookies, sealed.
    Sealed(Sealer),
    /// The tokens in cookies, as they are.
    Raw,
    /// The tokens in the store, and a key in the cookie. Cookies of before are opened, and what they hold moves there under
    /// a key that the first of these secrets makes, unless one that another makes is in use already.
    Stored(Sealer, Box<[Secret]>),
}

/// A session as cookies present it, before anything of it is verified.
pub struct PresentedSession {
    /// The access token.
    pub access: Option<AccessToken>,
    /// The refresh token, and what is known about it.
    pub refresh: Option<PresentedRefresh>,
    /// What the cookies say of the session; `None` for those of an existing service.
    pub facts: Option<SessionFacts>,
    /// What was found in the store, where the cookies have a key to that.
    pub(super) stored: Option<stored::Found>,
    /// The key that the session gets where it moves from cookies into the store.
    pub(super) moves: Option<SessionKey>,
}

/// A session that is about to begin.
#[derive(Clone, Copy)]
pub struct NewSession {
    /// What stays as it is from now on.
    pub origin: SessionOrigin,
    /// What the cookie gets, where the tokens are in the store.
    key: Option<SessionKey>,
}

/// The tokens of a session.
#[derive(Clone, Copy)]
pub struct SessionTokens<'a> {
    /// The one that says who somebody is, verified.
    pub access: &'a VerifiedToken,
    /// The one that renews it.
    pub refresh: Option<&'a RefreshToken>,
}

/// What sealed cookies say of a session beside its tokens.
#[derive(Clone, Copy, Debug)]
pub struct SessionFacts {
    /// What stays as it was at the sign-in.
    pub origin: SessionOrigin,
    /// When it ends if nothing happens before.
    pub idle_until: Timestamp,
}

/// What sealed cookies say of a session from its sign-in to its end.
#[derive(Clone, Copy, Debug)]
pub struct SessionOrigin {
    /// Whose it is.
    pub issuer: IssuerId,
    /// The session, new at every sign-in.
    pub id: SessionId,
    /// What it was called before it moved from cookies into the store, if it did. Copies of those cookies are of this session
    /// too, so whatever denies that name denies it.
    pub before: Option<SessionId>,
    /// When it began.
    pub started_at: Timestamp,
    /// How its issuer calls it, where it does.
    pub sid: Option<SidHash>,
    /// What the ID token of its sign-in says of that, where there was one.
    pub facts: SignInFacts,
}

impl SessionCookies {
    /// As the configuration wants them; `sessions` are those that are not in cookies.
    ///
    /// # Errors
    /// [`SealError`] when no key can be made of the session secrets.
    pub fn new(config: &Config, sessions: &Arc<StoredSessions>) -> Result<Self, SealError> {
        let keeping = match config.session.cookies {
            Cookies::Sealed => Keeping::Sealed(Sealer::new(&config.session.secrets)?),
            Cookies::Raw { .. } => Keeping::Raw,
            Cookies::Stored => {
                Keeping::Stored(Sealer::new(&config.session.secrets)?, config.session.secrets.clone().into())
            }
        };
        Ok(Self {
            keeping,
            sessions: Arc::clone(sessions),
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

    /// A name for a session that is about to begin, and its key if it gets one; those of an existing service have none.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn name(
        &self,
        issuer: IssuerId,
        started_at: Timestamp,
        sid: Option<SidHash>,
        facts: SignInFacts,
    ) -> Result<Option<NewSession>, NoRandomness> {
        let (id, key) = match &self.keeping {
            Keeping::Raw => return Ok(None),
            Keeping::Sealed(_) => (SessionId::random()?, None),
            Keeping::Stored(..) => {
                let key = SessionKey::random()?;
                (key.id(), Some(key))
            }
        };
        Ok(Some(NewSession { origin: SessionOrigin { issuer, id, before: None, started_at, sid, facts }, key }))
    }

    /// The session that the cookies hold, or have a key to, if its issuer is one of `allowed`; that of another issuer is none
    /// of this route's business, and stays as it is. Cookies of the kind that is not used count where there are no others.
    ///
    /// # Errors
    /// [`Unread`]
    pub async fn read(&self, found: &FoundCookies, allowed: &[IssuerId]) -> Result<Option<PresentedSession>, Unread> {
        if self.are_key(found) {
            Box::pin(self.find(found, allowed)).await
        } else {
            let mut presented = self.read_tokens(found, allowed)?;
            if let Some(presented) = presented.as_mut().filter(|presented| presented.moves.is_some()) {
                Box::pin(self.find_moved(presented)).await;
            }
            Ok(presented)
        }
    }

    /// Whether they count as a key to a session in the store, rather than as tokens.
    #[must_use]
    pub fn are_key(&self, found: &FoundCookies) -> bool {
        let is_absent = |found: &Found| found.value == FoundValue::Absent;
        match &self.keeping {
            Keeping::Stored(..) => !is_absent(&found.session),
            Keeping::Sealed(_) => is_absent(&found.access) && is_absent(&found.refresh),
            Keeping::Raw => false,
        }
    }

    /// The issuer of this name, if it counts here.
    fn allowed(&self, name: &str, allowed: &[IssuerId]) -> Option<IssuerId> {
        let issuer = self.issuers.iter().position(|issuer| **issuer == *name).map(IssuerId);
        issuer.filter(|issuer| allowed.contains(issuer))
    }

    /// Begins a session: from here on the browser has it.
    ///
    /// # Errors
    /// [`Unkept`]: the jar stays as it is.
    pub async fn begin(
        &self,
        session: Option<NewSession>,
        tokens: SessionTokens<'_>,
        now: Timestamp,
        jar: &mut CookieJar,
    ) -> Result<(), Unkept> {
        // What has moved before, this one takes the place of.
        jar.moved = None;
        let origin = session.map(|session| session.origin);
        match (origin, session.and_then(|session| session.key)) {
            (Some(origin), Some(key)) => self.begin_stored(key, origin, tokens, now, jar).await,
            _ => self.write(origin, tokens, now, jar),
        }
    }

    /// Keeps the tokens of a renewal.
    ///
    /// # Errors
    /// [`Unkept`]: what is kept, and the jar, stay as they are.
    pub(super) async fn renew(
        &self,
        session: &RenewedSession,
        now: Timestamp,
        jar: &mut CookieJar,
    ) -> Result<(), Unkept> {
        let Renewed { access, refresh_token } = &*session.tokens;
        let tokens = SessionTokens { access, refresh: Some(refresh_token) };
        match (&self.keeping, &session.stored, session.origin) {
            (Keeping::Stored(..), Some(found), Some(origin)) => {
                let renewed = self.to_store(origin, tokens, now);
                Ok(self.sessions.replace(found, renewed, now).await?)
            }
            // It is about to move.
            (Keeping::Stored(..), _, _) => Ok(()),
            _ => self.write(session.origin, tokens, now, jar),
        }
    }

    /// "Idle" cannot begin before the access token has expired: until then, requests leave no trace.
    fn idle_until(&self, started_at: Timestamp, access: &VerifiedToken, now: Timestamp) -> Timestamp {
        access.expires_at.max(now).after(self.idle_timeout).min(started_at.after(self.absolute_timeout))
    }

    fn issuer_name(&self, issuer: IssuerId) -> Box<str> {
        self.issuers.get(issuer.0).map(|name| Box::from(&**name)).unwrap_or_default()
    }

    /// Clears whatever Usher has set in this browser, sign-ins under way included.
    pub fn clear_all(&self, found: &FoundCookies, jar: &mut CookieJar) {
        self.clear(jar);
        for other in &found.others {
            jar.clear_other(&other.name);
        }
    }

    /// Clears the cookies of a session.
    pub fn clear(&self, jar: &mut CookieJar) {
        jar.lines = self.names.clear(jar.browser);
    }
}
