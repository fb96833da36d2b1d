//! `/.usher/jwks.json`: the public keys of the signed assertions (RFC 7517 §5).

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Response, StatusCode};

use crate::forwarding::Body;
use crate::gateway::Gateway;
use crate::gateway::answer::with_header;

/// The key set. Public, and the same for everybody.
pub(super) fn show(gateway: &Gateway) -> Response<Body> {
    with_header(
        Body::full(gateway.assertions.jwks()),
        StatusCode::OK,
        &[(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")],
    )
}
