//! What a browser brings back from the authorization server (RFC 6749 §4.1.2, RFC 9207): the query of the redirect URI.

use url::form_urlencoded;

use crate::oauth::AuthorizationCode;

/// Longer than any code that is defined; what came through a browser does not belong in a log beyond that.
const LONGEST_ERROR: usize = 64;

/// An authorization response. Anybody may have made it up.
pub(super) struct AuthorizationResponse {
    pub(super) state: String,
    /// Who says to have answered.
    pub(super) issuer: Option<String>,
    /// A code, or an error code that may stand in a log.
    pub(super) outcome: Result<AuthorizationCode, String>,
}

impl AuthorizationResponse {
    /// Reads the query. `None` unless each parameter stands there once, and either a code or an error: of two codes or two
    /// states, one would be checked and the other used.
    pub(super) fn parse(query: &str) -> Option<Self> {
        let [mut state, mut issuer, mut code, mut error] = [const { None::<String> }; 4];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut state,
                "iss" => &mut issuer,
                "code" => &mut code,
                "error" => &mut error,
                // RFC 6749 §4.1.2: what is not known is ignored.
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        let outcome = match (code, error) {
            (Some(code), None) if !code.is_empty() => Ok(AuthorizationCode::new(&code)),
            (None, Some(error)) => Err(printable(error)),
            _ => return None,
        };
        Some(Self { state: state.filter(|state| !state.is_empty())?, issuer, outcome })
    }
}

/// All codes that are registered are words with underscores. Anything else may be a secret that somebody has put there.
fn printable(error: String) -> String {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    Some(error)
        .filter(|error| !error.is_empty() && error.len() <= LONGEST_ERROR && error.bytes().all(fits))
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(query: &str) -> Option<Result<String, String>> {
        let response = AuthorizationResponse::parse(query)?;
        Some(response.outcome.map(|code| code.expose().to_owned()))
    }

    #[test]
    fn a_response_has_one_state_and_one_code_or_error() {
        assert_eq!(outcome("code=a%2Bb&state=s&session_state=x"), Some(Ok("a+b".to_owned())));
        assert_eq!(outcome("error=access_denied&state=s&error_description=x"), Some(Err("access_denied".to_owned())));
        let response = AuthorizationResponse::parse("iss=https%3A%2F%2Fid.test&code=c&state=s").unwrap();
        assert_eq!((response.state.as_str(), response.issuer.as_deref()), ("s", Some("https://id.test")));
    }

    #[test]
    fn anything_twice_missing_or_at_odds_is_none() {
        for query in [
            "",
            "code=c",
            "state=s",
            "code=c&state=",
            "code=&state=s",
            "code=c&error=e&state=s",
            "code=c&code=c&state=s",
            "code=c&state=s&state=s",
            "code=c&state=s&st%61te=t",
            "error=a&error=b&state=s",
            "code=c&state=s&iss=a&iss=a",
        ] {
            assert!(outcome(query).is_none(), "{query}");
        }
    }

    #[test]
    fn an_error_that_is_no_word_is_not_repeated() {
        for error in ["canary-1", "a+b", "%0d%0a", "", &"a".repeat(65)] {
            assert_eq!(outcome(&format!("state=s&error={error}")), Some(Err("unknown".to_owned())), "{error}");
        }
    }
}
