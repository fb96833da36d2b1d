//! What was denied before its time: sessions that were signed out or stolen, access tokens that outlive them, and all that a
//! user was given until then.
//!
//! An access token is good until it expires, whatever happens to its session. The entries here close that gap on this
//! instance, at once. A request asks only when [`Denied::epoch`] has moved since it last asked, so the list costs one
//! atomic load while nobody signs out. This module does *not* end sessions; it remembers that they ended.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use super::store::Now;
use super::{SessionId, sha256};
use crate::clock::Timestamp;

/// SHA-256 of what is signed of an access token, header and claims: enough to recognise it, of no use to who reads it.
///
/// The signature is left out, because one message may have several that are good: whoever has an ECDSA signature (r, s) has
/// (r, n - s) as well, and would have a token that nobody denied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of this access token.
    #[must_use]
    pub fn of(access_token: &str) -> Self {
        let signed = access_token.rsplit_once('.').map_or(access_token, |(signed, _)| signed);
        Self(sha256(&[signed.as_bytes()]))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash(…)")
    }
}

/// SHA-256 of an issuer and a subject there: whoever reads the list learns no names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SubjectHash([u8; 32]);

impl SubjectHash {
    fn of(issuer: &str, subject: &str) -> Self {
        // With its length in front, no other issuer and subject give the same bytes.
        let length = (issuer.len() as u64).to_be_bytes();
        Self(sha256(&[&length, issuer.as_bytes(), subject.as_bytes()]))
    }
}

/// The list. Bounded: when it is full, the entry that would have ended first goes, with a warning.
pub struct Denied {
    epoch: AtomicU64,
    lists: RwLock<Lists>,
}

struct Lists {
    sessions: Entries<SessionId>,
    access_tokens: Entries<TokenHash>,
    subjects: Entries<SubjectHash>,
    /// Up to when what a subject was given is denied. Has what `subjects` has.
    issued_until: HashMap<SubjectHash, Timestamp>,
}

impl Denied {
    /// An empty list of at most `capacity` sessions, and as many access tokens and subjects.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let lists = Lists {
            sessions: Entries::new(capacity),
            access_tokens: Entries::new(capacity),
            subjects: Entries::new(capacity),
            issued_until: HashMap::new(),
        };
        Self { epoch: AtomicU64::new(0), lists: RwLock::new(lists) }
    }

    /// Moves with every denial. Who has asked [`Denied::is_denied`] after reading this epoch need not ask again while it
    /// stays the same. One atomic load.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether the session or the access token was denied. An entry may be found after its end: what it names has expired
    /// by then anyway.
    #[must_use]
    pub fn is_denied(&self, session: Option<SessionId>, access_token: &str) -> bool {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        session.is_some_and(|session| lists.sessions.contains(&session))
            || (!lists.access_tokens.is_empty() && lists.access_tokens.contains(&TokenHash::of(access_token)))
    }

    /// Whether everything was denied that the issuer had given this subject at the time of `issued_at`. What does not say
    /// when it was issued counts as issued before.
    #[must_use]
    pub fn is_subject_denied(&self, issuer: &str, subject: &str, issued_at: Option<Timestamp>) -> bool {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        let denied = || lists.issued_until.get(&SubjectHash::of(issuer, subject));
        !lists.subjects.is_empty() && denied().is_some_and(|until| issued_at.is_none_or(|issued| issued <= *until))
    }

    /// Denies all access tokens that the issuer has given this subject up to `issued_until`; `until` the last of them has
    /// expired by itself.
    pub fn deny_subject(&self, issuer: &str, subject: &str, issued_until: Timestamp, until: Timestamp, now: Now) {
        let subject = SubjectHash::of(issuer, subject);
        self.deny(now, |lists| {
            lists.subjects.insert(subject, until, now);
            let known = lists.issued_until.entry(subject).or_insert(issued_until);
            *known = issued_until.max(*known);
            let Lists { subjects, issued_until, .. } = lists;
            issued_until.retain(|subject, _| subjects.contains(subject));
        });
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
        lists.subjects.capacity = capacity;
    }

    fn deny(&self, now: Now, insert: impl FnOnce(&mut Lists)) {
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        lists.sessions.drop_ended(now);
        lists.access_tokens.drop_ended(now);
        lists.subjects.drop_ended(now);
        insert(&mut lists);
        // Behind the entry: who sees the new epoch finds the entry.
        self.epoch.fetch_add(1, Ordering::Release);
    }
}

/// A set whose members end, each at its time: when it is past by the wall clock, by which tokens end, and as much monotonic
/// time has passed. A wall clock that jumps ahead and back again makes nothing forgotten.
struct Entries<T> {
    ends: HashMap<T, (Timestamp, Option<Instant>)>,
    by_end: BTreeSet<(Timestamp, T)>,
    capacity: usize,
}

impl<T: Copy + Eq + Hash + Ord> Entries<T> {
    fn new(capacity: usize) -> Self {
        Self { ends: HashMap::new(), by_end: BTreeSet::new(), capacity: capacity.max(1) }
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn contains(&self, entry: &T) -> bool {
        self.ends.contains_key(entry)
    }

    fn drop_ended(&mut self, now: Now) {
        let has_passed = |entry: &T| {
            self.ends.get(entry).is_none_or(|(_, passes)| passes.is_some_and(|passes| passes < now.instant))
        };
        let ended = self.by_end.iter().take_while(|(until, entry)| *until < now.wall && has_passed(entry)).count();
        for _ in 0..ended {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, entry)) = self.by_end.pop_first() {
            self.ends.remove(&entry);
        }
    }

    fn insert(&mut self, entry: T, until: Timestamp, now: Now) {
        let known = self.ends.get(&entry).map(|(known, _)| *known);
        if until < now.wall || known.is_some_and(|known| known >= until) {
            return;
        }
        if let Some(known) = known {
            self.by_end.remove(&(known, entry));
        } else if self.ends.len() >= self.capacity {
            tracing::warn!("the list of denied sessions and tokens is full; the entry that ends first is dropped");
            self.drop_first();
        }
        self.ends.insert(entry, (until, now.instant.checked_add(until.since(now.wall))));
        self.by_end.insert((until, entry));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::time::Duration;

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
        assert!(!denied.is_subject_denied("one", "alice", issued(900)));
        denied.deny_subject("one", "alice", Timestamp(1_000), LATER, at(1_000));
        assert!(denied.is_subject_denied("one", "alice", issued(1_000)));
        assert!(denied.is_subject_denied("one", "alice", None));
        assert!(!denied.is_subject_denied("one", "alice", issued(1_001)));
        assert!(!denied.is_subject_denied("one", "bob", issued(900)));
        assert!(!denied.is_subject_denied("onea", "lice", issued(900)));
        denied.deny_subject("one", "bob", Timestamp(2_500), Timestamp(9_000), at(2_500));
        assert!(!denied.is_subject_denied("one", "alice", issued(900)), "its tokens have expired");
        assert!(denied.is_subject_denied("one", "bob", issued(2_500)));
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
