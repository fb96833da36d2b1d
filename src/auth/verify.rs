//! Verifying an access token: that an issuer which counts here has signed it, for us, and that its time is now.
//!
//! The rules are those of RFC 7519, RFC 8725 and RFC 9068. Keys are looked for among those of the token's own `iss`
//! only; nothing in a token leads to a key elsewhere. What has been verified is remembered until it expires, so that the
//! second request with a token costs a look-up. This module does *not* ask what the claims allow ([`super`] does), and a
//! renewed token passes through here like a presented one (law 4).

mod cache;
mod claims;
mod compact;
mod error;
mod examined;
mod header;
mod id_token;
mod introspected;
mod logout_token;
mod verified_token;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::cache::TokenCache;
use self::claims::Validity;
use self::compact::Presented;
use self::introspected::Introspected;
use crate::clock::Timestamp;
use crate::config::{IdentityToken, IssuerId};
use crate::issuer::{Issuer, Issuers, Key, KeyError, Keys};

pub use cache::CacheCounts;
pub(in crate::auth) use claims::date;
pub use error::{Malformed, VerifyError};
pub use examined::Examined;
pub use id_token::IdTokenError;
pub use logout_token::{LogoutToken, LogoutTokenError, SignedOut};
pub use verified_token::{PerSet, VerifiedToken};

/// A clock that is wrong is wrong for every token: it is said once per this many seconds.
const SKEW_LOG_INTERVAL: u64 = 60;

/// Verifies tokens, and remembers those that it has verified.
#[derive(Debug)]
pub struct Verifier {
    issuers: Arc<Issuers>,
    cache: Arc<TokenCache>,
    introspected: Arc<Introspected>,
    counts: Arc<CacheCounts>,
    /// When a clock that is wrong was last logged, as a [`Timestamp`].
    skew_logged: AtomicU64,
}

impl Verifier {
    /// A verifier for the tokens of these issuers, which remembers about `cache_bytes` of them.
    #[must_use]
    pub fn new(issuers: Arc<Issuers>, cache_bytes: u64) -> Self {
        let cache = Arc::new(TokenCache::new(cache_bytes));
        let introspected = Arc::new(Introspected::new(Arc::clone(&issuers), Arc::clone(&cache)));
        Self { issuers, cache, introspected, counts: Arc::default(), skew_logged: AtomicU64::new(0) }
    }

    /// The same for other issuers: counts go on, and nothing that was verified counts any more.
    #[must_use]
    pub fn succeeded_by(&self, issuers: Arc<Issuers>, cache_bytes: u64) -> Self {
        Self { counts: Arc::clone(&self.counts), ..Self::new(issuers, cache_bytes) }
    }

    /// What is counted of the cache.
    #[must_use]
    pub fn counts(&self) -> &CacheCounts {
        &self.counts
    }

    /// The issuers.
    #[must_use]
    pub const fn issuers(&self) -> &Arc<Issuers> {
        &self.issuers
    }

    /// The token as it was verified before, if it still counts: its issuer is one of `allowed`, its time is not up, the issuer
    /// still publishes the key that has signed it, or was asked about it not too long ago. Never waits and allocates nothing.
    #[must_use]
    pub fn cached(&self, token: &str, allowed: &[IssuerId], now: Timestamp) -> Option<Arc<VerifiedToken>> {
        let verified = self.cache.find(token)?;
        if !verified.is_known_at(now) || verified.is_key_withdrawn() {
            // Until it has expired, a sign-out must be able to deny it, although its issuer does not answer.
            if now >= verified.usable_until || verified.is_key_withdrawn() {
                self.cache.forget(token);
            }
            return None;
        }
        if !allowed.contains(&verified.issuer) {
            return None;
        }
        // Whoever is known is not looked up among the keys any more: this keeps the keys fresh nevertheless.
        if let Some(issuer) = self.issuers.by_id(verified.issuer) {
            issuer.refresh_keys_if_due();
        }
        Some(verified)
    }

    /// The token as one of the `allowed` issuers has vouched for it once, as far as that is remembered. Nobody is let in by that.
    #[must_use]
    pub fn once_verified(&self, token: &str, allowed: &[IssuerId]) -> Option<Arc<VerifiedToken>> {
        self.cache.find(token).filter(|verified| allowed.contains(&verified.issuer))
    }

    /// Verifies a token that one of the `allowed` issuers must have signed, or says to be its own. Waits when the issuer's keys
    /// are not at hand, and 5 s at most each for a missing and for a replaced key; and 5 s at most for what an issuer says.
    ///
    /// # Errors
    /// [`VerifyError`] says whose fault it is.
    pub async fn verify(
        &self,
        token: &str,
        allowed: &[IssuerId],
        now: Timestamp,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        if let Some(verified) = self.cached(token, allowed, now) {
            self.counts.hits.add();
            return Ok(verified);
        }
        self.counts.misses.add();
        // Boxed: its place would be in the future of every request.
        Box::pin(self.verify_anew(token, allowed, now)).await
    }

