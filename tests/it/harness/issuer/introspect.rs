//! The introspection endpoint (RFC 7662): says of the issuer's own tokens what stands in them, whatever the gateway makes of
//! them, or misbehaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::RETRY_AFTER;
use http::{Request, Response};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::endpoints::{authenticated, form, json_answer, received, text_answer};
use super::{Issuer, State};
use crate::harness::body::TestBody;
use crate::harness::serve::Hangup;

/// How the endpoint answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum IntrospectionAnswer {
    /// Honestly.
    Honest,
    /// The token is active, with these claims besides or otherwise; `null` leaves one out.
    Claims(Value),
    /// This status, and one second to wait.
    Status(u16),
    /// This text, which says that it is JSON.
    Text(&'static str),
    /// An answer that never comes.
    Hang,
    /// The connection closes without one.
    Hangup,
}

/// What the endpoint has seen, and how it answers.
#[derive(Debug)]
pub(super) struct Introspections {
    answer: std::sync::Mutex<IntrospectionAnswer>,
    delay: std::sync::Mutex<Duration>,
    revoked: std::sync::Mutex<Vec<String>>,
    asked: std::sync::Mutex<Vec<String>>,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Default for Introspections {
    fn default() -> Self {
        Self {
            answer: std::sync::Mutex::new(IntrospectionAnswer::Honest),
            delay: std::sync::Mutex::default(),
            revoked: std::sync::Mutex::default(),
            asked: std::sync::Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        }
    }
}

impl Issuer {
    /// Every later question about a token is answered like this.
    pub(crate) fn introspect_with(&self, answer: IntrospectionAnswer) {
        *self.state.introspections.answer.lock().unwrap() = answer;
    }

    /// Every later question about a token takes that much longer.
    pub(crate) fn delay_introspection(&self, by: Duration) {
        *self.state.introspections.delay.lock().unwrap() = by;
    }

    /// The access token is not active from now on.
    pub(crate) fn revoke_access(&self, token: &str) {
        self.state.introspections.revoked.lock().unwrap().push(token.to_owned());
    }

    /// The tokens that were asked about.
    pub(crate) fn introspected(&self) -> Vec<String> {
        self.state.introspections.asked.lock().unwrap().clone()
    }

    /// How many questions were under way at once, at most.
    pub(crate) fn most_introspections_at_once(&self) -> usize {
        self.state.introspections.most_at_once.load(Ordering::Relaxed)
    }
}

pub(super) async fn answer(state: &State, request: Request<Incoming>) -> Result<Response<TestBody>, Hangup> {
    let asked = received(request).await;
    let form = form(&asked.body);
    if !authenticated(&asked, &form) {
        return Ok(json_answer(401, &json!({ "error": "invalid_client" })));
    }
    let token = form.get("token").cloned().unwrap_or_default();
    let seen = &state.introspections;
    seen.asked.lock().unwrap().push(token.clone());
    let under_way = seen.under_way.fetch_add(1, Ordering::Relaxed) + 1;
    seen.most_at_once.fetch_max(under_way, Ordering::Relaxed);
    let delay = *seen.delay.lock().unwrap();
    tokio::time::sleep(delay).await;
    seen.under_way.fetch_sub(1, Ordering::Relaxed);
    let answer = seen.answer.lock().unwrap().clone();
    match answer {
        IntrospectionAnswer::Honest => Ok(json_answer(200, &said(state, &token, &json!({})))),
        IntrospectionAnswer::Claims(changes) => Ok(json_answer(200, &said(state, &token, &changes))),
        IntrospectionAnswer::Status(status) => {
            let mut response = json_answer(status, &json!({ "error": "trouble" }));
            response.headers_mut().insert(RETRY_AFTER, "1".parse().unwrap());
            Ok(response)
        }
        IntrospectionAnswer::Text(text) => Ok(text_answer(200, "application/json", text)),
        IntrospectionAnswer::Hang => std::future::pending().await,
        IntrospectionAnswer::Hangup => Err(Hangup),
    }
}

fn said(state: &State, token: &str, changes: &Value) -> Value {
    let payload = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let claims = payload.and_then(|payload| serde_json::from_slice::<Value>(&payload).ok());
    let is_revoked = state.introspections.revoked.lock().unwrap().iter().any(|revoked| revoked == token);
    let Some(mut claims) = claims.filter(|_| !is_revoked) else { return json!({ "active": false }) };
    if claims["exp"].as_u64().is_none_or(|exp| exp <= state.clock.now().0) {
        return json!({ "active": false });
    }
    claims["active"] = json!(true);
    claims["token_type"] = json!("Bearer");
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}
