//! The way back: the application's answer as the client gets it.

use std::future::pending;
use std::pin::pin;

use futures_util::future::{Either, select};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::upgrade::OnUpgrade;

use super::audit::{self, Way};
use super::exchange::Exchange;
use super::{Gateway, Rejection};
use crate::auth::authenticate::{Identity, Successor};
use crate::auth::credentials::Credentials;
use crate::auth::login::{self, IssuedTokens};
use crate::config::{IssuerId, LoginTokens, Route, TokenPointers};
use crate::forwarding::upgrade::{self, Goodbye, TunnelReport};
use crate::forwarding::{Body, UpstreamBody, hop_by_hop};

/// A login's answer is searched for tokens up to this size; a larger one is refused, for it may hide one.
const LOGIN_ANSWER_BYTES: usize = 256 * 1024;

/// Makes an answer of the application safe to hand on.
pub(super) async fn deliver(
    gateway: &Gateway,
    route: &Route,
    identity: Option<&Identity>,
    client: Option<OnUpgrade>,
    credentials: &Credentials,
    mut response: Response<UpstreamBody>,
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let response = switch(gateway, (route, identity), client, response, exchange)?;
        return Ok(guard(gateway, identity, response, exchange));
    }
    hop_by_hop::remove_from_response(response.headers_mut());
    let response = match route.login {
        Some(issuer) if exchange.record.method == Method::POST => {
            Box::pin(capture_login(gateway, issuer, credentials, response, exchange)).await?
        }
        _ => lasting(gateway, identity, response),
    };
    Ok(guard(gateway, identity, response, exchange))
}

/// Events, messages of gRPC and large files may come for hours: they end with the session that may have them.
fn lasting(gateway: &Gateway, identity: Option<&Identity>, response: Response<UpstreamBody>) -> Response<Body> {
    match identity {
        Some(identity) => {
            let session_end = || gateway.counts.answers.during(gateway.authenticator.session_end(identity));
            response.map(|body| Body::of_session(body, session_end))
        }
        None => response.map(Body::Upstream),
    }
}

/// Both sides agree to switch protocols: from here on, bytes travel by themselves until both are at their end, the session is
/// over, or this process drains.
fn switch(
    gateway: &Gateway,
    (route, identity): (&Route, Option<&Identity>),
    client: Option<OnUpgrade>,
    mut response: Response<UpstreamBody>,
    exchange: &Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    let (Some(client), Some(upstream)) = (client, response.body_mut().take_switched()) else {
        return Err(Rejection::Internal);
    };
    let protocol = response.headers().get(UPGRADE).cloned();
    hop_by_hop::remove_from_response(response.headers_mut());
    if let Some(protocol) = protocol {
        upgrade::restore(response.headers_mut(), &protocol);
    }
    let (readiness, id) = (gateway.readiness.clone(), exchange.id().to_owned());
    let session_end = identity.map(|identity| gateway.authenticator.session_end(identity));
    let over = async move {
        match session_end {
            Some(session_end) => session_end.await,
            None => pending().await,
        }
    };
    let code = route.websocket_close_code;
    let until = async move {
        match select(pin!(readiness.drain_begins()), pin!(over)).await {
            Either::Left(_) => Goodbye::GoingAway,
            Either::Right(_) => Goodbye::SessionOver { code },
        }
    };
    let open = gateway.counts.tunnels.enter();
    upgrade::start(client, upstream, route.timeouts.idle, until, move |TunnelReport { end, sent, received }| {
        drop(open);
        tracing::info!(target: "usher::access", request_id = id, ending = ?end, sent, received, "stream ended");
    });
    Ok(response.map(|_| Body::Empty))
}

