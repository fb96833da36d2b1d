//! `/.usher/issuer/.well-known/…`: where others find the keys of the access tokens (OIDC Discovery §4, RFC 8414 §3).

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Response, StatusCode};

use crate::forwarding::Body;
use crate::gateway::answer::with_header;
use crate::issuer::local::Local;

/// The discovery document. Public, and the same for everybody.
pub(super) fn show(local: &Local) -> Response<Body> {
    with_header(
        Body::full(local.metadata()),
        StatusCode::OK,
        &[(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")],
    )
}
