//! Bearer credentials in the `Authorization` header, and the challenge that answers their absence (RFC 6750).
//!
//! One rule for every spelling: the scheme is `Bearer` in any case, then one space, then one token of the characters that
//! RFC 6750 §2.1 allows (`b64token`), and nothing else.

use std::fmt::Write as _;

use http::HeaderValue;

/// Why an `Authorization` header is no bearer credential. The client's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// The scheme is `Bearer`, but what follows is not one `b64token`.
    #[error("the Authorization header is not of the form `Bearer TOKEN`")]
    Malformed,
}

/// Reads one `Authorization` value.
///
/// `Ok(None)` means that the value belongs to another scheme (`Basic`, …), which is the application's business.
///
/// # Errors
/// [`BearerError::Malformed`] when the scheme is `Bearer` and the rest is not exactly one token.
pub fn parse(value: &HeaderValue) -> Result<Option<&str>, BearerError> {
    let bytes = value.as_bytes();
    let Some((scheme, rest)) = bytes.split_at_checked(6) else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return if names_bearer_behind_a_comma(bytes) { Err(BearerError::Malformed) } else { Ok(None) };
    }
    match rest.split_first() {
        Some((b' ', token)) if is_b64token(token) => {
            std::str::from_utf8(token).map(Some).map_err(|_| BearerError::Malformed)
        }
        // `Bearerx abc` is another scheme; `Bearer<TAB>abc` is a broken spelling of this one.
        Some((byte, _)) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'!' | b'#') => {
            Ok(None)
        }
        _ => Err(BearerError::Malformed),
    }
}

/// Whether a value of another scheme has a bearer credential behind a comma: two lines that somebody on the way has joined.
/// The application must not get the token, and two credentials are one too many (RFC 6750 §3.1).
fn names_bearer_behind_a_comma(bytes: &[u8]) -> bool {
    let mut behind = bytes.split(|byte| *byte == b',').skip(1).map(<[u8]>::trim_ascii_start);
    behind.any(|part| part.split_at_checked(6).is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer")))
}

/// Whether these are the characters of a token: `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
#[must_use]
pub fn is_b64token(bytes: &[u8]) -> bool {
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let Some(body) = bytes.get(..bytes.len() - padding) else { return false };
    // Without a way out in the middle, several bytes are looked at in one instruction; tokens are long, and mostly right.
    !body.is_empty() && body.iter().fold(true, |all, byte| all & is_token_byte(*byte))
}

/// A letter of either case, one of `-./0123456789`, or `+`, `_`, `~`: in as few comparisons as that takes.
#[expect(clippy::needless_bitwise_bool, reason = "without a way out, several bytes are looked at in one instruction")]
const fn is_token_byte(byte: u8) -> bool {
    const LETTERS: u8 = 26;
    const DASH_TO_NINE: u8 = b'9' - b'-' + 1;
    ((byte | 0x20).wrapping_sub(b'a') < LETTERS)
        | (byte.wrapping_sub(b'-') < DASH_TO_NINE)
        | (byte == b'+')
        | (byte == b'_')
        | (byte == b'~')
}

/// What a `WWW-Authenticate: Bearer` challenge says (RFC 6750 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// No credentials were sent: no error code (RFC 6750 §3.1).
    Missing,
    /// `invalid_request`: the credentials are malformed, or there is more than one.
    InvalidRequest,
    /// `invalid_token`: expired, forged, of another issuer or audience.
    InvalidToken,
    /// `insufficient_scope`: good, but not enough; the scopes that the route asks for.
    InsufficientScope(Vec<String>),
    /// `insufficient_user_authentication`: whoever the token is about must sign in in another way, or again (RFC 9470 §3).
    InsufficientUserAuthentication {
        /// In any of these ways, in order of preference; none: in any way.
        acr_values: Vec<String>,
        /// No longer ago than so many seconds.
        max_age: Option<u64>,
    },
}

