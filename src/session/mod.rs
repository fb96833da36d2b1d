//! What Usher remembers of a session: sealed cookies, or the session itself with its tokens, the records of renewals, and
//! what was denied before its time.
//!
//! Nothing here speaks to an issuer or decides about a request: `auth` does. The [`store`] is the seam behind which the
//! records are in this process or on a server that several instances [share](shared), as the denials may be, which are on disk
//! otherwise, and the sessions that are [stored] rather than in cookies; [`seal`] knows nothing of it.

pub mod denied;
#[cfg(test)]
pub(crate) mod formats;
pub mod seal;
pub mod shared;
mod sign_in_facts;
pub mod store;
pub mod stored;

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

pub use denied::{DenialJournal, DenialKeeper, Denied, SharedDenials, SidHash, TokenHash};
pub use seal::{SealError, Sealer};
pub use sign_in_facts::{AcrHash, SignInFacts};
pub use store::{Policy, Store};

use store::RecordKey;

/// One sign-in of one browser, through all its renewals: 128 bits, random for a session of Usher's own, derived for raw
/// cookies and for sessions in the store. A name for the session and no key to it, but as that it stays out of logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionId(pub [u8; 16]);

/// The system gave no randomness. Our host's trouble: the sign-in is refused rather than given a guessable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no randomness")]
pub struct NoRandomness;

impl SessionId {
    /// A new session.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The session that begins with this refresh token, where cookies carry no session of their own. What the token is
    /// renewed to inherits it. One way: the token cannot be found from it.
    #[must_use]
    pub fn beginning_with(key: &RecordKey) -> Self {
        Self(start(key.as_bytes()))
    }

    /// As commands show it and stores know it: 32 hexadecimal digits.
    #[must_use]
    pub fn to_text(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// What [`SessionId::to_text`] has written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_written = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_written)?;
        Some(Self(number.to_be_bytes()))
    }
}

/// SHA-256 (FIPS 180-4) of these parts, one after the other.
fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    start(context.finish().as_ref())
}

/// The first bytes of a digest, which is never shorter than what is taken of it.
fn start<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, digest) in bytes.iter_mut().zip(digest) {
        *byte = *digest;
    }
    bytes
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_sessions_differ_and_never_show_in_debug() {
        let (one, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(format!("{one:?}"), "SessionId(…)");
    }
}
