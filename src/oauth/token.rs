//! Tokens, and what a token endpoint says (RFC 6749 §5).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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
opaque_token!(
    /// An authorization code (RFC 6749 §1.3.1). `Debug` never shows it.
    AuthorizationCode
);
opaque_token!(
    /// The secret behind a code challenge (RFC 7636 §4.1). `Debug` never shows it.
    CodeVerifier
);

/// A successful answer of the token endpoint (RFC 6749 §5.1), or of an existing service's refresh exchange mapped onto it.
///
/// Providers differ: everything but the access token may be absent (R8 of the refresh protocol). What is not needed here
/// is not read either: `expires_in` and `scope` come in more types than RFC 6749 knows, and the tokens beside them must not
/// be lost for that. When an access token expires, its own `exp` says.
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
}

/// Longer than any code that is defined; what an issuer says beyond that does not belong in a log.
const LONGEST_CODE: usize = 64;

/// An error answer of the token endpoint (RFC 6749 §5.2), and of others that are asked in the same way.
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

    /// The code in the body of an answer, where it may stand in a log: words, as all that are registered are, and not many of
    /// them. Digits are no part of it: some services repeat the token that they were asked with (law 8).
    #[must_use]
    pub fn printable_code(body: &[u8]) -> Option<String> {
        let fits = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b' ');
        let Self { error } = serde_json::from_slice(body).ok()?;
        Some(error).filter(|code| !code.is_empty() && code.len() <= LONGEST_CODE && code.bytes().all(fits))
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
        };
        assert!(!format!("{response:?}").contains("canary"));
    }

    #[test]
    fn strange_members_that_nobody_needs_do_not_lose_the_tokens() {
        for strange in [r#""expires_in":"soon""#, r#""expires_in":-1"#, r#""scope":["a","b"]"#, r#""unknown":{}"#] {
            let answer = format!(r#"{{"access_token":"at","refresh_token":"rt",{strange}}}"#);
            let tokens: TokenResponse = serde_json::from_str(&answer).unwrap();
            assert_eq!(tokens.refresh_token, Some(RefreshToken::new("rt")), "{strange}");
        }
    }
}
