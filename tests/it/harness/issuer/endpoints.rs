//! The endpoints over HTTP: discovery, key set, token, revocation, and the JSON exchange of a service that is not OAuth.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::families::Presented;
use super::{CLIENT_ID, CLIENT_SECRET, State, TokenAnswer, TokenRequest, unique};
use super::{authorize, introspect};
use crate::harness::body::{TestBody, full};
use crate::harness::keys::SigningKey;
use crate::harness::serve::Hangup;

type Answered = Result<Response<TestBody>, Hangup>;

pub(super) async fn answer(state: Arc<State>, issuer: String, request: Request<Incoming>) -> Answered {
    if *state.down.lock().unwrap() {
        return Err(Hangup);
    }
    match request.uri().path() {
        "/.well-known/openid-configuration" => {
            state.asked.lock().unwrap().discovery += 1;
            let mut document = discovery(&issuer);
            document["authorization_response_iss_parameter_supported"] = json!(*state.names_issuer.lock().unwrap());
            if let Some((_, must)) = *state.pushes.lock().unwrap() {
                document["pushed_authorization_request_endpoint"] = json!(format!("{issuer}/push"));
                document["require_pushed_authorization_requests"] = json!(must);
            }
            if *state.ends_sessions.lock().unwrap() {
                document["end_session_endpoint"] = json!(format!("{issuer}/end-session?kept=1"));
            }
            Ok(json_answer(200, &document))
        }
        "/keys" => {
            state.asked.lock().unwrap().keys += 1;
            let keys: Vec<Value> = state.keys.lock().unwrap().iter().map(|(id, key)| key.jwk(id)).collect();
            Ok(json_answer(200, &json!({ "keys": keys })))
        }
        "/token" => token(&state, &issuer, request).await,
        "/legacy/refresh" => exchange(&state, &issuer, request).await,
        "/push" => {
            state.asked.lock().unwrap().pushes += 1;
            let status = state.pushes.lock().unwrap().map_or(404, |(status, _)| status);
            Ok(json_answer(status, &json!({ "error": "invalid_request" })))
        }
        "/revoke" => revoke(&state, request).await,
        "/introspect" => introspect::answer(&state, request).await,
        _ => Ok(json_answer(404, &json!({}))),
    }
}

fn discovery(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    })
}

/// RFC 6749 §6.
async fn token(state: &State, issuer: &str, request: Request<Incoming>) -> Answered {
    let asked = record(state, request).await;
    let form = form(&asked.body);
    let names = ["access_token", "refresh_token"];
    if !authenticated(&asked, &form) {
        return Ok(json_answer(401, &json!({ "error": "invalid_client" })));
    }
    match form.get("grant_type").map(String::as_str) {
        Some("authorization_code") => return Ok(authorize::exchange(state, issuer, &form)),
        Some("refresh_token") => {}
        _ => return Ok(json_answer(400, &json!({ "error": "unsupported_grant_type" }))),
    }
    respond(state, issuer, form.get("refresh_token").map_or("", String::as_str), names).await
}

/// The exchange of a token service that predates OAuth: JSON in, JSON out, no client authentication.
async fn exchange(state: &State, issuer: &str, request: Request<Incoming>) -> Answered {
    let asked = record(state, request).await;
    let presented: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    let presented = presented["refreshToken"].as_str().unwrap_or_default();
    respond(state, issuer, presented, ["accessToken", "refreshToken"]).await
}

/// RFC 7009.
async fn revoke(state: &State, request: Request<Incoming>) -> Answered {
    let body = request.into_body().collect().await.map_err(|_| Hangup)?.to_bytes();
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let token = form.get("token").cloned().unwrap_or_default();
    let fails = {
        let mut failing = state.failing_revocations.lock().unwrap();
        let fails = *failing > 0;
        *failing = failing.saturating_sub(1);
        fails
    };
    if fails {
        state.asked.lock().unwrap().revocations.push(token);
        return Ok(json_answer(503, &json!({})));
    }
    state.families.lock().unwrap().revoke(&token);
    state.asked.lock().unwrap().revocations.push(token);
    Ok(json_answer(200, &json!({})))
}

/// Notes what was asked before anything else happens, so that a request that is never answered counts as well.
async fn record(state: &State, request: Request<Incoming>) -> TokenRequest {
    let asked = received(request).await;
    state.asked.lock().unwrap().tokens.push(asked.clone());

    let delay = *state.delay.lock().unwrap();
    tokio::time::sleep(delay).await;
    drop(state.open.subscribe().wait_for(|open| *open).await);
    asked
}

