//! What was denied before its time: sessions that were signed out or stolen, access tokens that outlive them, and all that a
//! user was given until then. Here, or by the issuer.
//!
//! An access token is good until it expires, whatever happens to its session. The entries here close that gap on this
//! instance, at once. A request asks only when [`Denied::epoch`] has moved since it last asked, so the list costs one
//! atomic load while nobody signs out; what goes on for longer than a request waits for [`Denied::changes`]. This
//! module does *not* end sessions; it remembers that they ended.

mod entries;
mod names;
mod subjects;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use tokio::sync::watch;

use self::entries::Entries;
use self::names::{LogoutHash, SubjectHash};
use self::subjects::Subjects;
use super::SessionId;
use super::store::Now;
use crate::clock::Timestamp;

pub use names::{SidHash, TokenHash};

/// The list. Bounded: when it is full, the entry that would have ended first goes, with a warning.
pub struct Denied {
    epoch: AtomicU64,
    lists: RwLock<Lists>,
    changes: watch::Sender<()>,
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
        Self { epoch: AtomicU64::new(0), lists: RwLock::new(lists), changes: watch::Sender::new(()) }
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
            let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
            lists.subjects.drop_ended(now);
            lists.subjects.begin(session, until, now);
        }
    }

    /// Denies all access tokens that the issuer has given this subject up to `issued_until`; `until` the last of them has
    /// expired by itself.
    pub fn deny_subject(&self, issuer: &str, subject: &str, issued_until: Timestamp, until: Timestamp, now: Now) {
        self.deny_issued(SubjectHash::of(issuer, subject), issued_until, until, now);
    }

    /// Denies the session that the issuer calls so until `until`, and the access tokens that name it.
    pub fn deny_sid(&self, sid: SidHash, until: Timestamp, now: Now) {
        self.deny(now, |lists| lists.sids.insert(sid, until, now));
    }

    /// Denies the sessions of this subject that have begun up to `started_until` and of which nobody here knows how the
    /// issuer calls them.
    pub fn deny_nameless(&self, issuer: &str, subject: &str, started_until: Timestamp, until: Timestamp, now: Now) {
        self.deny_issued(SubjectHash::of_nameless(issuer, subject), started_until, until, now);
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

    fn deny_issued(&self, subject: SubjectHash, issued_until: Timestamp, until: Timestamp, now: Now) {
        self.deny(now, |lists| lists.subjects.deny(subject, issued_until, until, now));
    }

    /// Denies a session until `until`, when its cookies have ended by themselves.
    pub fn deny_session(&self, session: SessionId, until: Timestamp, now: Now) {
        self.deny(now, |lists| lists.sessions.insert(session, until, now));
    }

    /// Denies an access token until `until`, when it has expired by itself.
    pub fn deny_access_token(&self, access_token: TokenHash, until: Timestamp, now: Now) {
        self.deny(now, |lists| lists.access_tokens.insert(access_token, until, now));
    }

    /// Another bound: the configuration has changed, the entries stay.
    pub fn set_capacity(&self, capacity: usize) {
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        let capacity = capacity.max(1);
        (lists.sessions.capacity, lists.access_tokens.capacity) = (capacity, capacity);
        (lists.sids.capacity, lists.logouts.capacity) = (capacity, capacity);
        lists.subjects.set_capacity(capacity);
    }

    fn deny(&self, now: Now, insert: impl FnOnce(&mut Lists)) {
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        lists.sessions.drop_ended(now);
        lists.access_tokens.drop_ended(now);
        lists.subjects.drop_ended(now);
        lists.sids.drop_ended(now);
        insert(&mut lists);
        // Behind the entry: who sees the new epoch finds the entry.
        self.epoch.fetch_add(1, Ordering::Release);
        drop(lists);
        self.changes.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::time::{Duration, Instant};

    use super::*;

    const LATER: Timestamp = Timestamp(2_000);

    /// Both clocks at so many seconds.
    fn at(seconds: u64) -> Now {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Now { instant: *START + Duration::from_secs(seconds), wall: Timestamp(seconds) }
    }

    fn session(number: u8) -> SessionId {
        SessionId([number; 16])
    }

    #[test]
    fn a_denied_session_and_a_denied_token_are_refused_and_others_are_not() {
        let denied = Denied::new(10);
        denied.deny_session(session(1), LATER, at(1_000));
        denied.deny_access_token(TokenHash::of("stolen"), LATER, at(1_000));
        assert!(denied.is_denied(Some(session(1)), "any"));
        assert!(denied.is_denied(None, "stolen"));
        assert!(denied.is_denied(Some(session(2)), "stolen"));
        assert!(!denied.is_denied(Some(session(2)), "any"));
        assert!(!denied.is_denied(None, ""));
    }

    #[test]
    fn a_denied_token_is_denied_with_every_signature() {
        let denied = Denied::new(10);
        denied.deny_access_token(TokenHash::of("header.claims.one"), LATER, at(0));
        assert!(denied.is_denied(None, "header.claims.another"));
        assert!(!denied.is_denied(None, "header.other.one"));
    }

    #[test]
    fn the_epoch_moves_with_every_denial_and_not_otherwise() {
        let denied = Denied::new(10);
        let before = denied.epoch();
        assert!(!denied.is_denied(Some(session(1)), "any"));
        assert_eq!(denied.epoch(), before);
        denied.deny_session(session(1), LATER, at(1_000));
        assert_ne!(denied.epoch(), before);
    }

    #[test]
    fn a_denied_subject_is_refused_with_what_it_was_given_before_and_at_no_other_issuer() {
        let denied = Denied::new(10);
        let issued = |seconds| Some(Timestamp(seconds));
        let is_denied = |issuer, subject, issued_at| denied.is_subject_denied(issuer, subject, issued_at, None);
        assert!(!is_denied("one", "alice", issued(900)));
        denied.deny_subject("one", "alice", Timestamp(1_000), LATER, at(1_000));
        assert!(is_denied("one", "alice", issued(1_000)));
        assert!(is_denied("one", "alice", None));
        assert!(!is_denied("one", "alice", issued(1_001)));
        assert!(!is_denied("one", "bob", issued(900)));
        assert!(!is_denied("onea", "lice", issued(900)));
        denied.deny_subject("one", "bob", Timestamp(2_500), Timestamp(9_000), at(2_500));
        assert!(!is_denied("one", "alice", issued(900)), "its tokens have expired");
        assert!(is_denied("one", "bob", issued(2_500)));
    }

    #[test]
    fn a_session_that_begins_after_the_denial_of_its_subject_is_not_meant_and_the_next_denial_means_it() {
        let denied = Denied::new(10);
        let subject = |number| denied.is_subject_denied("one", "alice", Some(Timestamp(1_000)), Some(session(number)));
        let nameless = |number| denied.is_nameless_denied("one", "alice", Timestamp(1_000), session(number));
        let begin = |number| denied.begin_session(session(number), "one", "alice", LATER, at(1_000));
        let deny = || denied.deny_subject("one", "alice", Timestamp(1_000), LATER, at(1_000));
        begin(1);
        deny();
        assert!(subject(1));
        begin(2);
        assert!(subject(1) && !subject(2), "in the same second");
        denied.deny_nameless("one", "alice", Timestamp(1_500), LATER, at(1_500));
        assert!(nameless(2) && !subject(2));
        begin(3);
        assert!(!nameless(3), "though the clock was set back");
        deny();
        assert!(subject(1) && subject(2) && subject(3));
    }

    #[test]
    fn a_session_is_denied_by_the_name_that_its_own_issuer_has_for_it() {
        let denied = Denied::new(10);
        denied.deny_sid(SidHash::of("one", "s-1"), LATER, at(1_000));
        assert!(denied.is_sid_denied(SidHash::of("one", "s-1")));
        for other in [SidHash::of("one", "s-2"), SidHash::of("two", "s-1"), SidHash::of("ones", "-1")] {
            assert!(!denied.is_sid_denied(other));
        }
        denied.deny_nameless("one", "alice", Timestamp(1_000), LATER, at(1_000));
        assert!(denied.is_nameless_denied("one", "alice", Timestamp(1_000), session(1)));
        assert!(!denied.is_nameless_denied("one", "alice", Timestamp(1_001), session(1)));
        assert!(!denied.is_subject_denied("one", "alice", None, None), "what has a name is not meant");
    }

    #[test]
    fn a_logout_token_counts_once_for_as_long_as_it_could() {
        let denied = Denied::new(10);
        let comes = |issuer, jti, seconds| denied.use_logout_token(issuer, jti, LATER, at(seconds));
        assert!(comes("one", "j", 1_000));
        assert!(!comes("one", "j", 1_500));
        assert!(comes("two", "j", 1_500));
        assert!(comes("one", "k", 1_500));
    }

    #[test]
    fn every_denial_is_told_to_those_who_wait() {
        let denied = Denied::new(10);
        let mut changes = denied.changes();
        assert!(!changes.has_changed().unwrap());
        denied.deny_session(session(1), LATER, at(1_000));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        denied.deny_sid(SidHash::of("one", "s"), LATER, at(1_000));
        assert!(changes.has_changed().unwrap());
    }

    #[test]
    fn entries_go_when_what_they_name_has_ended() {
        let denied = Denied::new(10);
        denied.deny_session(session(1), LATER, at(1_000));
        denied.deny_session(session(2), Timestamp(9_000), at(2_001));
        assert!(!denied.is_denied(Some(session(1)), "any"));
        assert!(denied.is_denied(Some(session(2)), "any"));
    }

    #[test]
    fn a_wall_clock_that_jumps_ahead_and_back_makes_nothing_forgotten() {
        let denied = Denied::new(10);
        denied.deny_session(session(1), LATER, at(1_000));
        let ahead = Now { wall: Timestamp(1_000_000), ..at(1_010) };
        denied.deny_session(session(2), Timestamp(2_000_000), ahead);
        assert!(denied.is_denied(Some(session(1)), "any"));
        denied.deny_session(session(3), Timestamp(2_000_000), at(2_001));
        assert!(!denied.is_denied(Some(session(1)), "any"));
    }

    #[test]
    fn a_later_end_replaces_an_earlier_one_and_never_the_other_way_round() {
        let denied = Denied::new(10);
        denied.deny_session(session(1), LATER, at(1_000));
        denied.deny_session(session(1), Timestamp(1_500), at(1_000));
        denied.deny_session(session(2), LATER, at(1_600));
        assert!(denied.is_denied(Some(session(1)), "any"));
    }

    #[test]
    fn a_full_list_drops_what_would_have_ended_first() {
        let denied = Denied::new(2);
        denied.deny_session(session(1), Timestamp(3_000), at(1_000));
        denied.deny_session(session(2), Timestamp(2_000), at(1_000));
        denied.deny_session(session(3), Timestamp(4_000), at(1_000));
        let remaining = [1, 2, 3].map(|number| denied.is_denied(Some(session(number)), "any"));
        assert_eq!(remaining, [true, false, true]);
    }
}
