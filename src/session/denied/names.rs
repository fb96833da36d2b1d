//! How what was denied is named: by hashes, so that whoever reads the lists learns no names, sessions or tokens.

use std::fmt;

use crate::session::{sha256, start};

/// SHA-256 of what is signed of an access token, header and claims: enough to recognise it, of no use to who reads it.
///
/// The signature is left out, because one message may have several that are good: whoever has an ECDSA signature (r, s) has
/// (r, n - s) as well, and would have a token that nobody denied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of this access token.
    #[must_use]
    pub fn of(access_token: &str) -> Self {
        let signed = access_token.rsplit_once('.').map_or(access_token, |(signed, _)| signed);
        Self(sha256(&[signed.as_bytes()]))
    }

    pub(super) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash(…)")
    }
}

/// An issuer and its own name for a session there (`sid`, OIDC Front-Channel Logout 1.0 §3): 128 bits of a hash, because it
/// travels in cookies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SidHash(pub [u8; 16]);

impl SidHash {
    /// The hash of this session of the issuer's.
    #[must_use]
    pub fn of(issuer: &str, sid: &str) -> Self {
        Self(start(&of_both(b"sid", issuer, sid)))
    }
}

impl fmt::Debug for SidHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SidHash(…)")
    }
}

/// An issuer and a subject there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectHash([u8; 32]);

impl SubjectHash {
    /// Everything that the subject was given.
    pub(super) fn of(issuer: &str, subject: &str) -> Self {
        Self(of_both(b"sub", issuer, subject))
    }

    /// Those of its sessions of which nobody knows how the issuer calls them.
    pub(super) fn of_nameless(issuer: &str, subject: &str) -> Self {
        Self(of_both(b"sub without sid", issuer, subject))
    }

    pub(super) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SubjectHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SubjectHash(…)")
    }
}

/// An issuer and one of its logout tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LogoutHash([u8; 32]);

impl LogoutHash {
    pub(super) fn of(issuer: &str, jti: &str) -> Self {
        Self(of_both(b"jti", issuer, jti))
    }
}

/// With their lengths in front, no other words give the same bytes.
fn of_both(kind: &[u8], issuer: &str, name: &str) -> [u8; 32] {
    let length = |length: usize| (length as u64).to_be_bytes();
    sha256(&[&length(kind.len()), kind, &length(issuer.len()), issuer.as_bytes(), name.as_bytes()])
}
