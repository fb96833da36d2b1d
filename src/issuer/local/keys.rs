//! The keys that sign access tokens: ES256, each published an hour before it signs, and until long after.
//!
//! A key signs for `signing_key_lifetime`; what is due is done when the keys are next used. The time for which an old key
//! stays published is that of the longest access token that can be configured, so that no change of the configuration
//! makes a token fail. A key that is kept and cannot be read is never replaced (F39).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::store::{Rows, Store, StoreError, Table};
use crate::clock::Timestamp;
use crate::issuer::jwks::KeySet;
use crate::oauth::{self, Algorithm};

/// So long a key is published before it signs: others fetch the set every few minutes.
const AHEAD: Duration = Duration::from_secs(3600);
/// So long it stays published after the next one has begun to sign: a day of access token, and the leeway.
const BEHIND: Duration = Duration::from_secs(24 * 3600 + 5 * 60);
/// More rows than there ever are keys.
const MOST: usize = 1000;

/// Why there is no key. Ours, or the system's.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// What is kept cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key that is kept is none: something has changed it.
    #[error("a signing key that is kept cannot be used")]
    Damaged(#[source] jsonwebtoken::errors::Error),
    /// A key cannot be made: the system's randomness.
    #[error("a signing key cannot be made")]
    Generate(#[source] rcgen::Error),
    /// A key that was just made cannot be used, or the set not be written. Ours.
    #[error("a signing key that was made cannot be used")]
    Unusable(#[source] jsonwebtoken::errors::Error),
    /// The set of our own keys cannot be read. Ours.
    #[error("the set of signing keys cannot be read")]
    Set(#[source] crate::issuer::FetchError),
}

impl KeysError {
    /// See [`StoreError::is_configuration`].
    pub(in crate::issuer) const fn is_configuration(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_configuration())
    }
}

/// The keys.
pub(super) struct SigningKeys {
    ring: ArcSwap<Ring>,
    issuer: Arc<str>,
    /// Keys are made one at a time.
    turn: Mutex<()>,
}

struct Ring {
    /// By when they begin to sign. Never empty.
    keys: Vec<Arc<SigningKey>>,
    published: Arc<KeySet>,
    document: Bytes,
}

struct SigningKey {
    signs_from: Timestamp,
    key: oauth::SigningKey,
}

/// A key as it is kept.
#[derive(Serialize, Deserialize)]
struct Row {
    signs_from: Timestamp,
    pem: Zeroizing<String>,
}

impl SigningKeys {
    /// Puts the first key into a new store.
    pub(super) fn begin(rows: &mut dyn Rows, now: Timestamp) -> Result<(), StoreError> {
        // Without randomness there is no key: the store then stays empty, which is refused when it is read.
        generate(now).map_or(Err(StoreError::Row), |row| keep(rows, &row))
    }

    /// The keys of the store, which has some.
    pub(super) fn load(store: &Store, issuer: &Arc<str>) -> Result<Self, KeysError> {
        let rows = store.change(|rows| rows.first(Table::Keys, MOST))?;
        if rows.is_empty() {
            return Err(StoreError::Row.into());
        }
        let mut keys = Vec::with_capacity(rows.len());
        for (_, value) in rows {
            let row: Row = serde_json::from_slice(&Zeroizing::new(value)).map_err(|_| StoreError::Row)?;
            keys.push(Arc::new(SigningKey::new(&row).map_err(KeysError::Damaged)?));
        }
        let ring = ArcSwap::from_pointee(Ring::new(keys, issuer, None)?);
        Ok(Self { ring, issuer: Arc::clone(issuer), turn: Mutex::new(()) })
    }

    /// The published keys, to verify with.
    pub(super) fn published(&self) -> Arc<KeySet> {
        Arc::clone(&self.ring.load().published)
    }

    /// The published keys, for others (RFC 7517 §5).
    pub(super) fn document(&self) -> Bytes {
        self.ring.load().document.clone()
    }

    /// Whether a key is to be made or taken away.
    pub(super) fn is_due(&self, now: Timestamp, lifetime: Duration) -> bool {
        let ring = self.ring.load();
        ring.needs_next(now, lifetime) || ring.keys.iter().any(|key| ring.is_over(key, now))
    }

    /// Makes the next key and takes old ones away, if that is due. What cannot be done now is done later: the key that
    /// signs goes on.
    pub(super) fn rotate(&self, store: &Store, now: Timestamp, lifetime: Duration) -> Result<(), KeysError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring.load_full();
        let (over, mut keys): (Vec<_>, Vec<_>) = ring.keys.iter().cloned().partition(|key| ring.is_over(key, now));
        let mut next = None;
        if let Some(last) = keys.last().filter(|_| ring.needs_next(now, lifetime)) {
            let row = generate(last.signs_from.after(lifetime).max(now.after(AHEAD)))?;
            keys.push(Arc::new(SigningKey::new(&row).map_err(KeysError::Unusable)?));
            next = Some(row);
        }
        store.change(|rows| {
            for key in &over {
                rows.remove(Table::Keys, &row_key(key.signs_from))?;
            }
            next.as_ref().map_or(Ok(()), |row| keep(rows, row))
        })?;
        self.ring.store(Arc::new(Ring::new(keys, &self.issuer, Some(&ring.published))?));
        Ok(())
    }

    /// Signs these claims as a token of this type, with the key whose time it is.
    pub(super) fn sign(
        &self,
        token_type: &str,
        claims: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let ring = self.ring.load();
        // A clock that was set back finds the first one.
        let key = ring.keys.iter().rfind(|key| key.signs_from <= now).or_else(|| ring.keys.first());
        let key = key.ok_or(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat)?;
        key.key.sign(token_type, claims)
    }
}

impl Ring {
    fn new(keys: Vec<Arc<SigningKey>>, issuer: &str, before: Option<&KeySet>) -> Result<Self, KeysError> {
        let document = oauth::SigningKey::set(keys.iter().map(|key| &key.key)).map_err(KeysError::Unusable)?;
        let published = KeySet::parse(&document, issuer, &[Algorithm::ES256], before).map_err(KeysError::Set)?;
        Ok(Self { keys, published: Arc::new(published), document: document.into() })
    }

    /// Whether the last key is to be followed by another one within the time that others need to learn of it.
    fn needs_next(&self, now: Timestamp, lifetime: Duration) -> bool {
        self.keys.last().is_some_and(|last| last.signs_from.after(lifetime) <= now.after(AHEAD))
    }

    /// Whether nothing that the key has signed can still be good.
    fn is_over(&self, key: &Arc<SigningKey>, now: Timestamp) -> bool {
        let next = self.keys.iter().skip_while(|other| !Arc::ptr_eq(other, key)).nth(1);
        next.is_some_and(|next| next.signs_from.after(BEHIND) <= now)
    }
}

impl SigningKey {
    fn new(row: &Row) -> Result<Self, jsonwebtoken::errors::Error> {
        let key = oauth::SigningKey::from_pem(row.pem.as_bytes(), Algorithm::ES256, None)?;
        Ok(Self { signs_from: row.signs_from, key })
    }
}

fn generate(signs_from: Timestamp) -> Result<Row, KeysError> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(KeysError::Generate)?;
    Ok(Row { signs_from, pem: Zeroizing::new(pair.serialize_pem()) })
}

fn keep(rows: &mut dyn Rows, row: &Row) -> Result<(), StoreError> {
    let value = serde_json::to_vec(row).map(Zeroizing::new).map_err(|_| StoreError::Row)?;
    rows.put(Table::Keys, &row_key(row.signs_from), &value)
}

const fn row_key(signs_from: Timestamp) -> [u8; 8] {
    signs_from.0.to_be_bytes()
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ring = self.ring.load();
        let kids: Vec<_> = ring.keys.iter().map(|key| key.key.kid()).collect();
        formatter.debug_struct("SigningKeys").field("kids", &kids).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
