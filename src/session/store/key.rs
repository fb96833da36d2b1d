//! The name of a refresh token's record.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::oauth::RefreshToken;
use crate::session::sha256;

/// SHA-256 of the issuer's name, a zero byte and the whole refresh token: nobody gets another user's outcome, and who
/// reads the store learns no token (R5, R15). `Display` shows the first eight hexadecimal digits, for logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// The key of `token` at the issuer of that (configured) name. A name never holds a zero byte, so no two pairs read
    /// the same.
    #[must_use]
    pub fn of(issuer: &str, token: &RefreshToken) -> Self {
        Self(sha256(&[issuer.as_bytes(), &[0], token.expose().as_bytes()]))
    }

    /// The key itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_and_tokens_never_run_into_each_other() {
        let key = |issuer: &str, token: &str| RecordKey::of(issuer, &RefreshToken::new(token));
        assert_eq!(key("company", "token"), key("company", "token"));
        assert_ne!(key("company", "token"), key("compan", "ytoken"));
        assert_ne!(key("company", "token"), key("staff", "token"));
        assert_ne!(key("company", "token"), key("company", "token2"));
    }

    #[test]
    fn a_key_shows_eight_digits() {
        assert_eq!(RecordKey::of("company", &RefreshToken::new("token")).to_string().len(), 8);
    }
}
