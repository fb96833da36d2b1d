//! `/.usher/sign-out`: ends the session here at once, and its refresh token at the issuer in the background (RFC 7009). Where
//! the issuer has a place to sign out, browsers are sent on to it (OIDC RP-Initiated Logout 1.0), and come back to the page here.

use http::header::{LOCATION, REFERRER_POLICY};
use http::{HeaderName, Request, Response, StatusCode};
use url::Url;

use crate::auth::authenticate::EndedSession;
use crate::auth::credentials::Credentials;
use crate::auth::origin;
use crate::config::IssuerId;
use crate::forwarding::Body;
use crate::gateway::admit::Target;
use crate::gateway::answer::with_header;
use crate::gateway::audit::{self, By};
use crate::gateway::exchange::Exchange;
use crate::gateway::pages::SignOutPage;
use crate::gateway::{Gateway, Rejection};

/// The path.
pub(in crate::gateway) const SIGN_OUT: &str = "/.usher/sign-out";

/// Whoever comes next and presses Back must not read what the application has shown (O27): browsers keep whole pages for that.
/// What the application has stored there by itself is its own.
pub(super) const FORGET_PAGES: (HeaderName, &str) = (HeaderName::from_static("clear-site-data"), "\"cache\"");

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
    let mut onward = Vec::new();
    if user.is_some() {
        for issuer in issuers {
            let issuer = EndedSession { issuer: *issuer, subject: None, id_token: None };
            onward.extend(onward_from(gateway, target, &issuer, false).await);
        }
    }
    let page = SignOutPage { site: &target.host, action: SIGN_OUT, user, onward: &onward };
    gateway.pages.sign_out(&page, &exchange.reader())
}

/// For a form, 303 to where its user signs out at the issuer, or to the page here. For a script, 204: where the page should go
/// next is its `Location`, if the issuer has such a place, and no token is in it. Only the site itself may ask for any of this:
/// another site must not sign people out.
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
    let ended = gateway.authenticator.end_session(&credentials.cookies, issuers, &mut exchange.jar).await;
    let ended = ended.inspect_err(|error| audit::not_signed_out(exchange, By::User, error))?;
    if let Some(EndedSession { issuer, subject, .. }) = &ended {
        audit::signed_out(exchange, By::User, Some(*issuer), subject.as_deref());
    }
    let navigation = exchange.kind.navigation;
    let onward = match &ended {
        Some(ended) => onward_from(gateway, target, ended, navigation).await,
        None => None,
    };
    let onward = onward.as_ref().map(Url::as_str);
    let (status, location) = if navigation {
        (StatusCode::SEE_OTHER, Some(onward.unwrap_or(SIGN_OUT)))
    } else {
        (StatusCode::NO_CONTENT, onward)
    };
    // The ID token in the address is the issuer's business only.
    let onward = location.into_iter().flat_map(|url| [(LOCATION, url), (REFERRER_POLICY, "no-referrer")]);
    let headers: Vec<_> = onward.chain([FORGET_PAGES]).collect();
    Ok(with_header(Body::Empty, status, &headers))
}

/// Where to sign out at the issuer: its own endpoint and nowhere else, whatever the request says (O22). `with_hint`: with the ID
/// token of the session that has ended.
async fn onward_from(gateway: &Gateway, target: &Target, ended: &EndedSession, with_hint: bool) -> Option<Url> {
    let issuer = gateway.lasting.issuers().by_id(ended.issuer)?;
    let come_back_to = format!("{}{SIGN_OUT}", target.origin());
    issuer.end_session_url(&come_back_to, ended.id_token.as_ref().filter(|_| with_hint)).await
}
