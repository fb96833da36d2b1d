//! Verified tokens by the token itself.
//!
//! The key is the whole token, hashed with a seeded fast hash and compared in full: two tokens never share an entry. The
//! cache is bounded by an estimate of the bytes that a token and what is derived from it take.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use super::verified_token::VerifiedToken;
use crate::oauth::AccessToken;
use crate::tally::Count;

/// Parsed claims and rendered headers take a few times the bytes of the token that they come from.
const WEIGHT_PER_BYTE: u64 = 6;
const WEIGHT_PER_TOKEN: u64 = 1024;

/// What a usual token weighs, for the cache to plan with.
const USUAL_WEIGHT: u64 = WEIGHT_PER_TOKEN + 900 * WEIGHT_PER_BYTE;

/// How often a presented token was known.
#[derive(Debug, Default)]
pub struct CacheCounts {
    /// It was.
    pub hits: Count,
    /// It was not, or not any more: it was verified, or refused.
    pub misses: Count,
}

/// The cache.
pub(super) struct TokenCache {
    verified: Cache<ByToken, Arc<VerifiedToken>, Bytes>,
}

/// An entry's key: shares its text with the token in the entry.
struct ByToken(AccessToken);

/// The same key, borrowed.
struct Borrowed<'a>(&'a str);

#[derive(Clone)]
struct Bytes;

impl TokenCache {
    pub(super) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / USUAL_WEIGHT).unwrap_or(usize::MAX);
        Self { verified: Cache::with_weighter(items, bytes, Bytes) }
    }

    pub(super) fn find(&self, token: &str) -> Option<Arc<VerifiedToken>> {
        self.verified.get(&Borrowed(token))
    }

    pub(super) fn remember(&self, verified: &Arc<VerifiedToken>) {
        self.verified.insert(ByToken(verified.token.clone()), Arc::clone(verified));
    }

    pub(super) fn forget(&self, token: &str) {
        self.verified.remove(&Borrowed(token));
    }
}

impl Weighter<ByToken, Arc<VerifiedToken>> for Bytes {
    fn weight(&self, _: &ByToken, verified: &Arc<VerifiedToken>) -> u64 {
        WEIGHT_PER_TOKEN.saturating_add((verified.bytes as u64).saturating_mul(WEIGHT_PER_BYTE))
    }
}

impl Hash for ByToken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrowed(self.0.expose()).hash(state);
    }
}

impl PartialEq for ByToken {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for ByToken {}

impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<ByToken> for Borrowed<'_> {
    fn equivalent(&self, ByToken(token): &ByToken) -> bool {
        self.0 == token.expose()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenCache").field("tokens", &self.verified.len()).finish_non_exhaustive()
    }
}
