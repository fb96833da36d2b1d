//! Sessions whose tokens are kept here, and not in cookies: in the memory of this process, or on a server that instances
//! [share](super::shared).
//!
//! A browser has a [`SessionKey`], and what it opens is a [`StoredSession`]. From the server, a session is remembered here as
//! well, so that most requests ask nobody: that is enough as long as nothing of it is to be changed, for whatever ends a
//! session before its time is a denial too. Whoever wants to spend a refresh token has to [look again](StoredSessions::find_anew):
//! what is remembered may have been renewed by another instance.
//!
//! The tokens are the newest that are known, and nothing follows from their being old: the records of renewals lead from any
//! token of a chain to its end. So a change that is lost costs a look at those, and no session.

mod key;
mod on_server;
mod record;
mod shelf;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::shared::Away;
use super::{SealError, Sealer, SessionId};
use crate::clock::Timestamp;
use shelf::Shelf;

pub use key::SessionKey;
pub use on_server::{Listing, SessionsOnServer};
pub use record::StoredSession;

/// The sessions.
pub struct StoredSessions {
    /// All of them, or of those on the server the ones that were asked for.
    known: RwLock<Shelf>,
    server: Option<SessionsOnServer>,
}

/// A session as it was found, which is what a changed one takes the place of.
#[derive(Debug)]
pub struct Held {
    /// The session.
    pub session: StoredSession,
    /// What the value on the server begins with, and no other value does.
    tag: Box<str>,
}

/// A session that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is called.
    pub id: SessionId,
    /// The session.
    pub held: Arc<Held>,
    /// It is what was known here: the server may know better.
    pub is_remembered: bool,
}

/// Why a session was not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The server is away.
    #[error(transparent)]
    Away(#[from] Away),
    /// It cannot be sealed. Our host's fault.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Held {
    fn in_memory(session: StoredSession) -> Self {
        Self { session, tag: Box::default() }
    }
}

impl StoredSessions {
    /// Of this process alone: at most so many, and so many bytes.
    #[must_use]
    pub fn in_memory(bounds: (usize, usize)) -> Self {
        Self { known: RwLock::new(Shelf::new(bounds)), server: None }
    }

    /// On a server. At most so many, and so many bytes, are remembered here.
    #[must_use]
    pub fn on_server(server: SessionsOnServer, bounds: (usize, usize)) -> Self {
        Self { known: RwLock::new(Shelf::new(bounds)), server: Some(server) }
    }

    /// Another bound, and other secrets: the configuration has changed, the sessions stay.
    pub fn set_terms(&self, bounds: (usize, usize), sealer: Sealer) {
        self.known_mut().set_bounds(bounds);
        if let Some(server) = &self.server {
            server.set_sealer(sealer);
        }
    }

    /// The session of this name, as it is known here or else on the server.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn find(&self, id: SessionId) -> Result<Option<Found>, Away> {
        let known = self.known().get(&id).map(Arc::clone);
        match known {
            Some(held) => Ok(Some(Found { id, held, is_remembered: self.server.is_some() })),
            None => self.find_anew(id).await,
        }
    }

    /// The session as it is now.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn find_anew(&self, id: SessionId) -> Result<Option<Found>, Away> {
        let Some(server) = &self.server else {
            let held = self.known().get(&id).map(Arc::clone);
            return Ok(held.map(|held| Found { id, held, is_remembered: false }));
        };
        let held = Box::pin(server.read(id)).await?.map(Arc::new);
        match &held {
            Some(held) => self.known_mut().put(id, Arc::clone(held)),
            None => self.known_mut().take(&id),
        }
        Ok(held.map(|held| Found { id, held, is_remembered: false }))
    }

    /// Keeps a session that has just begun. Whatever has that name already stays. What stands there afterwards; `None` for what
    /// cannot be read.
    ///
    /// # Errors
    /// [`NotKept`]
    pub async fn begin(
        &self,
        id: SessionId,
        session: StoredSession,
        (now, ends_at): (Timestamp, Timestamp),
    ) -> Result<Option<Found>, NotKept> {
        let held = if let Some(server) = &self.server {
            let there = Box::pin(server.begin(id, session, (now, ends_at))).await?;
            let Some(held) = there.map(Arc::new) else { return Ok(None) };
            self.known_mut().put(id, Arc::clone(&held));
            held
        } else {
            let mut known = self.known_mut();
            let held = known.get(&id).map_or_else(|| Arc::new(Held::in_memory(session)), Arc::clone);
            known.put(id, Arc::clone(&held));
            held
        };
        Ok(Some(Found { id, held, is_remembered: false }))
    }

    /// Keeps other tokens in the place of those that were found. Where somebody was faster, what they have written is as new,
    /// and stays (R9); a session that has ended stays so (R10).
    ///
    /// # Errors
    /// [`NotKept`]: whoever comes next finds the old tokens, and through them the new ones.
    pub async fn replace(&self, old: &Found, session: StoredSession, now: Timestamp) -> Result<(), NotKept> {
        let Some(server) = &self.server else {
            let mut known = self.known_mut();
            if known.get(&old.id).is_some_and(|held| Arc::ptr_eq(held, &old.held)) {
                known.put(old.id, Arc::new(Held::in_memory(session)));
            }
            return Ok(());
        };
        // Of many requests that were renewed at once, one need write it.
        if self.known().get(&old.id).is_some_and(|held| held.tag != old.held.tag) {
            return Ok(());
        }
        match Box::pin(server.replace(old.id, &old.held, session, now)).await? {
            Some(held) => self.known_mut().put(old.id, Arc::new(held)),
            None => self.known_mut().take(&old.id),
        }
        Ok(())
    }

    /// Forgets a session that has ended. Whoever remembers it elsewhere is told by its denial.
    ///
    /// # Errors
    /// [`Away`]: it is forgotten here only.
    pub async fn end(&self, found: &Found) -> Result<(), Away> {
        self.known_mut().take(&found.id);
        match &self.server {
            Some(server) => Box::pin(server.end(found.id, Some(&found.held.session))).await,
            None => Ok(()),
        }
    }

    /// How many there are whose time is not up; `None` where they are on a server.
    #[must_use]
    pub fn living(&self, now: Timestamp) -> Option<usize> {
        self.server.is_none().then(|| self.known().living(now))
    }

    fn known(&self) -> RwLockReadGuard<'_, Shelf> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Shelf> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
