//! `/.usher/sign-out`: ends the session here at once, and at the issuer in the background (RFC 7009).

use http::header::LOCATION;
use http::{Request, Response, StatusCode};

use crate::auth::credentials::Credentials;
use crate::auth::origin;
use crate::config::IssuerId;
use crate::forwarding::Body;
use crate::gateway::admit::Target;
use crate::gateway::answer::with_header;
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection};

/// 303 to `/` for a form, 204 for a script. Only the site itself may ask for it: another site must not sign people out.
pub(super) async fn sign_out<B>(
    gateway: &Gateway,
    target: &Target,
    request: &Request<B>,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    if !origin::may_act(request.method(), request.headers(), target.scheme(), target.authority(), &[]) {
        return Err(Rejection::CrossSite);
    }
    gateway.authenticator.end_session(&credentials.cookies, issuers, &mut exchange.jar).await;
    Ok(if exchange.kind.navigation {
        with_header(Body::Empty, StatusCode::SEE_OTHER, &[(LOCATION, "/")])
    } else {
        with_header(Body::Empty, StatusCode::NO_CONTENT, &[])
    })
}
