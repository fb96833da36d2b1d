//! What the application is to be told about a request that may pass, as fields of an answer to the proxy that forwards it.
//!
//! The proxy writes these over what the client has sent. So a field that only Usher may write is there even when it says
//! nothing: an answer without it would leave the client's own standing.

use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE};
use http::{HeaderMap, HeaderValue, Response};

use super::super::admit::Target;
use super::super::{Decision, Gateway, Rejection, prepare};
use crate::forwarding::Body;

/// The answer. `headers` are the request's, without what is Usher's.
pub(super) fn told(
    gateway: &Gateway,
    target: &Target,
    decision: &Decision<'_>,
    headers: &mut HeaderMap,
) -> Result<Response<Body>, Rejection> {
    let mut response = Response::new(Body::Empty);
    let told = response.headers_mut();
    for name in &gateway.config.reserved_headers {
        told.insert(name, HeaderValue::from_static(""));
    }
    // The session and a bearer token are for Usher; what else stands there goes on.
    for name in [COOKIE, AUTHORIZATION] {
        let mut value = headers.remove(&name).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        told.insert(name, value);
    }
    if let Some(identity) = &decision.identity {
        prepare::speak_for_user(gateway, target, decision.route, identity, told)?;
    }
    if let Some((name, value)) = &decision.route.upstream_authorization {
        told.insert(name, value.clone());
    }
    told.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