pub(super) fn form(body: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

pub(super) async fn received(request: Request<Incoming>) -> TokenRequest {
    let (head, body) = request.into_parts();
    let text = |name| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let authorization = text(AUTHORIZATION).map(|value| match value.strip_prefix("Basic ") {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap(),
        None => value,
    });
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    TokenRequest { authorization, content_type: text(CONTENT_TYPE).unwrap_or_default(), body }
}

/// `client_secret_basic` or `client_secret_post` (RFC 6749 §2.3.1), never both.
pub(super) fn authenticated(asked: &TokenRequest, form: &HashMap<String, String>) -> bool {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET));
    match (asked.authorization.as_deref(), form.get("client_secret").map(String::as_str)) {
        (Some(presented), None) => presented == basic,
        (None, Some(secret)) => secret == CLIENT_SECRET && form.get("client_id").map(String::as_str) == Some(CLIENT_ID),
        _ => false,
    }
}

async fn respond(state: &State, issuer: &str, presented: &str, names: [&str; 2]) -> Answered {
    let scripted = state.script.lock().unwrap().pop_front();
    let answer = scripted.unwrap_or(*state.standing.lock().unwrap());
    let error = |status, code| Ok(json_answer(status, &json!({ "error": code })));
    match answer {
        TokenAnswer::Hang => std::future::pending().await,
        TokenAnswer::Hangup => Err(Hangup),
        TokenAnswer::Garbage => Ok(text_answer(200, "application/json", "}{ not json")),
        TokenAnswer::Html => Ok(text_answer(200, "text/html", "<h1>Please wait</h1>")),
        TokenAnswer::Empty => Ok(json_answer(200, &json!({ "token_type": "Bearer" }))),
        TokenAnswer::InvalidClient => error(401, "invalid_client"),
        TokenAnswer::InvalidRequest => error(400, "invalid_request"),
        TokenAnswer::InvalidGrant => error(400, "invalid_grant"),
        TokenAnswer::ServerErrorThatMentionsInvalidGrant => {
            Ok(text_answer(500, "text/plain", "upstream said {\"error\":\"invalid_grant\"}"))
        }
        TokenAnswer::Status(status, retry_after) => {
            let mut response = json_answer(status, &json!({}));
            if let Some(value) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, value.parse().unwrap());
            }
            Ok(response)
        }
        grants => grant(state, issuer, presented, names, grants),
    }
}

/// Judges the refresh token and gives out what `answer` says.
fn grant(state: &State, issuer: &str, presented: &str, names: [&str; 2], answer: TokenAnswer) -> Answered {
    let mut families = state.families.lock().unwrap();
    let (subject, refresh) = match families.present(presented) {
        Presented::Refused => return Ok(json_answer(400, &json!({ "error": "invalid_grant" }))),
        Presented::Forgiven(subject, successor) => (subject, Some(successor)),
        Presented::Good(subject) if answer == TokenAnswer::Keep => (subject, None),
        Presented::Good(subject) => (subject, Some(families.rotate(presented))),
    };
    drop(families);
    if answer == TokenAnswer::RotateThenHangup {
        return Err(Hangup);
    }
    let mut body = json!({ "token_type": "Bearer" });
    body[names[0]] = json!(access_token(state, issuer, &subject, answer));
    if answer != TokenAnswer::Sparse {
        body["expires_in"] = json!(state.lifetime.lock().unwrap().as_secs());
        body["scope"] = json!("read write");
    }
    if let TokenAnswer::IdToken(id_token) = answer {
        body["id_token"] = json!(id_token);
    }
    if let Some(refresh) = refresh {
        body[names[1]] = json!(refresh);
    }
    Ok(json_answer(200, &body))
}

fn access_token(state: &State, issuer: &str, subject: &str, answer: TokenAnswer) -> String {
    let (_, key) = state.key();
    match answer {
        TokenAnswer::OtherSubject(other) => state.token(issuer, other).sign(&key),
        TokenAnswer::NoSubject => state.token(issuer, subject).without("sub").claim("jti", unique()).sign(&key),
        TokenAnswer::OtherIssuer => state.token("https://evil.test", subject).sign(&key),
        TokenAnswer::Demoted => {
            state.token(issuer, subject).claim("realm_access", json!({ "roles": ["reader"] })).sign(&key)
        }
        TokenAnswer::Forged => {
            let stranger = if matches!(*key, SigningKey::Rsa(_)) { SigningKey::rsa() } else { SigningKey::p256() };
            state.token(issuer, subject).sign(&stranger)
        }
        _ => state.token(issuer, subject).claim("jti", unique()).sign(&key),
    }
}

pub(super) fn json_answer(status: u16, body: &Value) -> Response<TestBody> {
    text_answer(status, "application/json", &body.to_string())
}

pub(super) fn text_answer(status: u16, content_type: &str, body: &str) -> Response<TestBody> {
    let builder =
        Response::builder().status(status).header(CONTENT_TYPE, content_type).header("cache-control", "no-store");
    builder.body(full(body.to_owned())).unwrap()
}
