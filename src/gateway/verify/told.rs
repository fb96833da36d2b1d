//! What the application is to be told about a request that may pass, as fields of an answer to the proxy that forwards it.
//!
//! The proxy writes these over what the client has sent. So a field that only Usher may write is there even when it says
//! nothing: an answer without it would leave the client's own standing.

use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE};
use http::{HeaderMap, HeaderValue, Response};

use super::super::admit::Target;
use super::super::{Gateway, Rejection, prepare};
use crate::auth::authenticate::Identity;
use crate::config::Route;
use crate::forwarding::Body;

/// The answer.
pub(super) fn answer(mut fields: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.headers_mut() = fields;
    response
}

/// The fields. `headers` are the request's, without what is Usher's.
pub(in crate::gateway) fn fields(
    gateway: &Gateway,
    target: &Target,
    route: &Route,
    identity: Option<&Identity>,
    headers: &mut HeaderMap,
) -> Result<HeaderMap, Rejection> {
    let mut told = HeaderMap::new();
    for name in &gateway.config.reserved_headers {
        told.insert(name, HeaderValue::from_static(""));
    }
    // The session and a bearer token are for Usher; what else stands there goes on.
    for name in [COOKIE, AUTHORIZATION] {
        let mut value = headers.remove(&name).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        told.insert(name, value);
    }
    if let Some(identity) = identity {
        prepare::speak_for_user(gateway, target, route, identity, &mut told)?;
    }
    if let Some((name, value)) = &route.upstream_authorization {
        told.insert(name, value.clone());
    }
    Ok(told)
}
