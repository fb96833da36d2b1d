//! Taking the tokens out of the answer of an application's own login.
//!
//! The application answers its login as it always did; what reaches the browser is the same answer without the tokens
//! (law 9), which travel in Usher's cookies from then on. An answer without tokens (a wrong password, a second factor still
//! missing) is left as it is. Nothing is verified here.

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::config::TokenPointers;
use crate::oauth::{AccessToken, RefreshToken};

/// The tokens that a login has given out.
#[derive(Clone, Debug)]
pub struct IssuedTokens {
    /// The access token.
    pub access: AccessToken,
    /// The refresh token, if there is one.
    pub refresh: Option<RefreshToken>,
}

/// Takes the tokens out of a JSON body; returns them and the body without them. `None` when the body is no JSON or has no
/// access token where one is expected.
#[must_use]
pub fn take_from_body(body: &[u8], pointers: &TokenPointers) -> Option<(IssuedTokens, Bytes)> {
    let mut json: Value = serde_json::from_slice(body).ok()?;
    let access = take_string(&mut json, &pointers.access_token)?;
    let refresh = pointers.refresh_token.as_ref().and_then(|pointer| take_string(&mut json, pointer));
    let tokens = IssuedTokens { access: AccessToken::new(&access), refresh: refresh.as_deref().map(RefreshToken::new) };
    Some((tokens, Bytes::from(json.to_string())))
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
        let (tokens, rest) = take_from_body(body, &pointers("/data/accessToken", Some("/data/refreshToken"))).unwrap();
        assert_eq!(tokens.access.expose(), "AT");
        assert_eq!(tokens.refresh.unwrap().expose(), "RT");
        let rest: Value = serde_json::from_slice(&rest).unwrap();
        assert_eq!(rest, serde_json::json!({ "user": { "name": "Alice" }, "data": { "hint": 1 } }));
    }

    #[test]
    fn an_answer_without_an_access_token_is_none_of_our_business() {
        for body in [&b"<html>"[..], b"{}", br#"{"accessToken":null}"#, br#"{"accessToken":""}"#, b"[]", b""] {
            assert!(take_from_body(body, &pointers("/accessToken", Some("/refreshToken"))).is_none());
        }
    }

    #[test]
    fn names_with_slashes_are_reached_as_rfc_6901_says() {
        let (tokens, _) = take_from_body(br#"{"a/b~c":"AT"}"#, &pointers("/a~1b~0c", None)).unwrap();
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
