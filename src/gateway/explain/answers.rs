//! What a person and a program are answered: the gateway's own answers, of which the telling part is kept.

use http::header::{ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response};
use serde_json::Value;

use super::explanation::{Answer, Answers, Field};
use crate::forwarding::Body;
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection, answer};

/// Both answers to a request that is refused.
pub(super) fn both(gateway: &Gateway, exchange: &mut Exchange<'_>, rejection: &Rejection) -> Answers {
    let mut of = |navigation| {
        exchange.kind.navigation = navigation;
        let clears_cookies = exchange.jar.lines().next().is_some();
        told(&answer::answer(gateway, exchange, rejection), clears_cookies)
    };
    Answers { browser: of(true), program: of(false) }
}

fn told(response: &Response<Body>, clears_cookies: bool) -> Answer {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = [LOCATION, WWW_AUTHENTICATE, RETRY_AFTER, ALLOW, CONTENT_TYPE];
    let headers = headers.into_iter().filter_map(|name| {
        let value = text(response.headers().get(&name)?);
        Some(Field { name: name.to_string(), value, added: true })
    });
    Answer {
        status: response.status().as_u16(),
        headers: headers.collect(),
        detail: detail(response.body()),
        clears_cookies,
    }
}

/// The sentence of a problem document.
fn detail(body: &Body) -> Option<String> {
    let Body::Full(Some(bytes)) = body else { return None };
    let document: Value = serde_json::from_slice(bytes).ok()?;
    document.get("detail")?.as_str().map(str::to_owned)
}