    async fn verify_anew(
        &self,
        token: &str,
        allowed: &[IssuerId],
        now: Timestamp,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        match (self.signed(token, allowed), self.introspecting(allowed)) {
            (Ok((issuer, presented)), _) => self.verify_signed(issuer, presented, now).await,
            (Err(_), Some(issuer)) => {
                let outcome = self.introspected.verify(token, issuer, now).await;
                if let Err(VerifyError::NotYetValid { seconds }) = outcome {
                    self.log_skew(issuer, seconds, now);
                }
                outcome
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The token taken apart, if it names an allowed issuer whose tokens are signed.
    fn signed<'a>(&self, token: &'a str, allowed: &[IssuerId]) -> Result<(&Issuer, Presented<'a>), VerifyError> {
        let presented = Presented::parse(token)?;
        let issuer = self.issuer_of(&presented, allowed)?;
        if issuer.config().introspection().is_some() {
            return Err(VerifyError::UntrustedIssuer);
        }
        Ok((issuer, presented))
    }

    /// The allowed issuer that is asked about every token that no other one has signed. There is one on a site at most.
    fn introspecting(&self, allowed: &[IssuerId]) -> Option<&Issuer> {
        let mut known = allowed.iter().filter_map(|id| self.issuers.by_id(*id));
        known.find(|issuer| issuer.config().introspection().is_some())
    }

    async fn verify_signed(
        &self,
        issuer: &Issuer,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        // Everything that costs nothing is looked at before a key is fetched for the token's sake.
        let validity = fits(issuer, &presented)?;
        let key = signer(issuer, &presented).await?;
        let Some(usable_until) = self.usable_until(issuer, &validity, now)? else {
            return Err(VerifyError::Expired(Box::new(presented.claims)));
        };
        if !issuer.stands_by(&presented.claims) {
            return Err(VerifyError::Withdrawn(Box::new(presented.claims)));
        }
        let verified = Arc::new(VerifiedToken::verified(
            presented.token,
            issuer.id(),
            presented.claims,
            validity.expires_at,
            usable_until,
            key,
        ));
        self.cache.remember(&verified);
        Ok(verified)
    }

    /// Until when a token counts, whose time must have begun; `None` when that is over.
    fn usable_until(
        &self,
        issuer: &Issuer,
        validity: &Validity,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, VerifyError> {
        let leeway = issuer.config().leeway;
        if let Some(seconds) = validity.not_valid_for(now, leeway) {
            self.log_skew(issuer, seconds, now);
            return Err(VerifyError::NotYetValid { seconds });
        }
        Ok(Some(validity.expires_at.after(leeway)).filter(|until| now < *until))
    }

    /// The issuer that the token names, if that is one of the configuration, a preferred one first; of a token that names none
    /// of them, the preferred one that is asked about such. Nothing is verified: whoever acts on it may only keep back what would
    /// else have been sent to somebody.
    #[must_use]
    pub fn named_issuer(&self, token: &str, preferred: &[IssuerId]) -> Option<IssuerId> {
        let named = || {
            let claims = Presented::parse(token).ok()?.claims;
            let name = claims::issuer(&claims).ok()?;
            let is_named = |issuer: &&Issuer| issuer.config().issuer == name;
            let preferred = preferred.iter().filter_map(|id| self.issuers.by_id(*id));
            preferred.chain(self.issuers.iter()).find(is_named)
        };
        named().or_else(|| self.introspecting(preferred)).map(Issuer::id)
    }

    /// The allowed issuer that the token names. The first of them, should two have one name.
    fn issuer_of(&self, presented: &Presented<'_>, allowed: &[IssuerId]) -> Result<&Issuer, VerifyError> {
        let name = claims::issuer(&presented.claims)?;
        let mut known = allowed.iter().filter_map(|id| self.issuers.by_id(*id));
        known.find(|issuer| issuer.config().issuer == name).ok_or(VerifyError::UntrustedIssuer)
    }

    fn log_skew(&self, issuer: &Issuer, seconds: u64, now: Timestamp) {
        let last = self.skew_logged.load(Ordering::Relaxed);
        if now.0.abs_diff(last) >= SKEW_LOG_INTERVAL {
            self.skew_logged.store(now.0, Ordering::Relaxed);
            tracing::warn!(
                issuer = %issuer.config().name,
                seconds,
                "a token that this issuer has signed is not valid yet: its clock is ahead, or this machine's behind"
            );
        }
    }
}

/// Whether a token is what its issuer signs for us, by all but its signature and its time.
fn fits(issuer: &Issuer, presented: &Presented<'_>) -> Result<Validity, VerifyError> {
    let config = issuer.config();
    presented.header.check(config)?;
    if config.token_type.is_none() && claims::are_of_another_kind(&presented.claims, &config.identity) {
        return Err(VerifyError::WrongType);
    }
    let validity = Validity::check(&presented.claims, &config.audiences)?;
    if let (IdentityToken::IdToken, Some(client)) = (&config.identity, &config.client) {
        claims::authorized_party(&presented.claims, &client.id)?;
    }
    Ok(validity)
}

/// The key of the issuer that has signed the token. When none has, the issuer may have put a new key under the same name:
/// its set is looked at once more.
async fn signer(issuer: &Issuer, presented: &Presented<'_>) -> Result<Arc<Key>, VerifyError> {
    let (kid, algorithm) = (presented.header.kid.as_deref(), presented.header.algorithm);
    let signed_by =
        |keys: &Keys| keys.iter().find(|key| key.verifies(presented.message, presented.signature, algorithm)).cloned();
    let keys = issuer.key(kid, algorithm).await?;
    if let Some(key) = signed_by(&keys) {
        return Ok(key);
    }
    let newer = issuer.key_instead_of(&keys, kid, algorithm).await;
    newer.as_ref().and_then(signed_by).ok_or(VerifyError::BadSignature)
}

impl From<KeyError> for VerifyError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown => Self::UnknownKey,
            KeyError::OtherAlgorithm => Self::AlgorithmNotAllowed,
            KeyError::Unavailable(unavailable) => Self::IssuerUnavailable(unavailable),
        }
    }
}

#[cfg(test)]
mod tests;
