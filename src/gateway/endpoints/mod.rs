//! Usher's own paths: one file per path below `/.usher/`. Anything else there is 404 and never reaches an application.

mod backchannel_logout;
mod callback;
mod frontchannel_logout;
mod go_back;
mod issuer;
mod jwks;
mod session;
mod sign_in;
mod sign_out;
pub(super) mod small_body;

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, Request, Response};

use self::backchannel_logout::BACKCHANNEL_LOGOUT;
use self::frontchannel_logout::FRONTCHANNEL_LOGOUT;
pub(super) use self::sign_out::SIGN_OUT;
use super::admit::Target;
use super::exchange::Exchange;
use super::way_in::ENTRANCE;
use super::{Gateway, Rejection};
use crate::auth::credentials::Credentials;
use crate::auth::sign_in::{CALLBACK, GO_BACK};
use crate::config::{IssuerId, Site};
use crate::forwarding::{Body, RequestBody};

/// The public keys of the clients that Usher is.
const CLIENT_KEYS: &str = "/.usher/client-jwks.json";

/// Every issuer of a site. Those of its broadest route come first, in that route's own order: cookies that do not say whose
/// they are belong to the same issuer here as on most of the site.
pub(super) fn issuers(site: &Site) -> Vec<IssuerId> {
    let mut issuers: Vec<IssuerId> = Vec::new();
    for issuer in site.routes.iter().rev().flat_map(|route| &route.issuers) {
        if !issuers.contains(issuer) {
            issuers.push(*issuer);
        }
    }
    issuers
}

/// Answers a request for one of Usher's own paths.
pub(super) async fn answer(
    gateway: &Gateway,
    target: &Target,
    mut request: Request<RequestBody>,
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    let site = gateway.router.site(&target.host).ok_or(Rejection::UnknownHost)?;
    let issuers = issuers(site);
    if target.path.as_str() == BACKCHANNEL_LOGOUT {
        return from_issuer(gateway, request, &issuers, exchange).await;
    }
    let credentials = Credentials::take(request.headers_mut(), gateway.authenticator.names())?;
    exchange.note_browser(credentials.cookies.in_browser());
    let mut response = match (target.path.as_str(), request.method()) {
        ("/.usher/session", &Method::GET | &Method::HEAD) => {
            session::show(gateway, &credentials, &issuers, exchange).await?
        }
        (ENTRANCE, &Method::GET) => sign_in::begin(gateway, target, &credentials, &issuers, exchange).await?,
        (CALLBACK, &Method::GET) => callback::complete(gateway, target, &credentials, &issuers, exchange).await?,
        (FRONTCHANNEL_LOGOUT, &Method::GET) => {
            frontchannel_logout::receive(gateway, target, &credentials, &issuers, exchange).await
        }
        (ENTRANCE | CALLBACK | FRONTCHANNEL_LOGOUT, _) => return Err(allow("GET")),
        (SIGN_OUT, &Method::GET | &Method::HEAD) => {
            sign_out::ask(gateway, target, &credentials, &issuers, exchange).await
        }
        (SIGN_OUT, &Method::POST) => {
            sign_out::sign_out(gateway, target, &request, &credentials, &issuers, exchange).await?
        }
        (SIGN_OUT, _) => return Err(allow("GET, HEAD, POST")),
        (GO_BACK, &Method::GET | &Method::HEAD) => {
            go_back::show(gateway, target, &credentials, &issuers, exchange).await?
        }
        ("/.usher/jwks.json", &Method::GET | &Method::HEAD) => jwks::show(gateway),
        (CLIENT_KEYS, &Method::GET | &Method::HEAD) => jwks::show_clients(gateway, &issuers)?,
        ("/.usher/session" | "/.usher/jwks.json" | CLIENT_KEYS | GO_BACK, _) => return Err(allow("GET, HEAD")),
        (path, _) if path.starts_with(issuer::PREFIX) => {
            issuer::answer(gateway, target, request, &credentials, &issuers, exchange).await?
        }
        _ => return Err(Rejection::NoEndpoint),
    };
    forbid_storing(&mut response);
    Ok(response)
}

/// Servers call, not browsers: whatever credentials the request has, they are not looked at.
async fn from_issuer(
    gateway: &Gateway,
    request: Request<RequestBody>,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    if request.method() != Method::POST {
        return Err(allow("POST"));
    }
    let mut response = backchannel_logout::receive(gateway, request, issuers, exchange).await;
    forbid_storing(&mut response);
    Ok(response)
}

const fn allow(methods: &'static str) -> Rejection {
    Rejection::Method { allow: HeaderValue::from_static(methods) }
}

fn forbid_storing(response: &mut Response<Body>) {
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
