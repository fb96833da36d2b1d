//! `/.usher/issuer/`: the local issuer, on the sites that have one. Elsewhere there is nothing.

mod discovery;
mod jwks;
mod one_time_code;
mod sign_in;

use http::{HeaderValue, Method, Request, Response};

use crate::auth::credentials::Credentials;
use crate::config::IssuerId;
use crate::forwarding::{Body, RequestBody};
use crate::gateway::admit::Target;
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection};

/// Where people sign in.
pub(super) const SIGN_IN: &str = "/.usher/issuer/sign-in";

/// Where people with a second factor give it then.
const ONE_TIME_CODE: &str = "/.usher/issuer/one-time-code";

/// Where the form leads to in the end.
const SIGNED_IN: &str = "/.usher/issuer/signed-in";

/// What all paths here begin with.
pub(super) const PREFIX: &str = "/.usher/issuer/";

/// Answers a request for one of the issuer's paths.
pub(super) async fn answer(
    gateway: &Gateway,
    target: &Target,
    request: Request<RequestBody>,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    let known = gateway.lasting.issuers();
    let local = issuers.iter().find_map(|id| Some((*id, known.by_id(*id)?.local()?)));
    let (id, local) = local.ok_or(Rejection::NoEndpoint)?;
    let allow = |methods: &'static str| Err(Rejection::Method { allow: HeaderValue::from_static(methods) });
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match target.path.as_str().strip_prefix(PREFIX) {
        Some("sign-in") if *request.method() == Method::POST => {
            sign_in::sign_in(gateway, target, request, credentials, (id, local), exchange).await
        }
        Some("sign-in") if reads => Ok(sign_in::page(gateway, target, exchange)),
        Some("one-time-code") if *request.method() == Method::POST => {
            one_time_code::sign_in(gateway, target, request, credentials, (id, local), exchange).await
        }
        Some("one-time-code") if reads => Ok(one_time_code::page(gateway, target, credentials, local, exchange)),
        Some("sign-in" | "one-time-code") => allow("GET, HEAD, POST"),
        Some("signed-in") if reads => Ok(sign_in::signed_in(gateway, target, request.headers(), exchange)),
        Some("jwks.json") if reads => Ok(jwks::show(local)),
        Some(".well-known/openid-configuration" | ".well-known/oauth-authorization-server") if reads => {
            Ok(discovery::show(local))
        }
        Some(
            "signed-in" | "jwks.json" | ".well-known/openid-configuration" | ".well-known/oauth-authorization-server",
        ) => allow("GET, HEAD"),
        _ => Err(Rejection::NoEndpoint),
    }
}
