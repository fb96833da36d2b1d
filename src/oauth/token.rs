//! Tokens, and what a token endpoint says (RFC 6749 §5).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! opaque_token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it was received.
            #[must_use]
            pub fn new(text: &str) -> Self {
                Self(Arc::from(text))
            }

            /// The token itself. Whoever calls this is responsible for where it goes: never a log line, never an error
            /// (law 8).
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

opaque_token!(
    /// An access token (RFC 6749 §1.4). `Debug` never shows it.
    AccessToken
);
opaque_token!(
    /// A refresh token (RFC 6749 §1.5). `Debug` never shows it.
    RefreshToken
);

/// A successful answer of the token endpoint (RFC 6749 §5.1), or of an existing service's refresh exchange mapped onto it.
///
/// Providers differ: everything but the access token may be absent (R8 of the refresh protocol).
#[derive(Clone, Debug, Deserialize)]
pub struct TokenResponse {
    /// The new access token.
    pub access_token: AccessToken,
    /// The successor of the refresh token that was spent; `None` when the issuer does not rotate.
    #[serde(default)]
    pub refresh_token: Option<RefreshToken>,
    /// A new ID token (OIDC Core §12.2), if the issuer sends one. As secret as an access token.
    #[serde(default)]
    pub id_token: Option<AccessToken>,
    /// Lifetime of the access token in seconds, as the issuer says. Some send it as a string; see [`lifetime`].
    #[serde(default, deserialize_with = "lifetime")]
    pub expires_in: Option<u64>,
    /// The granted scope, when it differs from what was asked for.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Reads `expires_in` from a number or a decimal string; anything else counts as absent, because a strange figure is no
/// reason to end a session: the `exp` of the token decides.
fn lifetime<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// An error answer of the token endpoint (RFC 6749 §5.2).
#[derive(Clone, Debug, Deserialize)]
pub struct TokenErrorResponse {
    /// The code: `invalid_grant`, `invalid_client`, ….
    pub error: String,
}

impl TokenErrorResponse {
    /// Whether the answer says that the refresh token itself is no longer good: the only answer that ends a session
    /// (law 7).
    #[must_use]
    pub fn is_invalid_grant(&self) -> bool {
        self.error == "invalid_grant"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_token() {
        let response = TokenResponse {
            access_token: AccessToken::new("canary-access"),
            refresh_token: Some(RefreshToken::new("canary-refresh")),
            id_token: Some(AccessToken::new("canary-id")),
            expires_in: Some(300),
            scope: None,
        };
        assert!(!format!("{response:?}").contains("canary"));
    }

    #[test]
    fn lifetime_is_read_from_numbers_and_strings_and_is_absent_otherwise() {
        let lifetime = |json: &str| serde_json::from_str::<TokenResponse>(json).unwrap().expires_in;
        assert_eq!(lifetime(r#"{"access_token":"a","expires_in":300}"#), Some(300));
        assert_eq!(lifetime(r#"{"access_token":"a","expires_in":"300"}"#), Some(300));
        assert_eq!(lifetime(r#"{"access_token":"a","expires_in":null}"#), None);
        assert_eq!(lifetime(r#"{"access_token":"a"}"#), None);
    }
}
