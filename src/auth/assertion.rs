//! The signed form of the identity: `X-Usher-Assertion`, for applications that want proof of who set their headers.
//!
//! A short-lived JWT (RFC 7519), ES256, of a type of its own so that nobody takes it for an access token (RFC 8725 §3.11):
//!
//! | member | value |
//! |---|---|
//! | header `typ` | `usher-assertion+jwt` |
//! | `iss` | `https://` and the site's host; the keys are at `/.usher/jwks.json` below it |
//! | `aud` | the site's host, so that one application cannot use it at another |
//! | `sub` | the subject of the access token, where it has one |
//! | `iat`, `exp` | now, and [`LIFETIME`] later |
//! | `claims` | the claims of the route's identity headers, by claim path, as JSON and not encoded |
//!
//! There is no `jti`: an assertion may be sent with several requests, so an application must not count them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::config::IdentityHeader;
use crate::oauth::{Algorithm, Claims, SigningKey};
use crate::state;

/// The header that carries the assertion.
pub const HEADER: HeaderName = HeaderName::from_static("x-usher-assertion");

/// How long an assertion is good for. Whoever keeps one to send it again must leave the application time to read it.
pub const LIFETIME: Duration = Duration::from_secs(60);

/// Bytes of an assertion: what common servers take in one header.
const MAX_LENGTH: usize = 8 * 1024;

/// Nobody takes it for an access token.
const TYPE: &str = "usher-assertion+jwt";

const KEY_FILE: &str = "assertion-key.pem";

