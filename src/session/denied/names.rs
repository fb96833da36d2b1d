//! How what was denied is named: by hashes, so that whoever reads the lists learns no names, sessions or tokens.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::session::{sha256, start};

/// SHA-256 of what is signed of an access token, header and claims: enough to recognise it, of no use to who reads it. Of a
/// token that is no JWS, all of it counts, for nobody knows what its parts are.
///
/// The signature of a JWS is left out, because one message may have several that are good: whoever has an ECDSA signature
/// (r, s) has (r, n - s) as well, and would have a token that nobody denied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of this access token.
    #[must_use]
    pub fn of(access_token: &str) -> Self {
        Self(sha256(&[signed_part(access_token).unwrap_or(access_token).as_bytes()]))
    }

    pub(super) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Header and claims, if these are three parts of which the first is a JSON object, as far as its beginning tells.
fn signed_part(token: &str) -> Option<&str> {
    let (signed, _) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    // Its first three bytes are enough, and take no memory: this is asked for every request with a signed identity.
    let (mut bytes, start) = ([0; 3], header.get(..4).unwrap_or(header));
    let length = URL_SAFE_NO_PAD.decode_slice(start, &mut bytes).ok()?;
    let first = bytes.get(..length)?.trim_ascii_start().first();
    let is_jws = !header.is_empty() && first.is_none_or(|first| *first == b'{') && !claims.contains('.');
    is_jws.then_some(signed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_tells_no_two_tokens_apart_and_the_end_of_an_opaque_one_does() {
        for header in [r#"{"alg":"ES256"}"#, " {}"] {
            let token = |signature: &str| format!("{}.e30.{signature}", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(TokenHash::of(&token("one")), TokenHash::of(&token("two")), "{header}");
        }
        for start in ["", ".", ".a.", "v1.", "v4.public.", "ory_at_", "e30.", "e30.e30.e30.", "W10.e30."] {
            let [one, two] = ["one", "two"].map(|end| TokenHash::of(&format!("{start}{end}")));
            assert_ne!(one, two, "{start}");
        }
    }
}
