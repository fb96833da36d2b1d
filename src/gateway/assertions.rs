//! The signed assertions of this gateway, kept for a while: one page of a user has many requests, and a signature costs more
//! than all the rest of one.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use quick_cache::sync::Cache;

use crate::auth::assertion::{self, AssertionError, AssertionKeyError};
use crate::auth::verify::VerifiedToken;
use crate::clock::Timestamp;
use crate::config::{IdentityHeader, IdentitySetId};
use crate::session::TokenHash;

/// An assertion is made anew when the one at hand is older than this, in seconds: half its life is left to the application.
const REUSE_SECONDS: u64 = 30;
const KEPT: usize = 10_000;

/// For whom an assertion is, and what it says.
type Key = (TokenHash, Box<str>, IdentitySetId);

/// Signs assertions, and remembers the recent ones.
pub(super) struct Assertions {
    signer: Arc<assertion::Assertions>,
    recent: Cache<Key, (Timestamp, HeaderValue)>,
}

impl Assertions {
    /// The key of the state directory, or a new one.
    pub(super) fn load_or_create(state_directory: Option<&std::path::Path>) -> Result<Self, AssertionKeyError> {
        let signer = Arc::new(assertion::Assertions::load_or_create(state_directory)?);
        Ok(Self { signer, recent: Cache::new(KEPT) })
    }

    /// The same key for another configuration, in which the recent assertions may say too much.
    pub(super) fn anew(&self) -> Self {
        Self { signer: Arc::clone(&self.signer), recent: Cache::new(KEPT) }
    }

    /// The assertion of this user for this site.
    pub(super) fn sign(
        &self,
        host: &str,
        token: &VerifiedToken,
        set_id: IdentitySetId,
        set: &[IdentityHeader],
        now: Timestamp,
    ) -> Result<HeaderValue, AssertionError> {
        let key = (TokenHash::of(token.token.expose()), Box::from(host), set_id);
        if let Some((signed_at, assertion)) = self.recent.get(&key)
            && signed_at <= now
            && now.since(signed_at).as_secs() < REUSE_SECONDS
        {
            return Ok(assertion);
        }
        let assertion = self.signer.sign(host, &token.claims, set, now)?;
        self.recent.insert(key, (now, assertion.clone()));
        Ok(assertion)
    }

    /// The public keys.
    pub(super) fn jwks(&self) -> Bytes {
        self.signer.jwks()
    }
}
