//! Step 7: the request as the application gets it.
//!
//! Order matters here as well (law 5): what the client's `Connection` header names is taken out of the *client's* headers
//! before Usher writes its own.

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, EXPECT, HOST, RANGE};
use http::{HeaderMap, HeaderValue, Request, Uri, Version};
use hyper::upgrade::OnUpgrade;

use super::admit::Target;
use super::exchange::Exchange;
use super::trace_context::TraceContext;
use super::{Connection, Gateway, Rejection, client_certificate};
use crate::auth::authenticate::{Identity, Source};
use crate::auth::{assertion, identity_headers};
use crate::config::Route;
use crate::forwarding::upgrade;
use crate::forwarding::{RequestBody, hop_by_hop};

/// So many fields or fewer Usher adds to most requests: the map grows once for all of them.
const OWN_FIELDS: usize = 14;

/// A request that is ready to go.
pub(super) struct Prepared {
    pub(super) request: Box<Request<RequestBody>>,
    /// The client's side of a connection that is to switch protocols, if the upstream agrees.
    pub(super) client: Option<OnUpgrade>,
}

/// Prepares a request for its route.
pub(super) fn prepare(
    gateway: &Gateway,
    connection: &Connection,
    target: &Target,
    route: &Route,
    identity: Option<&Identity>,
    mut request: Box<Request<RequestBody>>,
    exchange: &Exchange<'_>,
) -> Result<Prepared, Rejection> {
    let protocol = upgrade::requested(&request);
    let client = protocol.is_some().then(|| hyper::upgrade::on(&mut *request));
    let body = request.body_mut();
    body.limit(route.body_limit)?;
    body.pass_trailers(&gateway.trailer_filter);
    if let Some(identity) = identity {
        body.belong_to_session(|| gateway.counts.uploads.during(gateway.authenticator.session_end(identity)));
    }

    let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
    let headers = request.headers_mut();
    hop_by_hop::remove_from_request(headers);
    // Usher answers `100 Continue` itself, when it reads the body: after the decision, never before (S17).
    headers.remove(EXPECT);
    if route.login.is_some() {
        // The answer is searched for tokens: it must come as it is, and whole. Without the header, any coding would do
        // (RFC 9110 §12.5.3).
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(RANGE);
    }

    headers.reserve(OWN_FIELDS);
    let host = host_field(target, headers)?;
    connection.forwarding.write(headers, &host, version, &gateway.config.trusted_proxies);
    client_certificate::write(connection, headers);
    if let Some(identity) = identity {
        speak_for_user(gateway, target, route, identity, headers)?;
    }
    if let Some((name, value)) = &route.upstream_authorization {
        headers.insert(name, value.clone());
    }
    exchange.record.id.write(headers);
    if gateway.config.tracing.is_some() {
        TraceContext::write(exchange.record.trace.as_ref(), headers);
    }
    headers.insert(HOST, route.rewrite_host.clone().unwrap_or(host));
    *request.uri_mut() = forwarded_uri(target, route, request.uri())?;
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(protocol);
    }
    Ok(Prepared { request, client })
}

/// `Host` as the application gets it: the line that was sent, where that says it already.
fn host_field(target: &Target, headers: &HeaderMap) -> Result<HeaderValue, Rejection> {
    match headers.get(HOST) {
        Some(sent) if target.is_host_field(sent.as_bytes()) => Ok(sent.clone()),
        _ => HeaderValue::try_from(target.host_field()).map_err(|_| Rejection::Internal),
    }
}

/// Who the user is, in the words that the route chose.
pub(super) fn speak_for_user(
    gateway: &Gateway,
    target: &Target,
    route: &Route,
    identity: &Identity,
    headers: &mut HeaderMap,
) -> Result<(), Rejection> {
    let set = gateway.config.identity_sets.get(route.identity.0).map_or(&[][..], Vec::as_slice);
    let claims = &identity.token.claims;
    // Another claim that is absent makes no header. Without the subject the request would look like one of nobody's, and
    // on a route that nobody may use.
    if claims.subject().is_none() && (route.assertion || set.iter().any(|header| header.claim.is_subject())) {
        return Err(Rejection::NoSubject);
    }
    let rendered = identity.token.rendered.headers(route.identity, || identity_headers::render(claims, set));
    for (name, value) in rendered.map_err(|error| Rejection::UnspeakableClaim(error.clone()))? {
        headers.insert(name, value.clone());
    }
    if route.assertion {
        let assertion =
            gateway.assertions.sign(&target.host, &identity.token, route.identity, set, gateway.clock.now());
        headers.insert(assertion::HEADER, assertion?);
    }
    if route.forward_access_token {
        forward_token(identity, headers)?;
    }
    Ok(())
}

/// The token in `Authorization`. A certificate is none, and what the client wrote there itself must not be taken for one.
fn forward_token(identity: &Identity, headers: &mut HeaderMap) -> Result<(), Rejection> {
    if identity.source == Source::Certificate {
        headers.remove(AUTHORIZATION);
        return Ok(());
    }
    let value = format!("Bearer {}", identity.token.token.expose());
    let mut value = HeaderValue::try_from(value).map_err(|_| Rejection::Internal)?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// The canonical path, less the prefix that the route takes off, and the query as it came.
pub(super) fn forwarded_uri(target: &Target, route: &Route, sent: &Uri) -> Result<Uri, Rejection> {
    let stripped =
        route.strip_prefix.as_deref().and_then(|prefix| target.path.without_prefix(prefix, route.ignore_case));
    let path = stripped.unwrap_or(target.path.as_str());
    match sent.path_and_query() {
        // A lone slash may be how `http` reads a target without any path, and would not be written.
        _ if path == "/" && target.query.is_none() => Ok(Uri::from_static("/")),
        // The query is what was sent in any case. So is the path nearly always, and need not be put together anew.
        Some(whole) if whole.path() == path && path != "/" => Ok(Uri::from(whole.clone())),
        _ => Uri::try_from(target.path_and_query(path)).map_err(|_| Rejection::Internal),
    }
}