/// The application cannot set Usher's cookies (law 9), and what it says to one user is not for a shared cache unless it
/// says so itself (X06).
fn guard(
    gateway: &Gateway,
    identity: Option<&Identity>,
    mut response: Response<Body>,
    exchange: &Exchange<'_>,
) -> Response<Body> {
    let headers = response.headers_mut();
    let removed = gateway.authenticator.names().remove_reserved(headers);
    if removed > 0 {
        tracing::warn!(
            fault = "upstream",
            request_id = exchange.id(),
            removed,
            "the application tried to set cookies that only Usher may set"
        );
    }
    if identity.is_some() && !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
    response
}

/// Takes the tokens out of a login's answer and begins a session with them. An answer without tokens passes as it is.
async fn capture_login(
    gateway: &Gateway,
    issuer: IssuerId,
    credentials: &Credentials,
    response: Response<UpstreamBody>,
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    let Some(login) = gateway.config.issuers.get(issuer.0).and_then(|issuer| issuer.login.as_ref()) else {
        return Ok(response.map(Body::Upstream));
    };
    let (tokens, mut response) = match &login.tokens {
        LoginTokens::Cookies { access, refresh } => {
            let mut response = response.map(Body::Upstream);
            (login::take_from_cookies(response.headers_mut(), access, refresh.as_deref()), response)
        }
        LoginTokens::Body(pointers) if response.status().is_success() => take_from_json(response, pointers).await?,
        LoginTokens::Body(_) => (None, response.map(Body::Upstream)),
    };
    let Some(tokens) = tokens else { return Ok(response) };
    login::remove_repeating_headers(response.headers_mut(), &tokens);
    let (successor, found) = (Successor { tokens: &tokens, grant: None }, &credentials.cookies);
    let begun = gateway.authenticator.begin_session(issuer, &successor, found, &mut exchange.jar).await;
    let identity = begun.map_err(Rejection::LoginTokens)?;
    exchange.note_identity(Some(&identity));
    audit::signed_in(exchange, Way::LoginService, &identity);
    Ok(response)
}

/// Reads a JSON answer to its end, and takes the tokens out of it. JSON is what says so, and whatever looks like it: a legacy
/// application often says `text/html`. What cannot be looked into is refused, for it may hide a token.
async fn take_from_json(
    response: Response<UpstreamBody>,
    pointers: &TokenPointers,
) -> Result<(Option<IssuedTokens>, Response<Body>), Rejection> {
    let (mut head, mut body) = response.into_parts();
    if is_encoded(&head.headers) && !body.is_end_stream() {
        return Err(Rejection::LoginAnswer);
    }
    let says_json = says_json(&head.headers);
    let mut read = Vec::new();
    let mut looks_json = None;
    while (says_json || looks_json != Some(false)) && read.len() <= LOGIN_ANSWER_BYTES {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|_| Rejection::LoginAnswer)?;
        read.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        looks_json = login::begins_like_json(&read);
    }
    let is_json = says_json || looks_json == Some(true);
    if read.len() > LOGIN_ANSWER_BYTES && (is_json || looks_json.is_none()) {
        return Err(Rejection::LoginAnswer);
    }
    if !is_json {
        return Ok((None, Response::from_parts(head, Body::begun(read, body))));
    }
    let taken = login::take_from_body(&read, pointers).map_err(|_| Rejection::LoginAnswer)?;
    let Some((tokens, rest)) = taken else {
        return Ok((None, Response::from_parts(head, Body::full(read))));
    };
    // These describe the body that was.
    head.headers.remove(CONTENT_LENGTH);
    for name in ["etag", "digest", "content-digest", "repr-digest", "content-md5"] {
        head.headers.remove(name);
    }
    Ok((Some(tokens), Response::from_parts(head, Body::full(rest))))
}

/// Whether it says that it is JSON, in any of its `Content-Type` lines.
fn says_json(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        let media_type = media_type.trim().to_ascii_lowercase();
        matches!(media_type.as_str(), "application/json" | "text/json") || media_type.ends_with("+json")
    })
}

/// Whether there is a content coding, although none was asked for.
fn is_encoded(headers: &HeaderMap) -> bool {
    let is_identity = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    !headers.get_all(CONTENT_ENCODING).iter().all(is_identity)
}