impl Challenge {
    /// The header's value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        let mut text = String::from("Bearer");
        match self {
            Self::Missing => {}
            Self::InvalidRequest => text.push_str(r#" error="invalid_request""#),
            Self::InvalidToken => text.push_str(r#" error="invalid_token""#),
            Self::InsufficientScope(scopes) => {
                text.push_str(r#" error="insufficient_scope""#);
                if !scopes.is_empty() {
                    // RFC 6749 §3.3 forbids `"` and `\` in a scope; configuration has refused them.
                    let _ = write!(text, r#", scope="{}""#, scopes.join(" "));
                }
            }
            Self::InsufficientUserAuthentication { acr_values, max_age } => {
                text.push_str(r#" error="insufficient_user_authentication""#);
                text.push_str(r#", error_description="A different or more recent authentication is required""#);
                if !acr_values.is_empty() {
                    // Without `"` and `\`: configuration has refused them.
                    let _ = write!(text, r#", acr_values="{}""#, acr_values.join(" "));
                }
                if let Some(max_age) = max_age {
                    let _ = write!(text, r#", max_age="{max_age}""#);
                }
            }
        }
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static [u8]) -> Result<Option<String>, BearerError> {
        parse(&HeaderValue::from_bytes(value).unwrap()).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_one_space_separates_it() {
        assert_eq!(read(b"Bearer a.b-c_d~e+f/g=="), Ok(Some("a.b-c_d~e+f/g==".to_owned())));
        assert_eq!(read(b"bEARER abc"), Ok(Some("abc".to_owned())));
    }

    #[test]
    fn other_spellings_are_malformed() {
        for value in [
            &b"Bearer"[..],
            b"Bearer ",
            b"Bearer  abc",
            b"Bearer\tabc",
            b"Bearer abc ",
            b"Bearer a,b",
            b"Bearer \"abc\"",
            b"Bearer a b",
            b"Bearer =",
            b"Bearer a=b",
            b"Bearer \xc3\xa9",
            b"Bearer,abc",
        ] {
            assert_eq!(read(value), Err(BearerError::Malformed), "{value:?}");
        }
    }

    #[test]
    fn a_credential_that_was_joined_to_one_of_another_scheme_is_one_too_many() {
        for value in [&b"Basic YTpi, Bearer abc"[..], b"Basic YTpi,bearer abc", b"Digest a=b, c=d,\tBEARER\tabc"] {
            assert_eq!(read(value), Err(BearerError::Malformed), "{value:?}");
        }
        assert_eq!(read(b"Digest a=bearer, realm=x"), Ok(None));
    }

    #[test]
    fn other_schemes_are_not_ours() {
        for value in [&b"Basic YTpi"[..], b"Bearerx abc", b"Bear", b"", b"Digest a=b"] {
            assert_eq!(read(value), Ok(None), "{value:?}");
        }
    }

    #[test]
    fn challenges_follow_rfc_6750() {
        let text = |challenge: Challenge| challenge.header_value().to_str().unwrap().to_owned();
        assert_eq!(text(Challenge::Missing), "Bearer");
        assert_eq!(text(Challenge::InvalidToken), r#"Bearer error="invalid_token""#);
        assert_eq!(
            text(Challenge::InsufficientScope(vec!["read".into(), "write".into()])),
            r#"Bearer error="insufficient_scope", scope="read write""#
        );
    }

    #[test]
    fn the_challenge_of_a_step_up_follows_rfc_9470() {
        let text = |acr_values: &[&str], max_age| {
            let acr_values = acr_values.iter().map(ToString::to_string).collect();
            let challenge = Challenge::InsufficientUserAuthentication { acr_values, max_age };
            challenge.header_value().to_str().unwrap().to_owned()
        };
        let begins = r#"Bearer error="insufficient_user_authentication", error_description="A different or more recent authentication is required""#;
        assert_eq!(text(&["gold", "urn:x"], None), format!(r#"{begins}, acr_values="gold urn:x""#));
        assert_eq!(text(&[], Some(5)), format!(r#"{begins}, max_age="5""#));
        assert_eq!(text(&["gold"], Some(5)), format!(r#"{begins}, acr_values="gold", max_age="5""#));
    }
}
