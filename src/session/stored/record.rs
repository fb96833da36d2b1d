//! What a store keeps of a session.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::{SealError, Sealer, SessionId, SidHash, SignInFacts};

/// The first byte. A version that writes another layout must still read this one.
const LAYOUT: u8 = 1;

/// A session with its tokens: what cookies hold otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// The issuer's short name in the configuration.
    pub issuer: Box<str>,
    /// The subject that the session belongs to; a renewal must not change it (R7).
    pub subject: Box<str>,
    /// When the session began; the absolute time-out counts from here.
    pub started_at: Timestamp,
    /// When its tokens were last renewed, or it began.
    pub renewed_at: Timestamp,
    /// When the session ends unless something happens before.
    pub idle_until: Timestamp,
    /// How the issuer calls the session, where it does.
    pub sid: Option<SidHash>,
    /// What the ID token of the sign-in says of it.
    pub facts: SignInFacts,
    /// The newest access token that is known.
    pub access: AccessToken,
    /// The newest refresh token that is known. It may be spent: its record then leads to what came of it.
    pub refresh: Option<RefreshToken>,
    /// What it was called while its tokens were in cookies, if they were: whoever has a copy of those presents that name.
    pub moved_from: Option<SessionId>,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    issuer: Box<str>,
    subject: Box<str>,
    times: [Timestamp; 3],
    sid: Option<[u8; 16]>,
    facts: SignInFacts,
    access: AccessToken,
    refresh: Option<RefreshToken>,
    moved_from: Option<[u8; 16]>,
}

impl StoredSession {
    /// Bytes of its tokens and names.
    pub(super) fn bytes(&self) -> usize {
        let refresh = self.refresh.as_ref().map_or(0, |token| token.expose().len());
        self.issuer.len() + self.subject.len() + self.access.expose().len() + refresh
    }

    /// Sealed for the session of this name: nobody who writes to a store can put one session in the place of another (R15).
    pub(super) fn seal(&self, id: SessionId, sealer: &Sealer) -> Result<String, SealError> {
        let written = Written {
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            times: [self.started_at, self.renewed_at, self.idle_until],
            sid: self.sid.map(|sid| sid.0),
            facts: self.facts,
            access: self.access.clone(),
            refresh: self.refresh.clone(),
            moved_from: self.moved_from.map(|from| from.0),
        };
        let start = Zeroizing::new(vec![LAYOUT]);
        // Nothing here can fail to be written but for memory.
        let bytes = postcard::to_extend(&written, start.to_vec()).map_err(|_| SealError::Failed)?;
        sealer.seal(&purpose(id), &Zeroizing::new(bytes))
    }

    /// `None` for what was sealed for another session, under another secret, or is of another layout or longer than that.
    pub(super) fn open(value: &str, id: SessionId, sealer: &Sealer) -> Option<Self> {
        let bytes = Zeroizing::new(sealer.open(&purpose(id), value).ok()?);
        let (&LAYOUT, bytes) = bytes.split_first()? else { return None };
        let (written, more): (Written, _) = postcard::take_from_bytes(bytes).ok()?;
        // Whatever follows, the version that wrote it counts on it.
        if !more.is_empty() {
            return None;
        }
        let Written { issuer, subject, times, sid, facts, access, refresh, moved_from } = written;
        let [started_at, renewed_at, idle_until] = times;
        let (sid, moved_from) = (sid.map(SidHash), moved_from.map(SessionId));
        Some(Self { issuer, subject, started_at, renewed_at, idle_until, sid, facts, access, refresh, moved_from })
    }
}

fn purpose(id: SessionId) -> String {
    format!("session:{}", id.to_text())
}

/// Never shows a token, nor whose it is.
impl fmt::Debug for StoredSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StoredSession").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::session::AcrHash;
    use crate::session::formats::{assert_committed, committed};

    fn session() -> StoredSession {
        StoredSession {
            issuer: "main".into(),
            subject: "alice".into(),
            started_at: Timestamp(1_000),
            renewed_at: Timestamp(2_000),
            idle_until: Timestamp(3_000),
            sid: Some(SidHash::of("main", "s-1")),
            facts: SignInFacts { auth_time: Some(Timestamp(900)), acr: Some(AcrHash::of("gold")) },
            access: AccessToken::new("canary-access"),
            refresh: Some(RefreshToken::new("canary-refresh")),
            moved_from: Some(SessionId([3; 16])),
        }
    }

    fn sealer(secret: &str) -> Sealer {
        Sealer::new(&[Secret::new(secret.as_bytes().to_vec())]).unwrap()
    }

    #[test]
    fn a_session_opens_under_its_name_and_secret_only() {
        let (one, other) = (SessionId([1; 16]), SessionId([2; 16]));
        for session in [session(), StoredSession { sid: None, refresh: None, moved_from: None, ..session() }] {
            let sealed = session.seal(one, &sealer("a secret")).unwrap();
            assert_eq!(StoredSession::open(&sealed, one, &sealer("a secret")), Some(session.clone()));
            assert_eq!(StoredSession::open(&sealed, other, &sealer("a secret")), None);
            assert_eq!(StoredSession::open(&sealed, one, &sealer("another")), None);
            assert!(!format!("{session:?}{sealed}").contains("canary"));
        }
    }

    #[test]
    fn sessions_are_written_and_read_as_they_were_committed() {
        let (id, sealer) = (SessionId([7; 16]), sealer("a session secret"));
        let bare =
            StoredSession { sid: None, facts: SignInFacts::default(), refresh: None, moved_from: None, ..session() };
        for (name, session) in [("everything", session()), ("bare", bare)] {
            let written = sealer.open(&purpose(id), &session.seal(id, &sealer).unwrap()).unwrap();
            assert_committed("session", name, &written);
        }
        assert_eq!(StoredSession::open(&committed("session", "sealed"), id, &sealer), Some(session()));
    }

    #[test]
    fn what_is_longer_than_a_session_is_none() {
        let (id, sealer) = (SessionId([1; 16]), sealer("a secret"));
        let mut bytes = sealer.open(&purpose(id), &session().seal(id, &sealer).unwrap()).unwrap();
        assert!(StoredSession::open(&sealer.seal(&purpose(id), &bytes).unwrap(), id, &sealer).is_some());
        bytes.push(0);
        assert_eq!(StoredSession::open(&sealer.seal(&purpose(id), &bytes).unwrap(), id, &sealer), None);
    }
}
