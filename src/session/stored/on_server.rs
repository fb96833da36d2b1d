//! The sessions on a server: each a sealed value that goes when the session is idle for too long, and its name in two sets,
//! of all sessions and of its user's, by which they are listed.
//!
//! Names in those sets may outlive their sessions, until these would have been too old. Nobody takes them out before: a session
//! that is about to begin has a name without a value, too.

use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::try_join_all;

use super::{Held, NotKept, StoredSession};
use crate::clock::Timestamp;
use crate::session::shared::{Away, Connection, Server, Swap};
use crate::session::{Sealer, SessionId, sha256, start};

/// What a sealed value begins with, and no other one does: version and nonce.
const TAG: usize = 18;
/// The set of all sessions is as many sets, so that no server of a Cluster has all of it.
const SHARDS: u8 = 16;
/// Clocks of instances differ: so much longer than until it ends, a session is kept.
const SLACK: Duration = Duration::from_secs(60);

/// Sessions on a server.
pub struct SessionsOnServer {
    server: Connection,
    prefix: String,
    sealer: ArcSwap<Sealer>,
}

/// Which sessions are listed, page by page.
#[derive(Debug)]
pub struct Listing {
    sets: Vec<String>,
    from: Option<String>,
}

impl SessionsOnServer {
    /// On this server, under keys that begin with `prefix`.
    #[must_use]
    pub fn new(server: Connection, prefix: &str, sealer: Sealer) -> Self {
        Self { server, prefix: prefix.to_owned(), sealer: ArcSwap::from_pointee(sealer) }
    }

    pub(super) fn set_sealer(&self, sealer: Sealer) {
        self.sealer.store(std::sync::Arc::new(sealer));
    }

    /// The session of this name. What cannot be opened is none: whoever wrote it has another secret.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn read(&self, id: SessionId) -> Result<Option<Held>, Away> {
        let value = self.server.look_up(&self.key(id)).await?;
        Ok(self.open(id, &value))
    }

    /// What stands there afterwards: this one, or the one that was there already.
    pub(super) async fn begin(
        &self,
        id: SessionId,
        session: StoredSession,
        (now, ends_at): (Timestamp, Timestamp),
    ) -> Result<Option<Held>, NotKept> {
        let sealed = session.seal(id, &self.sealer.load())?;
        let (name, lasts) = (id.to_text(), ends_at.since(now).saturating_add(SLACK));
        // The names come first: a session that is in no list could not be ended by its user's name.
        let (all, user) = (self.all(id), self.user(&session.issuer, &session.subject));
        futures_util::try_join!(self.server.enlist(&all, &name, lasts), self.server.enlist(&user, &name, lasts))?;
        let (key, lasts) = (self.key(id), lasts_for(&session, now));
        let swap = Swap { key: &key, held: b"", value: &sealed, lasts, tell: None };
        self.written(id, &swap, session).await
    }

    /// What stands there afterwards.
    pub(super) async fn replace(
        &self,
        id: SessionId,
        old: &Held,
        session: StoredSession,
        now: Timestamp,
    ) -> Result<Option<Held>, NotKept> {
        let sealed = session.seal(id, &self.sealer.load())?;
        let (key, lasts) = (self.key(id), lasts_for(&session, now));
        let swap = Swap { key: &key, held: old.tag.as_bytes(), value: &sealed, lasts, tell: None };
        self.written(id, &swap, session).await
    }

    /// Writes it unless somebody was faster. What stands there afterwards, if that can be read.
    async fn written(&self, id: SessionId, swap: &Swap<'_>, session: StoredSession) -> Result<Option<Held>, NotKept> {
        Ok(match self.server.swap(swap).await? {
            None => Some(held(session, swap.value)),
            Some(reading) => std::str::from_utf8(&reading.value).ok().and_then(|value| self.open(id, value)),
        })
    }

    /// Removes a session, and its name from the sets if it is known whose it was.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn end(&self, id: SessionId, session: Option<&StoredSession>) -> Result<(), Away> {
        let name = id.to_text();
        self.server.remove(&self.key(id)).await?;
        self.server.strike(&self.all(id), &name).await?;
        match session {
            Some(session) => self.server.strike(&self.user(&session.issuer, &session.subject), &name).await,
            None => Ok(()),
        }
    }

    /// All sessions.
    #[must_use]
    pub fn list_all(&self) -> Listing {
        Listing { sets: (0..SHARDS).map(|shard| self.shard(shard)).collect(), from: None }
    }

    /// The sessions of this user at these issuers, by their short names.
    #[must_use]
    pub fn list_user<'a>(&self, issuers: impl IntoIterator<Item = &'a str>, subject: &str) -> Listing {
        Listing { sets: issuers.into_iter().map(|issuer| self.user(issuer, subject)).collect(), from: None }
    }

    /// The next sessions of a list; `None` behind the last.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn next(&self, listing: &mut Listing) -> Result<Option<Vec<(SessionId, StoredSession)>>, Away> {
        let Some(set) = listing.sets.last() else { return Ok(None) };
        let page = self.server.members(set, listing.from.as_deref()).await?;
        let look_up = async |member: &String| {
            let Some(id) = SessionId::parse(member) else { return Ok(None) };
            Ok(Some((id, self.server.look_up(&self.key(id)).await?)))
        };
        // All at once: a page is one round trip, or a few.
        let values = try_join_all(page.members.iter().map(look_up)).await?;
        let values = values.into_iter().flatten();
        let sessions = values.filter_map(|(id, value)| Some((id, self.open(id, &value)?.session))).collect();
        listing.from = page.next;
        if listing.from.is_none() {
            listing.sets.pop();
        }
        Ok(Some(sessions))
    }

    fn open(&self, id: SessionId, value: &str) -> Option<Held> {
        StoredSession::open(value, id, &self.sealer.load()).map(|session| held(session, value))
    }

    fn key(&self, id: SessionId) -> String {
        format!("{}:session:{}", self.prefix, id.to_text())
    }

    fn all(&self, id: SessionId) -> String {
        let SessionId([first, ..]) = id;
        self.shard(first % SHARDS)
    }

    fn shard(&self, shard: u8) -> String {
        format!("{}:sessions:{shard:x}", self.prefix)
    }

    /// A hash: who reads the store need not learn the names of all users.
    fn user(&self, issuer: &str, subject: &str) -> String {
        let name: [u8; 16] = start(&sha256(&[b"usher user\0", issuer.as_bytes(), &[0], subject.as_bytes()]));
        format!("{}:user:{:032x}", self.prefix, u128::from_be_bytes(name))
    }
}

fn held(session: StoredSession, sealed: &str) -> Held {
    Held { session, tag: sealed.get(..TAG).unwrap_or(sealed).into() }
}

fn lasts_for(session: &StoredSession, now: Timestamp) -> Duration {
    session.idle_until.since(now).saturating_add(SLACK)
}
