//! Taking the tokens out of the answer of an application's own login.
//!
//! The application answers its login as it always did; what reaches the browser is the same answer without the tokens
//! (law 9), which travel in Usher's cookies from then on. An answer without tokens (a wrong password, a second factor still
//! missing) is left as it is. Nothing is verified here.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::step_up::SignInFacts;
use crate::config::TokenPointers;
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::SidHash;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A shorter text may stand anywhere by chance.
const SHORTEST_COPY: usize = 16;

/// The tokens that a login has given out.
#[derive(Clone, Debug)]
pub struct IssuedTokens {
    /// The access token.
    pub access: AccessToken,
    /// The refresh token, if there is one.
    pub refresh: Option<RefreshToken>,
    /// How the issuer calls the session, where an ID token beside them says so.
    pub sid: Option<SidHash>,
    /// What that ID token says of the sign-in.
    pub facts: SignInFacts,
}

impl IssuedTokens {
    /// Whether this text repeats one of them.
    fn are_in(&self, text: &[u8]) -> bool {
        let is_in = |token: &str| {
            token.len() >= SHORTEST_COPY && text.windows(token.len()).any(|window| window == token.as_bytes())
        };
        is_in(self.access.expose()) || self.refresh.as_ref().is_some_and(|refresh| is_in(refresh.expose()))
    }
}

/// An answer in which tokens may be hidden from us. It must not reach the browser: better no login than tokens that leak.
/// The login service's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer of the login service cannot be searched for tokens")]
pub struct Unsearchable;

/// Takes the tokens out of a JSON body, with every copy of them; returns them and the body without. `None` when there is no
/// token where one is expected, or nothing at all.
///
/// # Errors
/// [`Unsearchable`] when the body is no JSON, or holds a refresh token only.
pub fn take_from_body(body: &[u8], pointers: &TokenPointers) -> Result<Option<(IssuedTokens, Bytes)>, Unsearchable> {
    // Some frameworks write a byte order mark, which RFC 8259 §8.1 lets a reader ignore.
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let mut json: Value = serde_json::from_slice(body).map_err(|_| Unsearchable)?;
    let access = take_string(&mut json, &pointers.access_token);
    let refresh = pointers.refresh_token.as_ref().and_then(|pointer| take_string(&mut json, pointer));
    let Some(access) = access else { return if refresh.is_some() { Err(Unsearchable) } else { Ok(None) } };
    let tokens = IssuedTokens {
        access: AccessToken::new(&access),
        refresh: refresh.as_deref().map(RefreshToken::new),
        sid: None,
        facts: SignInFacts::default(),
    };
    remove_copies(&mut json, &tokens);
    Ok(Some((tokens, Bytes::from(json.to_string()))))
}

/// Whether a body that says of itself that it is something else begins as JSON does. `None`: more must be read to tell.
#[must_use]
pub fn begins_like_json(beginning: &[u8]) -> Option<bool> {
    let text = beginning.strip_prefix(BYTE_ORDER_MARK).unwrap_or(beginning).trim_ascii_start();
    let is_cut = |mark: &[u8]| mark.starts_with(text);
    text.first().filter(|_| !is_cut(BYTE_ORDER_MARK)).map(|first| matches!(first, b'{' | b'['))
}

/// Takes the header lines that repeat a token out of a login's answer.
pub fn remove_repeating_headers(headers: &mut HeaderMap, tokens: &IssuedTokens) {
    let repeating: Vec<_> = headers.iter().filter(|(_, value)| tokens.are_in(value.as_bytes())).collect();
    let names: BTreeSet<_> = repeating.into_iter().map(|(name, _)| name.as_str().to_owned()).collect();
    for name in names {
        let kept: Vec<_> =
            headers.get_all(&name).iter().filter(|value| !tokens.are_in(value.as_bytes())).cloned().collect();
        headers.remove(&name);
        if let Ok(name) = HeaderName::try_from(&name) {
            headers.extend(kept.into_iter().map(|value| (name.clone(), value)));
        }
    }
}

/// Takes out every string in which a token stands once more.
fn remove_copies(json: &mut Value, tokens: &IssuedTokens) {
    let is_copy = |value: &Value| value.as_str().is_some_and(|text| tokens.are_in(text.as_bytes()));
    match json {
        Value::Object(members) => {
            members.retain(|_, value| !is_copy(value));
            for value in members.values_mut() {
                remove_copies(value, tokens);
            }
        }
        Value::Array(elements) => {
            elements.retain(|value| !is_copy(value));
            for value in elements {
                remove_copies(value, tokens);
            }
        }
        _ => {}
    }
}

/// Removes the member that a JSON Pointer (RFC 6901) names, when it is a string.
fn take_string(json: &mut Value, pointer: &str) -> Option<String> {
    let (parent, name) = pointer.rsplit_once('/')?;
    let members = json.pointer_mut(parent)?.as_object_mut()?;
    let name = name.replace("~1", "/").replace("~0", "~");
    match members.remove(&name)? {
        Value::String(token) if !token.is_empty() => Some(token),
        other => {
            members.insert(name, other);
            None
        }
    }
}

