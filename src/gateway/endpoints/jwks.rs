//! Public keys (RFC 7517 §5): `/.usher/jwks.json` has those of the signed assertions, and `/.usher/client-jwks.json` those with
//! which Usher authenticates as a client of this site's issuers, to register there.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Response, StatusCode};

use crate::config::IssuerId;
use crate::forwarding::Body;
use crate::gateway::answer::with_header;
use crate::gateway::{Gateway, Rejection};
use crate::issuer::Issuer;
use crate::oauth::SigningKey;

/// The keys of the assertions. Public, and the same for everybody.
pub(super) fn show(gateway: &Gateway) -> Response<Body> {
    answer(gateway.assertions.jwks())
}

/// The keys of the clients; there may be none.
pub(super) fn show_clients(gateway: &Gateway, issuers: &[IssuerId]) -> Result<Response<Body>, Rejection> {
    let known = issuers.iter().filter_map(|id| gateway.lasting.issuers().by_id(*id));
    let keys = SigningKey::set(known.filter_map(Issuer::client_key).map(|client| &*client.key));
    keys.map(|document| answer(document.into())).map_err(|_| Rejection::Internal)
}

fn answer(keys: Bytes) -> Response<Body> {
    with_header(
        Body::full(keys),
        StatusCode::OK,
        &[(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")],
    )
}
