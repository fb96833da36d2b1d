//! Answers, and what they mean for the session.

use super::*;
use crate::issuer::transport::TransportError;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, RETRY_AFTER};

const TOKENS: &str = r#"{"access_token":"at","refresh_token":"rt","token_type":"Bearer","expires_in":300}"#;
const INVALID_GRANT: &str = r#"{"error":"invalid_grant","error_description":"canary"}"#;

fn pointers() -> TokenPointers {
    TokenPointers { access_token: "/data/accessToken".to_owned(), refresh_token: Some("/data/refreshToken".to_owned()) }
}

fn answer(status: u16, content_type: &str, body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
    Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: Ok(body.as_bytes().to_vec()) }
}

fn oauth(status: u16, body: &str) -> Result<TokenResponse, RefreshError> {
    Dialect::OAuth.judge(answer(status, "application/json", body))
}

fn exchange(status: u16, body: &str) -> Result<TokenResponse, RefreshError> {
    Dialect::Exchange(&pointers()).judge(answer(status, "text/html", body))
}

fn is_answered(result: &Result<TokenResponse, RefreshError>) -> bool {
    matches!(result, Err(RefreshError::Unavailable { sent: Sent::Answered, .. }))
}

#[test]
fn new_tokens_are_read_whatever_else_is_missing() {
    let tokens = oauth(200, TOKENS).unwrap();
    assert_eq!(tokens.access_token.expose(), "at");
    assert_eq!(tokens.refresh_token.unwrap().expose(), "rt");
    for body in [
        r#"{"access_token":"at"}"#,
        r#"{"access_token":"at","refresh_token":"","token_type":"bEaReR"}"#,
        r#"{"access_token":"at","refresh_token":null,"token_type":null,"expires_in":"soon","unknown":[]}"#,
    ] {
        let tokens = oauth(200, body).unwrap();
        assert_eq!((tokens.access_token.expose(), tokens.refresh_token), ("at", None), "{body}");
    }
}

#[test]
fn only_invalid_grant_in_so_many_words_ends_a_session() {
    for status in [400, 401] {
        assert!(matches!(oauth(status, INVALID_GRANT), Err(RefreshError::InvalidGrant)), "{status}");
    }
    for status in [200, 201, 302, 403, 404, 429, 500, 503] {
        assert!(is_answered(&oauth(status, INVALID_GRANT)), "{status}");
    }
    for body in [
        r#"{"error":"invalid_client"}"#,
        r#"{"error":"Invalid_Grant"}"#,
        r#"{"error":"invalid_grant "}"#,
        r#"{"error":["invalid_grant"]}"#,
        r#"{"error":{"code":"invalid_grant"}}"#,
        r#"{"message":"invalid_grant"}"#,
        r#"{"error":"server_error","error_description":"invalid_grant"}"#,
        "invalid_grant",
        "error=invalid_grant",
        "",
    ] {
        assert!(is_answered(&oauth(400, body)), "{body}");
        assert!(is_answered(&oauth(401, body)), "{body}");
    }
    assert!(is_answered(&Dialect::OAuth.judge(answer(400, "text/html", INVALID_GRANT))));
}

#[test]
fn a_success_without_tokens_keeps_the_session() {
    for body in [
        "",
        "<html>",
        "{}",
        "[]",
        "null",
        r#"{"access_token":null}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":7}"#,
        r#"{"access_token":"a\nb"}"#,
        r#"{"access_token":"a","access_token":"b"}"#,
        r#"{"access_token":"a","refresh_token":"r\u0000"}"#,
        r#"{"access_token":"a","token_type":"DPoP"}"#,
        r#"{"access_token":"a","token_type":7}"#,
    ] {
        assert!(is_answered(&oauth(200, body)), "{body}");
    }
    assert!(is_answered(&Dialect::OAuth.judge(answer(200, "text/html", TOKENS))));
    assert!(is_answered(&oauth(204, "")));
}

#[test]
fn an_existing_service_is_understood_by_pointers_and_statuses() {
    let body = r#"{"data":{"accessToken":"at","refreshToken":"rt"}}"#;
    for status in [200, 201] {
        let tokens = exchange(status, body).unwrap();
        assert_eq!((tokens.access_token.expose(), tokens.refresh_token.unwrap().expose()), ("at", "rt"));
    }
    assert!(exchange(200, r#"{"data":{"accessToken":"at"}}"#).unwrap().refresh_token.is_none());
    for (status, body) in [(401, ""), (401, "<html>"), (403, "{}"), (400, INVALID_GRANT), (200, INVALID_GRANT)] {
        assert!(matches!(exchange(status, body), Err(RefreshError::InvalidGrant)), "{status} {body}");
    }
    for (status, body) in [
        (200, ""),
        (200, "<html>"),
        (200, r#"{"accessToken":"at"}"#),
        (200, r#"{"data":{"accessToken":{}}}"#),
        (400, "{}"),
        (400, r#"{"error":"bad request"}"#),
        (404, ""),
        (429, ""),
        (302, ""),
        (500, INVALID_GRANT),
        (503, "{}"),
    ] {
        assert!(is_answered(&exchange(status, body)), "{status} {body}");
    }
}

#[test]
fn a_success_that_breaks_off_may_have_rotated_the_token_and_an_error_has_not() {
    let broken = |status| {
        let body = Err(TransportError::TooLarge { limit: 1 });
        Dialect::OAuth.judge(Answer { body, ..answer(status, "application/json", "") })
    };
    assert!(matches!(broken(200), Err(RefreshError::Unavailable { sent: Sent::Unknown, .. })));
    assert!(is_answered(&broken(400)));
    assert!(is_answered(&broken(503)));
}

#[test]
fn the_issuer_may_ask_for_time() {
    for status in [429, 503] {
        let mut answer = answer(status, "application/json", "{}");
        answer.headers.insert(RETRY_AFTER, "20".parse().unwrap());
        let Err(RefreshError::Unavailable { retry_after, .. }) = Dialect::OAuth.judge(answer) else { panic!() };
        assert_eq!(retry_after, Some(std::time::Duration::from_secs(20)));
    }
}

#[test]
fn no_error_shows_what_the_issuer_has_said_beyond_a_short_code() {
    let shown = |result: Result<TokenResponse, RefreshError>| format!("{:?}", result.unwrap_err());
    assert!(shown(oauth(400, r#"{"error":"invalid_client"}"#)).contains("invalid_client"));
    for body in [
        r#"{"error":"invalid_scope","error_description":"canary"}"#,
        r#"{"error":"canary\n"}"#,
        &format!(r#"{{"error":"canary{}"}}"#, "y".repeat(100)),
    ] {
        assert!(!shown(oauth(400, body)).contains("canary"), "{body}");
    }
    assert!(!shown(oauth(200, r#"{"access_token":"canary","token_type":"mac"}"#)).contains("canary"));
}