/// Takes the tokens out of the `Set-Cookie` lines of these names. `None`, and nothing removed, when there is no access
/// token among them.
pub fn take_from_cookies(headers: &mut HeaderMap, access: &str, refresh: Option<&str>) -> Option<IssuedTokens> {
    let tokens = IssuedTokens {
        access: AccessToken::new(&value_of(headers, access)?),
        refresh: refresh.and_then(|name| value_of(headers, name)).as_deref().map(RefreshToken::new),
        sid: None,
        facts: SignInFacts::default(),
    };
    let (_, kept): (Vec<_>, Vec<_>) = headers
        .get_all(SET_COOKIE)
        .iter()
        .cloned()
        .partition(|line| value(line, access).is_some() || refresh.is_some_and(|name| value(line, name).is_some()));
    headers.remove(SET_COOKIE);
    for line in kept {
        headers.append(SET_COOKIE, line);
    }
    Some(tokens)
}

/// The value of the last line of this name, as a browser would keep it; an empty one clears and counts as absent.
fn value_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let last = headers.get_all(SET_COOKIE).iter().filter_map(|line| value(line, name)).next_back()?;
    (!last.is_empty()).then(|| last.trim_matches('"').to_owned())
}

fn value<'h>(line: &'h HeaderValue, name: &str) -> Option<&'h str> {
    let pair = std::str::from_utf8(line.as_bytes()).ok()?.split(';').next()?;
    let (found, value) = pair.split_once('=')?;
    (found.trim() == name).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(access: &str, refresh: Option<&str>) -> TokenPointers {
        TokenPointers { access_token: access.into(), refresh_token: refresh.map(Into::into) }
    }

    #[test]
    fn tokens_leave_the_body_and_everything_else_stays() {
        let body = br#"{"user":{"name":"Alice"},"data":{"accessToken":"AT","refreshToken":"RT","hint":1}}"#;
        let (tokens, rest) =
            take_from_body(body, &pointers("/data/accessToken", Some("/data/refreshToken"))).unwrap().unwrap();
        assert_eq!(tokens.access.expose(), "AT");
        assert_eq!(tokens.refresh.unwrap().expose(), "RT");
        let rest: Value = serde_json::from_slice(&rest).unwrap();
        assert_eq!(rest, serde_json::json!({ "user": { "name": "Alice" }, "data": { "hint": 1 } }));
    }

    #[test]
    fn an_answer_without_an_access_token_is_none_of_our_business() {
        for body in
            [&b"{}"[..], br#"{"accessToken":null}"#, br#"{"accessToken":""}"#, b"[]", b"", b" \n", b"\xef\xbb\xbf"]
        {
            assert!(take_from_body(body, &pointers("/accessToken", Some("/refreshToken"))).unwrap().is_none());
        }
    }

    #[test]
    fn an_answer_that_may_hide_a_token_is_refused() {
        for body in [&b"<html>"[..], b"{", br#"{"accessToken":"AT"} x"#, br#"{"refreshToken":"RT"}"#, b"\xff\xfe{\0}\0"]
        {
            let taken = take_from_body(body, &pointers("/accessToken", Some("/refreshToken")));
            assert_eq!(taken.err(), Some(Unsearchable), "{body:?}");
        }
    }

    #[test]
    fn json_is_told_by_its_first_character() {
        for (body, begins) in [
            (&b""[..], None),
            (b" \r\n\t", None),
            (b"\xef\xbb", None),
            (b"\xef\xbb\xbf ", None),
            (b"\xef\xbb\xbf {", Some(true)),
            (b"[", Some(true)),
            (b"<", Some(false)),
            (b"\xef\xbc", Some(false)),
        ] {
            assert_eq!(begins_like_json(body), begins, "{body:?}");
        }
    }

    #[test]
    fn copies_of_a_token_leave_the_body_too() {
        let body = br#"{"accessToken":"a-long-access-token","u":{"jwt":"Bearer a-long-access-token","n":1},"l":["a-long-access-token",2]}"#;
        let (_, rest) = take_from_body(body, &pointers("/accessToken", None)).unwrap().unwrap();
        assert_eq!(&rest[..], br#"{"l":[2],"u":{"n":1}}"#);
    }

    #[test]
    fn names_with_slashes_are_reached_as_rfc_6901_says() {
        let (tokens, _) = take_from_body(br#"{"a/b~c":"AT"}"#, &pointers("/a~1b~0c", None)).unwrap().unwrap();
        assert_eq!(tokens.access.expose(), "AT");
    }

    #[test]
    fn token_cookies_leave_the_answer_and_the_others_stay() {
        let mut headers = HeaderMap::new();
        for line in ["at=AT; HttpOnly", "lang=en; Path=/", "rt=RT; Path=/auth", "at=AT2; HttpOnly"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        let tokens = take_from_cookies(&mut headers, "at", Some("rt")).unwrap();
        assert_eq!(tokens.access.expose(), "AT2");
        assert_eq!(tokens.refresh.unwrap().expose(), "RT");
        assert_eq!(headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["lang=en; Path=/"]);
    }
}
