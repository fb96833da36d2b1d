//! From a rejection to an answer: what it [says](description), then the form that the kind of request asks for.

mod description;

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use serde_json::json;

use super::Gateway;
use super::audit;
use super::exchange::Exchange;
use super::rejection::Rejection;
use super::way_in;
use crate::auth::unauthenticated::Unauthenticated;
use crate::config::{self, Word};
use crate::forwarding::{Body, chain};
use crate::issuer::local::NotSignedIn;

pub(super) use description::Answer;

/// Turns a rejection into the answer that the client gets, and the reason that the log gets.
pub(super) fn answer(gateway: &Gateway, exchange: &mut Exchange<'_>, rejection: &Rejection) -> Response<Body> {
    answer_with(exchange, rejection, |exchange, answer| form(gateway, exchange, answer))
}

/// The same for an answer that has a form of its own.
pub(super) fn answer_with<'g>(
    exchange: &mut Exchange<'g>,
    rejection: &Rejection,
    form: impl FnOnce(&Exchange<'g>, &Answer) -> Response<Body>,
) -> Response<Body> {
    let mut answer = description::describe(rejection, exchange.route().is_some_and(|route| route.explain_refusals));
    if answer.sign_in && exchange.kind.navigation && exchange.record.method != Method::GET {
        // A form must not be lost silently: whoever signs in again would think that it has arrived (O13).
        answer.detail = match (exchange.unsent.is_some(), exchange.way_in.asked.is_some()) {
            (true, false) => Word::FormKept,
            (false, false) => Word::FormLost,
            (true, true) => Word::FormKeptUntilAnew,
            (false, true) => Word::FormLostUntilAnew,
        };
    }
    let is_nobody = matches!(rejection, Rejection::Unauthenticated(Unauthenticated::NoCredentials));
    if is_nobody && exchange.route().is_some_and(|route| route.issuers.is_empty()) {
        // There is nothing to sign in with.
        (answer.detail, answer.error) = (Word::CertificateNotShown, Some("certificate_required"));
    }
    note(exchange, &answer, rejection);
    let mut response = form(exchange, &answer);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = &answer.challenge {
        headers.insert(WWW_AUTHENTICATE, challenge.header_value());
    }
    if let Some(seconds) = answer.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = answer.allow {
        headers.insert(ALLOW, allow);
    }
    // What could not be read to its end, or might be smuggled, ends the connection (RFC 9112 §6.3). HTTP/2 ignores it.
    // So does what can only be had on another one: a client that sends one request after the other would go on with this.
    let is_last = matches!(
        rejection,
        Rejection::Malformed(_)
            | Rejection::BodyTooLarge
            | Rejection::NotSignedIn(NotSignedIn::TooLong)
            | Rejection::OtherHandshake
            | Rejection::CertificateExpired
    );
    if is_last && exchange.record.version != Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(route) = exchange.route() {
        exchange.cors.let_read(route, headers);
    }
    response
}

/// Tells the log why. What is somebody's fault other than the client's is also worth a line of its own.
fn note(exchange: &mut Exchange<'_>, answer: &Answer, rejection: &Rejection) {
    let reason = chain(rejection);
    if answer.fault != "client" && !rejection.is_said() && exchange.is_audited {
        tracing::warn!(
            fault = answer.fault,
            request_id = exchange.id(),
            status = answer.status.as_u16(),
            reason,
            "request refused"
        );
    }
    audit::rejected(exchange, rejection, (&reason, answer.fault));
    exchange.record.refusal = Some((reason.into(), answer.fault));
    exchange.record.cause = rejection.cause();
}

/// A redirect, a page or a problem document.
fn form(gateway: &Gateway, exchange: &Exchange<'_>, answer: &Answer) -> Response<Body> {
    let sign_in = exchange.route().filter(|_| answer.sign_in).and_then(|route| way_in::url(gateway, exchange, route));
    let sign_in = sign_in.or_else(|| answer.again.then(|| way_in::again(gateway, exchange)));
    let wanted = exchange.route().map_or(config::Unauthenticated::Auto, |route| route.unauthenticated);
    let redirects = match wanted {
        config::Unauthenticated::Auto => exchange.kind.navigation && exchange.record.method == Method::GET,
        config::Unauthenticated::Redirect => exchange.record.method == Method::GET,
        config::Unauthenticated::Status => false,
    };
    match sign_in {
        Some(url) if redirects && !answer.again => {
            with_header(Body::Empty, StatusCode::FOUND, &[(LOCATION, &url), (REFERRER_POLICY, "no-referrer")])
        }
        sign_in if exchange.kind.navigation => {
            let (sign_in, reader) = (sign_in.as_deref(), exchange.reader());
            match &exchange.unsent {
                Some(form) => gateway.pages.resend(answer, form, sign_in, &reader),
                None => gateway.pages.refusal(answer, sign_in, &reader),
            }
        }
        sign_in => problem(answer, exchange.id(), sign_in.as_deref()),
    }
}

/// RFC 9457. For programs, and so always in the same words.
fn problem(answer: &Answer, request_id: &str, sign_in: Option<&str>) -> Response<Body> {
    let mut document = json!({
        "type": "about:blank",
        "title": answer.status.canonical_reason(),
        "status": answer.status.as_u16(),
        "detail": answer.detail.english(),
        "request_id": request_id,
    });
    if let Some(members) = document.as_object_mut() {
        members.extend(answer.required.as_ref().map(|required| ("required".to_owned(), json!(required))));
        members.extend(answer.error.map(|error| ("error".to_owned(), json!(error))));
        members.extend(sign_in.map(|url| ("login_url".to_owned(), json!(url))));
    }
    let body = Body::full(format!("{document}\n"));
    with_header(body, answer.status, &[(CONTENT_TYPE, "application/problem+json")])
}

/// A response with a few headers that are known to be valid.
pub(super) fn with_header(body: Body, status: StatusCode, headers: &[(HeaderName, &str)]) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let valid = |(name, value): &(HeaderName, &str)| Some((name.clone(), HeaderValue::try_from(*value).ok()?));
    response.headers_mut().extend(headers.iter().filter_map(valid).collect::<HeaderMap>());
    response
}
