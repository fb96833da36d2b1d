//! What the application receives, with everything secret masked (law 8).

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use serde_json::Value;

use super::explanation::{Field, Forwarded};
use crate::auth::assertion;
use crate::config::Route;
use crate::gateway::Gateway;
use crate::oauth::Claims;

/// What stands for a secret.
const MASK: &str = "•••";

/// What the application receives. `sent` is what the client sent.
pub(super) fn forwarded<B>(gateway: &Gateway, route: &Route, sent: &HeaderMap, request: &Request<B>) -> Forwarded {
    let upstream = route.upstream.and_then(|upstream| gateway.config.upstreams.get(upstream.0));
    let headers = request.headers();
    Forwarded {
        upstream: upstream.into_iter().flat_map(|upstream| &upstream.addresses).map(ToString::to_string).collect(),
        target: target(request.uri()),
        headers: headers.iter().map(|(name, value)| field(route, sent, name, value)).collect(),
        removed: sent.keys().filter(|name| !headers.contains_key(*name)).map(ToString::to_string).collect(),
    }
}

/// What the application is told by a proxy that asks. The rest is as that proxy passes it on, in the path as well.
pub(super) fn told(route: &Route, sent: &HeaderMap, uri: &Uri, told: &HeaderMap) -> Forwarded {
    let says = told.iter().filter(|(_, value)| !value.is_empty());
    let empty = told.iter().filter(|(name, value)| value.is_empty() && sent.contains_key(*name));
    Forwarded {
        upstream: Vec::new(),
        target: target(uri),
        headers: says.map(|(name, value)| field(route, sent, name, value)).collect(),
        removed: empty.map(|(name, _)| name.to_string()).collect(),
    }
}

fn field(route: &Route, sent: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> Field {
    let added = !sent.get_all(name).iter().any(|line| line == value);
    Field { name: name.to_string(), value: masked(route, name, value), added }
}

fn target(uri: &Uri) -> String {
    format!("{}{}", uri.path(), if uri.query().is_some() { "?…" } else { "" })
}

fn masked(route: &Route, name: &HeaderName, value: &HeaderValue) -> String {
    let is_fixed = route.upstream_authorization.as_ref().is_some_and(|(fixed, _)| fixed == name);
    if *name == COOKIE {
        return cookie_names(value);
    }
    if is_fixed {
        return format!("{MASK} (upstream_authorization)");
    }
    if *name == assertion::HEADER {
        return format!("{MASK} (a signed assertion)");
    }
    if *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION || value.is_sensitive() {
        // The scheme is no secret, and may be what is wrong.
        let scheme = value.to_str().ok().and_then(|text| text.split_once(' ')).map(|(scheme, _)| format!("{scheme} "));
        return scheme.unwrap_or_default() + MASK;
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Cookies of the application: their names only.
fn cookie_names(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    let names = text.split(';').map(|pair| pair.split('=').next().unwrap_or_default().trim());
    names.map(|name| format!("{name}={MASK}")).collect::<Vec<_>>().join("; ")
}

/// Claims as people read them.
pub(super) fn claims(claims: &Claims) -> String {
    claims.0.iter().map(|(name, value)| format!("{name} {}", claim(value))).collect::<Vec<_>>().join(", ")
}

/// A claim as people read it.
pub(super) fn claim(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(members) => members.iter().map(claim).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
