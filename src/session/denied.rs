//! What was denied before its time: sessions that were signed out or stolen, access tokens that outlive them, and all that a
//! user was given until then. Here, or by the issuer.
//!
//! An access token is good until it expires, whatever happens to its session. The entries here close that gap on this
//! instance, at once. A request asks only when [`Denied::epoch`] has moved since it last asked, so the list costs one
//! atomic load while nobody signs out; what goes on for longer than a request waits for [`Denied::changes`].
//!
//! Every denial is plain data, a [`Denial`]: whoever takes it elsewhere, to other instances or through a restart, listens to
//! [`Denied::news`] and brings in with [`Denied::apply`] what comes from there. This module does *not* end sessions; it
//! remembers that they ended.

mod denial;
mod entries;
mod journal;
mod keeper;
mod names;
mod shared;
mod subjects;
mod taken;
mod telling;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use tokio::sync::{broadcast, watch};

use self::entries::Entries;
use self::names::LogoutHash;
use self::subjects::{Made, Subjects};
use super::SessionId;
use crate::clock::{Now, Timestamp};

pub use denial::{Denial, What};
pub use journal::DenialJournal;
pub use keeper::DenialKeeper;
pub use names::{SidHash, SubjectHash, TokenHash};
pub use shared::SharedDenials;

/// So many denials may wait for those who take them elsewhere. Who comes later than that asks for [`Denied::all`].
const NEWS: usize = 4096;

/// The list. Bounded: when it is full, the entry that would have ended first goes, with a warning.
pub struct Denied {
    epoch: AtomicU64,
    lists: RwLock<Lists>,
    changes: watch::Sender<()>,
    news: broadcast::Sender<Denial>,
}

struct Lists {
    sessions: Entries<SessionId>,
    /// The same by the issuers' own names.
    sids: Entries<SidHash>,
    access_tokens: Entries<TokenHash>,
    /// Logout tokens that have done their work.
    logouts: Entries<LogoutHash>,
    subjects: Subjects,
}