/// Why there is no key to sign assertions with. Usher does not start then; it never falls back to another key.
#[derive(Debug, thiserror::Error)]
pub enum AssertionKeyError {
    /// The key file is there and cannot be read. The operator's mistake.
    #[error("cannot read the assertion key {}", path.display())]
    Read {
        /// The key file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The key file holds no P-256 private key in PKCS#8 PEM: somebody, or something, has changed it.
    #[error("{} holds no P-256 private key (PKCS#8, PEM); delete it to have a new one made", path.display())]
    Malformed {
        /// The key file.
        path: PathBuf,
        /// What the reader says.
        source: jsonwebtoken::errors::Error,
    },
    /// The key file cannot be written. The operator's mistake, or a full disk.
    #[error("cannot write the assertion key {}", path.display())]
    Write {
        /// The key file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A key cannot be made. Ours, or the system's randomness.
    #[error("cannot make an assertion key")]
    Generate(#[source] rcgen::Error),
    /// A key that was just made cannot be used. Ours.
    #[error("cannot use the assertion key that was made")]
    Unusable(#[source] jsonwebtoken::errors::Error),
}

/// Why an identity cannot be asserted: the request is refused rather than forwarded without.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// The claims are too large for a header. The issuer's doing, or the operator's choice of claims.
    #[error("the identity is too long for an assertion")]
    TooLong,
    /// Signing failed. Ours.
    #[error("the assertion cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// Signs assertions, with one key for all sites.
pub struct Assertions {
    key: SigningKey,
    jwks: Bytes,
}

impl Assertions {
    /// Takes the key from the state directory, where it is made at the first start, readable for its owner only. Without a
    /// directory, each start makes a new key. Instances must not share a directory while they make their first key.
    ///
    /// # Errors
    /// [`AssertionKeyError`]: a key that is there but cannot be used is never replaced.
    pub fn load_or_create(state_directory: Option<&Path>) -> Result<Self, AssertionKeyError> {
        let Some(directory) = state_directory else {
            return Self::new(&generate()?).map_err(AssertionKeyError::Unusable);
        };
        let path = directory.join(KEY_FILE);
        match fs::read(&path).map(Zeroizing::new) {
            Ok(pem) => Self::new(&pem).map_err(|source| AssertionKeyError::Malformed { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pem = generate()?;
                state::keep(directory, KEY_FILE, &pem).map_err(|source| AssertionKeyError::Write { path, source })?;
                Self::new(&pem).map_err(AssertionKeyError::Unusable)
            }
            Err(source) => Err(AssertionKeyError::Read { path, source }),
        }
    }

    /// Whether the key that is there, if one is, could be used.
    ///
    /// # Errors
    /// [`AssertionKeyError`]
    pub fn examine(state_directory: &Path) -> Result<(), AssertionKeyError> {
        if state_directory.join(KEY_FILE).try_exists().unwrap_or(true) {
            Self::load_or_create(Some(state_directory))?;
        }
        Ok(())
    }

    fn new(pem: &[u8]) -> Result<Self, jsonwebtoken::errors::Error> {
        let key = SigningKey::from_pem(pem, Algorithm::ES256, None)?;
        let jwks = SigningKey::set([&key])?.into();
        Ok(Self { key, jwks })
    }

    /// Asserts an identity to the application of a site. Costs a signature each time, so it is worth keeping for a part
    /// of its [`LIFETIME`].
    ///
    /// # Errors
    /// [`AssertionError`].
    pub fn sign(
        &self,
        host: &str,
        claims: &Claims,
        set: &[IdentityHeader],
        now: Timestamp,
    ) -> Result<HeaderValue, AssertionError> {
        let named = |header: &IdentityHeader| Some((header.claim.to_string(), claims.at(&header.claim)?));
        let payload = Payload {
            iss: format!("https://{host}"),
            aud: host,
            sub: claims.subject(),
            iat: now,
            exp: now.after(LIFETIME),
            claims: set.iter().filter_map(named).collect(),
        };
        let token = self.key.sign(TYPE, &payload).map_err(AssertionError::Sign)?;
        if token.len() > MAX_LENGTH {
            return Err(AssertionError::TooLong);
        }
        let mut value = HeaderValue::try_from(token).map_err(|_| AssertionError::TooLong)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The JWK Set (RFC 7517 §5) with the public key, as `/.usher/jwks.json` serves it.
    #[must_use]
    pub fn jwks(&self) -> Bytes {
        self.jwks.clone()
    }
}

impl std::fmt::Debug for Assertions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Assertions").field("kid", &self.key.kid()).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: String,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    iat: Timestamp,
    exp: Timestamp,
    claims: BTreeMap<String, &'a Value>,
}

/// A new key, PKCS#8 in PEM.
fn generate() -> Result<Zeroizing<Vec<u8>>, AssertionKeyError> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(AssertionKeyError::Generate)?;
    Ok(Zeroizing::new(pair.serialize_pem().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use serde_json::{Map, json};

    fn claims(value: Value) -> Claims {
        let Value::Object(map) = value else { unreachable!() };
        Claims(map)
    }

    fn set(paths: &[&str]) -> Vec<IdentityHeader> {
        let header =
            |path: &&str| IdentityHeader { name: HeaderName::from_static("x-id"), claim: path.parse().unwrap() };
        paths.iter().map(header).collect()
    }

    fn verified(assertions: &Assertions, value: &HeaderValue, audience: &str) -> Option<Map<String, Value>> {
        let keys: JwkSet = serde_json::from_slice(&assertions.jwks()).unwrap();
        let token = value.to_str().unwrap();
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(keys.find(&kid)?).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[audience]);
        validation.validate_exp = false;
        jsonwebtoken::decode(token, &key, &validation).ok().map(|data| data.claims)
    }

    #[test]
    fn an_assertion_verifies_with_the_published_key_for_its_site_only() {
        let assertions = Assertions::load_or_create(None).unwrap();
        let alice = claims(json!({ "sub": "alice", "a": { "b": ["x", "ü"] }, "secret": "hidden" }));
        let value = assertions.sign("app.test", &alice, &set(&["sub", "a.b", "absent"]), Timestamp(1_000)).unwrap();

        assert_eq!(
            verified(&assertions, &value, "app.test").map(Value::from),
            Some(json!({
                "iss": "https://app.test",
                "aud": "app.test",
                "sub": "alice",
                "iat": 1_000,
                "exp": 1_060,
                "claims": { "sub": "alice", "a.b": ["x", "ü"] },
            }))
        );
        assert_eq!(verified(&assertions, &value, "other.test"), None);
        assert_eq!(verified(&Assertions::load_or_create(None).unwrap(), &value, "app.test"), None);
        assert!(value.is_sensitive());
    }

    #[test]
    fn the_published_set_has_the_public_key_only() {
        let assertions = Assertions::load_or_create(None).unwrap();
        let jwks: Value = serde_json::from_slice(&assertions.jwks()).unwrap();
        let key = jwks["keys"][0].as_object().unwrap();
        let mut members: Vec<_> = key.keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
            (&json!("EC"), &json!("P-256"), &json!("ES256"), &json!("sig"))
        );
    }

    #[test]
    fn the_key_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let first = Assertions::load_or_create(Some(&state)).unwrap();
        let second = Assertions::load_or_create(Some(&state)).unwrap();
        assert_eq!(first.jwks(), second.jwks());
    }

    #[test]
    fn a_damaged_key_is_refused_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        let other_curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
        for content in ["", "not a key", &other_curve] {
            fs::write(&path, content).unwrap();
            let error = Assertions::load_or_create(Some(directory.path())).unwrap_err();
            assert!(matches!(error, AssertionKeyError::Malformed { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn an_identity_that_does_not_fit_is_not_asserted() {
        let assertions = Assertions::load_or_create(None).unwrap();
        let huge = claims(json!({ "sub": "a".repeat(MAX_LENGTH) }));
        let refused = assertions.sign("app.test", &huge, &[], Timestamp(0));
        assert!(matches!(refused, Err(AssertionError::TooLong)));
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", Assertions::load_or_create(None).unwrap());
        assert!(shown.starts_with("Assertions { kid: "), "{shown}");
    }
}
