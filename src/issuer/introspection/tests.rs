use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::*;

fn answer(status: u16, content_type: &'static str, body: &str) -> Answer {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
    Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: Ok(body.as_bytes().to_vec()) }
}

fn of_body(body: &str) -> Result<Option<Claims>, IntrospectionError> {
    said(answer(200, "application/json", body))
}

#[test]
fn nothing_but_a_literal_true_makes_a_token_count() {
    assert_eq!(of_body(r#"{"active":true,"sub":"a"}"#).unwrap().unwrap().subject(), Some("a"));
    assert!(of_body(r#"{"active":false,"sub":"a"}"#).unwrap().is_none());
    for body in
        [r#"{"active":"true"}"#, r#"{"active":1}"#, r#"{"active":null}"#, r#"{"active":[true]}"#, r#"{"sub":"a"}"#]
    {
        assert!(matches!(of_body(body), Err(IntrospectionError::NoVerdict)), "{body}");
    }
    for body in ["", "true", "[]", "{", r#"{"active":false,"active":true}"#, r#"{"active":true,"a":{"b":1,"b":2}}"#] {
        assert!(matches!(of_body(body), Err(IntrospectionError::Unreadable(_))), "{body}");
    }
}

#[test]
fn whatever_is_no_success_says_nothing_about_the_token() {
    let good = r#"{"active":true}"#;
    assert!(matches!(said(answer(200, "text/html", good)), Err(IntrospectionError::ContentType)));
    for (status, body) in [(401, good), (401, ""), (403, r#"{"error":"invalid_request"}"#)] {
        let error = said(answer(status, "application/json", body)).unwrap_err();
        assert!(matches!(error, IntrospectionError::Client(_)) && error.is_general(), "{status}");
        assert_eq!(error.fault(), "operator");
    }
    // Of one token, a status of this kind may come from the token itself.
    for (status, is_general) in
        [(500, false), (503, false), (400, false), (403, false), (302, false), (201, false), (429, true)]
    {
        let error = said(answer(status, "application/json", good)).unwrap_err();
        assert!(matches!(error, IntrospectionError::Status { .. }), "{status}");
        assert_eq!((error.is_general(), error.fault()), (is_general, "issuer"), "{status}");
    }
}

#[test]
fn a_token_of_a_kind_that_is_not_introspected_is_not_active() {
    let body = r#"{"error":"unsupported_token_type"}"#;
    assert!(said(answer(400, "application/json", body)).unwrap().is_none());
    assert!(said(answer(500, "application/json", body)).is_err());
    assert!(said(answer(400, "application/json", r#"{"error":"invalid_request"}"#)).is_err());
}

#[test]
fn an_issuer_says_when_to_ask_again() {
    let mut busy = answer(503, "application/json", "{}");
    assert_eq!(said(answer(503, "", "")).unwrap_err().retry_after(), SHORTLY);
    busy.headers.insert(http::header::RETRY_AFTER, "7".parse().unwrap());
    assert_eq!(said(busy).unwrap_err().retry_after(), Duration::from_secs(7));
}