impl Denied {
    /// An empty list of at most `capacity` sessions, and as many access tokens and subjects.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let lists = Lists {
            sessions: Entries::new(capacity),
            sids: Entries::new(capacity),
            access_tokens: Entries::new(capacity),
            logouts: Entries::new(capacity),
            subjects: Subjects::new(capacity),
        };
        Self {
            epoch: AtomicU64::new(0),
            lists: RwLock::new(lists),
            changes: watch::Sender::new(()),
            news: broadcast::Sender::new(NEWS),
        }
    }

    /// Moves with every denial. Who has asked [`Denied::is_denied`] after reading this epoch need not ask again while it
    /// stays the same. One atomic load.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Tells of every denial from now on, once it is on the list. Several in a row may be told as one.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether the session or the access token was denied. An entry may be found after its end: what it names has expired
    /// by then anyway.
    #[must_use]
    pub fn is_denied(&self, session: Option<SessionId>, access_token: &str) -> bool {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        session.is_some_and(|session| lists.sessions.contains(&session))
            || (!lists.access_tokens.is_empty() && lists.access_tokens.contains(&TokenHash::of(access_token)))
    }

    /// Whether everything was denied that the issuer had given this subject at the time of `issued_at`, which is when the
    /// session began if there is one. What does not say when it was issued counts as issued before.
    #[must_use]
    pub fn is_subject_denied(
        &self,
        issuer: &str,
        subject: &str,
        issued_at: Option<Timestamp>,
        session: Option<SessionId>,
    ) -> bool {
        self.covers(|| SubjectHash::of(issuer, subject), issued_at, session)
    }

    /// Whether the session that the issuer calls so was denied.
    #[must_use]
    pub fn is_sid_denied(&self, sid: SidHash) -> bool {
        self.lists.read().unwrap_or_else(PoisonError::into_inner).sids.contains(&sid)
    }

    /// Whether sessions of this subject were denied of which nobody here knows how the issuer calls them, and this one, which
    /// began at `started_at`, had begun by then.
    #[must_use]
    pub fn is_nameless_denied(&self, issuer: &str, subject: &str, started_at: Timestamp, session: SessionId) -> bool {
        self.covers(|| SubjectHash::of_nameless(issuer, subject), Some(started_at), Some(session))
    }

    fn covers(
        &self,
        subject: impl FnOnce() -> SubjectHash,
        issued_at: Option<Timestamp>,
        session: Option<SessionId>,
    ) -> bool {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        !lists.subjects.is_empty() && lists.subjects.cover(&subject(), issued_at, session)
    }

    /// Takes note of a session of this subject that has just begun: what was denied of the subject until now does not mean
    /// it, though it be of the same second, or the clock have been set back. `until` it is over by itself.
    pub fn begin_session(&self, session: SessionId, issuer: &str, subject: &str, until: Timestamp, now: Now) {
        let names = [SubjectHash::of(issuer, subject), SubjectHash::of_nameless(issuer, subject)];
        let is_denied = |lists: &Lists| names.iter().any(|name| lists.subjects.contains(name));
        if is_denied(&self.lists.read().unwrap_or_else(PoisonError::into_inner)) {
            self.tell(Denial { what: What::Begun(session), until }, now);
        }
    }

    /// Denies all access tokens that the issuer has given this subject up to `issued_until`; `until` the last of them has
    /// expired by itself.
    pub fn deny_subject(&self, issuer: &str, subject: &str, issued_until: Timestamp, until: Timestamp, now: Now) {
        self.tell(Denial { what: What::Subject { name: SubjectHash::of(issuer, subject), issued_until }, until }, now);
    }

    /// Denies the session that the issuer calls so until `until`, and the access tokens that name it.
    pub fn deny_sid(&self, sid: SidHash, until: Timestamp, now: Now) {
        self.tell(Denial { what: What::Sid(sid), until }, now);
    }

    /// Denies the sessions of this subject that have begun up to `started_until` and of which nobody here knows how the
    /// issuer calls them.
    pub fn deny_nameless(&self, issuer: &str, subject: &str, started_until: Timestamp, until: Timestamp, now: Now) {
        let name = SubjectHash::of_nameless(issuer, subject);
        self.tell(Denial { what: What::Subject { name, issued_until: started_until }, until }, now);
    }

    /// Whether this logout token of the issuer's comes for the first time. It counts no more from then on; `until` it would
    /// have expired by itself.
    #[must_use]
    pub fn use_logout_token(&self, issuer: &str, jti: &str, until: Timestamp, now: Now) -> bool {
        let token = LogoutHash::of(issuer, jti);
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        lists.logouts.drop_ended(now);
        let is_new = !lists.logouts.contains(&token);
        lists.logouts.insert(token, until, now);
        is_new
    }

    /// Lets a logout token count once more: what it has brought about may not last.
    pub fn return_logout_token(&self, issuer: &str, jti: &str) {
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        lists.logouts.remove(&LogoutHash::of(issuer, jti));
    }

    /// Denies a session until `until`, when its cookies have ended by themselves.
    pub fn deny_session(&self, session: SessionId, until: Timestamp, now: Now) {
        self.tell(Denial { what: What::Session(session), until }, now);
    }

    /// Denies an access token until `until`, when it has expired by itself.
    pub fn deny_access_token(&self, access_token: TokenHash, until: Timestamp, now: Now) {
        self.tell(Denial { what: What::AccessToken(access_token), until }, now);
    }

    /// Another bound: the configuration has changed, the entries stay.
    pub fn set_capacity(&self, capacity: usize) {
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        let capacity = capacity.max(1);
        (lists.sessions.capacity, lists.access_tokens.capacity) = (capacity, capacity);
        (lists.sids.capacity, lists.logouts.capacity) = (capacity, capacity);
        lists.subjects.set_capacity(capacity);
    }

    /// Tells of every denial that is made here from now on, once it is on the list; not of what the list has. Those that [`Denied::apply`] brings in are
    /// not told again.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<Denial> {
        self.news.subscribe()
    }

    /// Everything that is on the list, in an order that makes the same list again.
    #[must_use]
    pub fn all(&self) -> Vec<Denial> {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        let sessions = lists.sessions.iter().map(|(session, until)| (What::Session(session), until));
        let sids = lists.sids.iter().map(|(sid, until)| (What::Sid(sid), until));
        let tokens = lists.access_tokens.iter().map(|(token, until)| (What::AccessToken(token), until));
        let named = sessions.chain(sids).chain(tokens).map(|(what, until)| Denial { what, until });
        named.chain(lists.subjects.all()).collect()
    }

    /// Takes a denial over that was made elsewhere, or before a restart.
    pub fn apply(&self, denial: Denial, now: Now) {
        self.enter(denial, Made::Elsewhere, now);
    }

    /// From now on, what is told comes back from where the denials of all instances stand in one order: see [`Denied::place`].
    fn share(&self) {
        self.lists.write().unwrap_or_else(PoisonError::into_inner).subjects.share();
    }

    /// A denial that was made here has come back. What others have begun before that, which [`Denied::apply`] may have brought
    /// in since it was made, it denies.
    fn place(&self, denial: &Denial) {
        if let What::Subject { name, issued_until } = &denial.what {
            self.lists.write().unwrap_or_else(PoisonError::into_inner).subjects.place(name, *issued_until);
        }
    }

    fn tell(&self, denial: Denial, now: Now) {
        self.enter(denial, Made::Here, now);
    }

    fn enter(&self, denial: Denial, made: Made, now: Now) {
        let Denial { what, until } = denial;
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        lists.drop_ended(now);
        let is_news = match what {
            What::Session(session) => lists.sessions.insert(session, until, now),
            What::Sid(sid) => lists.sids.insert(sid, until, now),
            What::AccessToken(token) => lists.access_tokens.insert(token, until, now),
            // Once more in the same second, it means those who have begun since; only the issuer can say so, and an operator.
            What::Subject { name, issued_until } => {
                lists.subjects.deny(name, (issued_until, until), made, now);
                true
            }
            What::Begun(session) => {
                lists.subjects.begin(session, until, made, now);
                true
            }
        };
        // A cookie opens after its sign-out too: whoever sends it again and again must not fill the lists of all instances,
        // which are bounded, nor make every stream look.
        if !is_news {
            return;
        }
        // A beginning refuses nothing, so nobody has to look again.
        let refuses = !matches!(what, What::Begun(_));
        if refuses {
            // Behind the entry: who sees the new epoch finds the entry.
            self.epoch.fetch_add(1, Ordering::Release);
        }
        if made == Made::Here {
            // With the lists at hand, for it is told in the order in which it counts here. An error says that nobody listens.
            let _ = self.news.send(denial);
        }
        drop(lists);
        if refuses {
            self.changes.send_replace(());
        }
    }
}

impl Lists {
    fn drop_ended(&mut self, now: Now) {
        self.sessions.drop_ended(now);
        self.access_tokens.drop_ended(now);
        self.subjects.drop_ended(now);
        self.sids.drop_ended(now);
    }
}

#[cfg(test)]
mod tests;
