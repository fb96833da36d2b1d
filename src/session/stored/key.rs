//! What opens a session in the store: the value of a cookie, and of nothing else.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::Secret;
use crate::session::{NoRandomness, SessionId, sha256, start};

/// 128 random bits. Nobody but the browser keeps them: everywhere else the session has the [name](SessionKey::id) that comes
/// out of them one way, so that neither the store, nor a list of sessions, nor a denial can be used to sign in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionKey([u8; 16]);

impl SessionKey {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The key of a session that moves from cookies to the store. Requests that do so at the same time get the same one, and
    /// nobody without the secret does.
    #[must_use]
    pub fn moved(secret: &Secret, from: SessionId) -> Option<Self> {
        let mut bytes = [0; 16];
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(secret.expose());
        let info: [&[u8]; 2] = [b"usher moved session v1", &from.0];
        extracted.expand(&info, Length).and_then(|expanded| expanded.fill(&mut bytes)).ok()?;
        Some(Self(bytes))
    }

    /// The key in this value of a cookie. What is none is not worth asking a store about.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        // Longer values are refused before they are looked at.
        let written = URL_SAFE_NO_PAD.decode_slice(value, &mut bytes).ok()?;
        (written == bytes.len()).then_some(Self(bytes))
    }

    /// The cookie's value: 22 characters.
    #[must_use]
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What the session is called.
    #[must_use]
    pub fn id(self) -> SessionId {
        SessionId(start(&sha256(&[b"usher session\0", &self.0])))
    }
}

/// Of a key.
#[derive(Clone, Copy)]
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        16
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_in_no_other_spelling() {
        let key = SessionKey::random().unwrap();
        let text = key.to_text();
        assert_eq!((text.len(), SessionKey::parse(&text)), (22, Some(key)));
        for other in ["", "A", text.get(1..).unwrap(), &format!("{text}A"), &format!("{text}=="), &"A".repeat(9_000)] {
            assert_eq!(SessionKey::parse(other), None, "{other}");
        }
        // The last character has four bits of the key and two that must be zero.
        assert_eq!(SessionKey::parse("AAAAAAAAAAAAAAAAAAAAAB"), None);
        assert_eq!(SessionKey::parse("++++++++++++++++++++AA"), None);
    }

    #[test]
    fn a_session_moves_to_one_key_that_only_the_secret_makes() {
        let moved = |secret: &[u8], id| SessionKey::moved(&Secret::new(secret.to_vec()), SessionId([id; 16])).unwrap();
        assert_eq!(moved(b"a secret", 1), moved(b"a secret", 1));
        assert_ne!(moved(b"a secret", 1), moved(b"a secret", 2));
        assert_ne!(moved(b"a secret", 1), moved(b"another", 1));
    }

    #[test]
    fn the_name_is_not_the_key() {
        let key = SessionKey([7; 16]);
        assert_ne!(key.id().0, [7; 16]);
        assert_eq!(key.id(), SessionKey([7; 16]).id());
        assert_eq!(SessionId::parse(&key.id().to_text()), Some(key.id()));
        assert_eq!(format!("{key:?}"), "SessionKey(…)");
    }
}
