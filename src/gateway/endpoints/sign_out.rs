//! `/.usher/sign-out`: ends the session here at once, and at the issuer in the background (RFC 7009).

use http::header::LOCATION;
use http::{HeaderName, Request, Response, StatusCode};

use crate::auth::credentials::Credentials;
use crate::auth::origin;
use crate::config::IssuerId;
use crate::forwarding::Body;
use crate::gateway::admit::Target;
use crate::gateway::answer::with_header;
use crate::gateway::exchange::Exchange;
use crate::gateway::pages::SignOutPage;
use crate::gateway::{Gateway, Rejection};

/// The path.
pub(super) const SIGN_OUT: &str = "/.usher/sign-out";

/// Whoever comes next and presses Back must not read what the application has shown (O27): browsers keep whole pages for that.
/// What the application has stored there by itself is its own.
const FORGET_PAGES: (HeaderName, &str) = (HeaderName::from_static("clear-site-data"), "\"cache\"");

/// The page that asks whether to sign out, or says that nobody is signed in. It ends nothing: a link or an image that another
/// site shows must not (O24).
pub(super) async fn ask(
    gateway: &Gateway,
    target: &Target,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Response<Body> {
    // Who is about to sign out needs no new tokens.
    let identity = gateway.authenticator.identify(credentials, issuers, false, &mut exchange.jar).await.ok();
    let claims = identity.as_ref().map(|identity| &identity.token.claims);
    let user = claims.map(|claims| claims.name().or(claims.subject()).unwrap_or_default());
    // Cookies that count no more may still be good for a renewal.
    let user = user.or_else(|| credentials.cookies.any().then_some(""));
    let page = SignOutPage { site: &target.host, action: SIGN_OUT, user };
    gateway.pages.sign_out(&page, exchange.id())
}

/// 303 to the page that says so for a form, 204 for a script. Only the site itself may ask for it: another site must not sign
/// people out.
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
        with_header(Body::Empty, StatusCode::SEE_OTHER, &[(LOCATION, SIGN_OUT), FORGET_PAGES])
    } else {
        with_header(Body::Empty, StatusCode::NO_CONTENT, &[FORGET_PAGES])
    })
}
