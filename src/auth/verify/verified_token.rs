//! A token that has been verified, and what others keep beside it so as not to work it out again for every request.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::auth::identity_headers::ClaimTooLong;
use crate::clock::Timestamp;
use crate::config::{IdentitySetId, IssuerId};
use crate::issuer::Key;
use crate::oauth::{AccessToken, Claims};
use crate::session::SessionId;

/// A token that has been verified. One object per token for as long as it is remembered, shared by all requests with it.
#[derive(Debug)]
pub struct VerifiedToken {
    /// The token.
    pub token: AccessToken,
    /// Whose it is.
    pub issuer: IssuerId,
    /// What it says.
    pub claims: Claims,
    /// Its `exp`: from then on it is expired.
    pub expires_at: Timestamp,
    /// `expires_at` and the leeway for clocks that differ: from then on it is not accepted any more.
    pub usable_until: Timestamp,
    /// From then on it must be verified anew, to be accepted: `usable_until`, or earlier where its issuer may change its mind.
    pub known_until: Timestamp,
    /// Before that, the clock has been set back since its issuer was asked, and how long that is ago is not known.
    known_since: Timestamp,
    /// Bytes of all that is known of it: the token, and what its issuer has said besides.
    pub(super) bytes: usize,
    /// Identity headers, rendered once per set.
    pub rendered: PerSet,
    /// How the access log shows its subject, worked out with the first request.
    pub logged_as: OnceLock<Option<Arc<str>>>,
    /// The refresh protocol has taken note that this token was presented (R3).
    pub noted: AtomicBool,
    /// The epoch of the denial list at which this token was last seen not to be on it, moved by the session that it was
    /// presented in; see [`VerifiedToken::mark`].
    pub denial_mark: AtomicU64,
    /// The key that has signed it.
    key: Option<Arc<Key>>,
}

impl VerifiedToken {
    /// A token that somebody else vouches for, without leeway and without a key that could be withdrawn.
    #[must_use]
    pub fn new(token: AccessToken, issuer: IssuerId, claims: Claims, expires_at: Timestamp) -> Self {
        Self {
            bytes: token.expose().len(),
            token,
            issuer,
            claims,
            expires_at,
            usable_until: expires_at,
            known_until: expires_at,
            known_since: Timestamp(0),
            rendered: PerSet::default(),
            logged_as: OnceLock::new(),
            noted: AtomicBool::new(false),
            denial_mark: AtomicU64::new(0),
            key: None,
        }
    }

    pub(super) fn verified(
        token: &str,
        issuer: IssuerId,
        claims: Claims,
        expires_at: Timestamp,
        usable_until: Timestamp,
        key: Arc<Key>,
    ) -> Self {
        let key = Some(key);
        let known_until = usable_until;
        Self { usable_until, known_until, key, ..Self::new(AccessToken::new(token), issuer, claims, expires_at) }
    }

    /// A token that its issuer, asked at `asked_at`, vouches for as long as `cache`; then it is to be asked again. However
    /// short it is, the claims are as long as the issuer pleases.
    pub(super) fn introspected(
        token: AccessToken,
        issuer: IssuerId,
        claims: Claims,
        (expires_at, usable_until): (Timestamp, Timestamp),
        (asked_at, cache): (Timestamp, Duration),
    ) -> Self {
        let known_until = usable_until.min(asked_at.after(cache));
        // As much on both sides: who asks at once need not have read the clock at once.
        let known_since = Timestamp(asked_at.0.saturating_sub(cache.as_secs()));
        let bytes = token.expose().len() + serde_json::to_string(&claims.0).map_or(0, |said| said.len());
        Self { usable_until, known_until, known_since, bytes, ..Self::new(token, issuer, claims, expires_at) }
    }

    /// Whether it counts at this time without being verified anew.
    pub(super) fn is_known_at(&self, now: Timestamp) -> bool {
        (self.known_since..self.known_until).contains(&now)
    }

    /// Its `iat`, if it has one.
    #[must_use]
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.claims.0.get("iat")?.as_u64().map(Timestamp)
    }

    /// What [`VerifiedToken::denial_mark`] is when the token was looked up for this session at this epoch: one access token
    /// may be presented in two sessions, of which one is denied. Session ids are random, so no two marks meet by design.
    #[must_use]
    pub fn mark(epoch: u64, session: Option<SessionId>) -> u64 {
        let session = session.and_then(|session| session.0.first_chunk().copied());
        epoch.wrapping_add(session.map_or(0, u64::from_be_bytes))
    }

    /// Whether the issuer has stopped publishing the key that signed the token.
    pub(super) fn is_key_withdrawn(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.is_withdrawn())
    }
}

/// Headers rendered from one token, for each set of identity headers that was asked for. Grows and never changes, so that
/// reading takes no lock.
#[derive(Default)]
pub struct PerSet {
    first: OnceLock<Box<Rendered>>,
}

struct Rendered {
    set: IdentitySetId,
    headers: Result<Box<[(HeaderName, HeaderValue)]>, ClaimTooLong>,
    next: OnceLock<Box<Rendered>>,
}

impl PerSet {
    /// The headers of this set, rendered now if they have not been.
    ///
    /// # Errors
    /// What rendering said, as often as it is asked.
    pub fn headers(
        &self,
        set: IdentitySetId,
        render: impl FnOnce() -> Result<Vec<(HeaderName, HeaderValue)>, ClaimTooLong>,
    ) -> Result<&[(HeaderName, HeaderValue)], &ClaimTooLong> {
        let mut render = Some(render);
        let mut place = &self.first;
        loop {
            let rendered = place.get_or_init(|| {
                // Called once at most: what is rendered here is for this set, and ends the search.
                let headers =
                    render.take().map_or_else(|| Ok(Vec::new()), |render| render()).map(Vec::into_boxed_slice);
                Box::new(Rendered { set, headers, next: OnceLock::new() })
            });
            if rendered.set == set {
                return rendered.headers.as_deref();
            }
            place = &rendered.next;
        }
    }
}

/// Shows nothing: the headers are personal data.
impl fmt::Debug for PerSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PerSet(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::Ordering;

    #[expect(clippy::unnecessary_wraps, reason = "as rendering gives it")]
    fn header(value: &str) -> Result<Vec<(HeaderName, HeaderValue)>, ClaimTooLong> {
        Ok(vec![(HeaderName::from_static("x-user"), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn each_set_is_rendered_once() {
        let rendered = PerSet::default();
        for id in [0, 7, 3] {
            assert_eq!(rendered.headers(IdentitySetId(id), || header(&id.to_string())).unwrap()[0].1, id.to_string());
        }
        for id in [3, 0, 7] {
            let again = rendered.headers(IdentitySetId(id), || panic!("rendered before"));
            assert_eq!(again.unwrap()[0].1, id.to_string());
        }
    }

    #[test]
    fn threads_that_ask_at_once_all_get_their_own_set_rendered_once() {
        let (rendered, barrier, count) = (PerSet::default(), Barrier::new(8), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (rendered, barrier, count) = (&rendered, &barrier, &count);
                scope.spawn(move || {
                    barrier.wait();
                    for id in 0..50 {
                        let id = (id + thread) % 50;
                        let headers = rendered.headers(IdentitySetId(id), || {
                            count.fetch_add(1, Ordering::Relaxed);
                            header(&id.to_string())
                        });
                        assert_eq!(headers.unwrap()[0].1, id.to_string());
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 50);
    }
}
