//! `/.usher/issuer/jwks.json`: the public keys of the access tokens (RFC 7517 §5).

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Response, StatusCode};

use crate::forwarding::Body;
use crate::gateway::answer::with_header;
use crate::issuer::local::Local;

/// The key set. Public, and the same for everybody. A key is in it for an hour before it signs.
pub(super) fn show(local: &Local) -> Response<Body> {
    with_header(
        Body::full(local.jwks()),
        StatusCode::OK,
        &[(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")],
    )
}
