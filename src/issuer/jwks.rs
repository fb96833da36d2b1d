//! Key sets (RFC 7517): the keys of an issuer, read one by one, and which of them a token may be verified with.
//!
//! A key that cannot be used (an unknown type, one for encryption, one too weak) is skipped and takes no other with it.
//! Nothing in a key or a token leads anywhere else: `x5u`, `x5c` and `jku` are not looked at.

use std::sync::Arc;

use crate::oauth::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::document::FetchError;
use super::key::{Key, KeyRejected, Material};

/// More keys than any issuer publishes.
const MOST_KEYS: usize = 128;

/// A token without `kid` is tried with at most so many keys: each costs a signature check.
const MOST_CANDIDATES: usize = 8;

/// The keys of one issuer.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    keys: Vec<Arc<Key>>,
    /// Whether `kid` decides: it does in a published set, and means nothing to a single configured key.
    by_kid: bool,
}

/// The keys with which a token may be verified: one by its `kid`, or a few without.
#[derive(Clone, Debug)]
pub struct Keys {
    set: Arc<KeySet>,
    chosen: Chosen,
}

#[derive(Clone, Copy, Debug)]
enum Chosen {
    One(usize),
    All(Algorithm),
}

/// Why a set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// There is none of that name, or none at all for the algorithm.
    Unknown,
    /// The key of that name is for another algorithm.
    OtherAlgorithm,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    intended_use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part, and a symmetric key: neither may be in a public set.
    d: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl KeySet {
    /// The one key that is configured.
    pub(super) fn single(key: Key) -> Self {
        Self { keys: vec![Arc::new(key)], by_kid: false }
    }

    /// All keys.
    pub(super) fn keys(&self) -> &[Arc<Key>] {
        &self.keys
    }

    /// Reads a published set. Keys that `previous` has as well stay the same objects; those that are gone from it are
    /// withdrawn.
    ///
    /// # Errors
    /// [`FetchError::Unreadable`] when the document is no key set at all.
    pub(super) fn parse(
        bytes: &[u8],
        issuer: &str,
        configured: &[Algorithm],
        previous: Option<&Self>,
    ) -> Result<Self, FetchError> {
        let document: Document = serde_json::from_slice(bytes).map_err(FetchError::Unreadable)?;
        let mut set = Self { keys: Vec::new(), by_kid: true };
        for jwk in document.keys.iter().take(MOST_KEYS) {
            if let Err(reason) = set.add(jwk, configured, previous) {
                let kid = jwk.get("kid").and_then(Value::as_str);
                tracing::debug!(issuer, kid, %reason, "a key of the issuer is skipped");
            }
        }
        if set.keys.is_empty() {
            tracing::warn!(issuer, published = document.keys.len(), "the issuer publishes no key that can be used");
        }
        for gone in previous.iter().flat_map(|previous| &previous.keys) {
            if !set.keys.iter().any(|kept| Arc::ptr_eq(kept, gone)) {
                gone.withdraw();
            }
        }
        Ok(set)
    }

    fn add(&mut self, jwk: &Value, configured: &[Algorithm], previous: Option<&Self>) -> Result<(), KeyRejected> {
        let key = Jwk::deserialize(jwk).map_err(|_| KeyRejected::Unreadable)?.key(configured)?;
        // One that is there twice would come back as one object, and its other be withdrawn although it is published.
        let repeats = |other: &Arc<Key>| (key.kid().is_some() && other.kid() == key.kid()) || other.is_same(&key);
        if self.keys.iter().any(repeats) {
            return Err(KeyRejected::Repeated);
        }
        let known = previous.and_then(|previous| previous.keys.iter().find(|known| known.is_same(&key)));
        self.keys.push(known.cloned().unwrap_or_else(|| Arc::new(key)));
        Ok(())
    }

    /// The keys for a token with this header.
    pub(super) fn choose(self: Arc<Self>, kid: Option<&str>, algorithm: Algorithm) -> Result<Keys, NoKey> {
        let chosen = match kid.filter(|_| self.by_kid) {
            Some(kid) => {
                let named = |key: &Arc<Key>| key.kid() == Some(kid);
                let index = self.keys.iter().position(named).ok_or(NoKey::Unknown)?;
                if !self.keys.get(index).is_some_and(|key| key.fits(algorithm)) {
                    return Err(NoKey::OtherAlgorithm);
                }
                Chosen::One(index)
            }
            None if self.keys.iter().any(|key| key.fits(algorithm)) => Chosen::All(algorithm),
            None => return Err(NoKey::Unknown),
        };
        Ok(Keys { set: self, chosen })
    }
}

impl Keys {
    /// The candidates. At least one, at most eight.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        let (one, all) = match self.chosen {
            Chosen::One(index) => (self.set.keys.get(index), None),
            Chosen::All(algorithm) => (None, Some(algorithm)),
        };
        let fitting = self.set.keys.iter().filter(move |key| all.is_some_and(|algorithm| key.fits(algorithm)));
        one.into_iter().chain(fitting.take(MOST_CANDIDATES))
    }

    pub(super) fn set(&self) -> &Arc<KeySet> {
        &self.set
    }
}

impl Jwk {
    fn key(self, configured: &[Algorithm]) -> Result<Key, KeyRejected> {
        if self.d.is_some() || self.k.is_some() || self.kty == "oct" {
            return Err(KeyRejected::Published);
        }
        let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
        if self.intended_use.as_deref().is_some_and(|name| name != "sig") || !self.key_ops.as_ref().is_none_or(verifies)
        {
            return Err(KeyRejected::Unsupported);
        }
        let named = match self.alg.as_deref() {
            Some(name) => Some(Algorithm::named(name).ok_or(KeyRejected::Unsupported)?),
            None => None,
        };
        self.material()?.key(self.kid.as_deref(), named, configured)
    }

    fn material(&self) -> Result<Material, KeyRejected> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Material::rsa(&decode(self.n.as_deref())?, &decode(self.e.as_deref())?),
            ("EC", Some("P-256")) => Material::ec(&self.point(32)?),
            ("EC", Some("P-384")) => Material::ec(&self.point(48)?),
            ("EC", Some("P-521")) => Material::ec(&self.point(66)?),
            ("OKP", Some("Ed25519")) => Ok(Material::ed25519(&decode(self.x.as_deref())?)),
            _ => Err(KeyRejected::Unsupported),
        }
    }

    /// The uncompressed point, of two coordinates of `size` bytes (RFC 7518 §6.2.1.2).
    fn point(&self, size: usize) -> Result<Vec<u8>, KeyRejected> {
        let (x, y) = (decode(self.x.as_deref())?, decode(self.y.as_deref())?);
        if x.len() != size || y.len() != size {
            return Err(KeyRejected::Unreadable);
        }
        Ok([&[4], x.as_slice(), y.as_slice()].concat())
    }
}

fn decode(value: Option<&str>) -> Result<Vec<u8>, KeyRejected> {
    URL_SAFE_NO_PAD.decode(value.unwrap_or_default()).map_err(|_| KeyRejected::Unreadable)
}

#[cfg(test)]
mod tests;
