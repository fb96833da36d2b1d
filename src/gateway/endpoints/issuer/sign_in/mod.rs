//! `/.usher/issuer/sign-in`: a user name and a password become a session. A page for people, JSON for programs. Where a
//! one-time password is needed as well, programs present it here; people are asked for it
//! [on another page](super::one_time_code).
//!
//! A program gets the access token in the answer; nobody gets the refresh token, which is in the cookies alone, out of reach
//! of scripts.

mod request;

use http::header::{CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::json;

pub(super) use self::request::CodeForm;
use self::request::SignIn;
use crate::auth::authenticate::{Identity, Successor};
use crate::auth::credentials::Credentials;
use crate::auth::login::IssuedTokens;
use crate::auth::origin;
use crate::auth::sign_in::{ReturnTarget, kept};
use crate::auth::step_up::SignInFacts;
use crate::config::IssuerId;
use crate::forwarding::{Body, RequestBody};
use crate::gateway::admit::Target;
use crate::gateway::answer::{answer_with, with_header};
use crate::gateway::audit::{self, Way};
use crate::gateway::exchange::Exchange;
use crate::gateway::pages::{Problem, SignInPage};
use crate::gateway::{Gateway, Rejection, way_in};
use crate::issuer::local::{Local, NotSignedIn};
use crate::oauth::TokenResponse;

use super::super::sign_in::parameter;
use super::{SIGN_IN, SIGNED_IN, one_time_code};

/// The page. It says nothing about anybody, and nothing is kept here for it.
pub(super) fn page(gateway: &Gateway, target: &Target, exchange: &mut Exchange<'_>) -> Response<Body> {
    kept::ask(&mut exchange.jar);
    let rd = return_target(target);
    let page = SignInPage { site: &target.host, action: SIGN_IN, rd: rd.as_str(), username: "", problem: None };
    gateway.pages.sign_in(StatusCode::OK, &page, &exchange.reader())
}

/// The page that leads on to where somebody wanted to go. Anybody may open it, signed in or not.
///
/// What a page begins is the site's own doing: browsers send `SameSite=Strict` cookies and `Sec-Fetch-Site: same-origin` with it.
/// Whom another site sends here therefore gets a redirect instead, which stays a request of that site.
pub(super) fn signed_in(
    gateway: &Gateway,
    target: &Target,
    headers: &HeaderMap,
    exchange: &Exchange<'_>,
) -> Response<Body> {
    let rd = return_target(target);
    if origin::is_from_elsewhere(headers) {
        let headers = [(LOCATION, rd.as_str()), (REFERRER_POLICY, "no-referrer")];
        return with_header(Body::Empty, StatusCode::FOUND, &headers);
    }
    gateway.pages.signed_in(&target.host, &rd, &exchange.reader())
}

/// Where somebody wants to go.
pub(super) fn return_target(target: &Target) -> ReturnTarget {
    let rd = parameter(target.query.as_deref().unwrap_or_default(), "rd").unwrap_or_default();
    ReturnTarget::parse(&rd, &target.origin())
}

/// 303 to the page that leads on to where somebody wanted to go, to that of the one-time password, or the page again; for a
/// program 200 with the access token. The cookies of a new session come with the first and the last. Only the site itself
/// may ask for it: another site must not sign people in as somebody else.
pub(super) async fn sign_in(
    gateway: &Gateway,
    target: &Target,
    request: Request<RequestBody>,
    credentials: &Credentials,
    (id, local): (IssuerId, &Local),
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    if !origin::may_act(request.method(), request.headers(), target.scheme(), target.authority(), &[]) {
        return Err(Rejection::CrossSite);
    }
    let SignIn { username, password, code, rd } = SignIn::read(request, gateway.config.limits.body_timeout).await?;
    let rd = rd.map(|rd| ReturnTarget::parse(&rd, &target.origin()));
    if let Some(rd) = rd.as_ref().filter(|_| !kept::are_kept(&credentials.cookies)) {
        return Ok(page_again(gateway, target, exchange, (&username, rd), &Rejection::CookiesNotKept));
    }
    let code = code.as_ref().map(|code| code.as_str());
    match (local.sign_in(&username, password, code, exchange.client).await, &rd) {
        (Ok(response), rd) => enter(gateway, id, response, rd.as_ref(), credentials, exchange).await,
        (Err(NotSignedIn::CodeNeeded(first)), Some(rd)) => {
            Ok(one_time_code::ask(gateway, (&first, local), rd, exchange)?)
        }
        (Err(error), Some(rd)) => Ok(page_again(gateway, target, exchange, (&username, rd), &error.into())),
        (Err(error), None) => Err(error.into()),
    }
}

/// Begins the session of somebody who has signed in: 303 to the page that leads on to `rd`, or for a program 200.
pub(super) async fn enter(
    gateway: &Gateway,
    id: IssuerId,
    response: TokenResponse,
    rd: Option<&ReturnTarget>,
    credentials: &Credentials,
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    let tokens = IssuedTokens {
        access: response.access_token,
        refresh: response.refresh_token,
        sid: None,
        facts: SignInFacts::default(),
    };
    let (successor, found) = (Successor { tokens: &tokens, grant: None }, &credentials.cookies);
    let identity = gateway
        .authenticator
        .begin_session(id, &successor, found, &mut exchange.jar)
        .await
        .map_err(Rejection::NotBegun)?;
    exchange.note_identity(Some(&identity));
    audit::signed_in(exchange, Way::Password, &identity);
    let Some(rd) = rd else { return Ok(document(gateway, &tokens, &identity)) };
    gateway.sign_ins.note_signed_in(&credentials.cookies, &mut exchange.jar)?;
    let location = way_in::with_return(SIGNED_IN, rd.as_str());
    Ok(with_header(Body::Empty, StatusCode::SEE_OTHER, &[(LOCATION, &location), (REFERRER_POLICY, "no-referrer")]))
}

/// What was wrong, above what was typed; never the password.
pub(super) fn page_again(
    gateway: &Gateway,
    target: &Target,
    exchange: &mut Exchange<'_>,
    (username, rd): (&str, &ReturnTarget),
    rejection: &Rejection,
) -> Response<Body> {
    answer_with(exchange, rejection, |exchange, answer| {
        let problem = Some(Problem { what: answer.detail, retry_after: answer.retry_after_seconds() });
        let page = SignInPage { site: &target.host, action: SIGN_IN, rd: rd.as_str(), username, problem };
        gateway.pages.sign_in(answer.status, &page, &exchange.reader())
    })
}

/// RFC 6749 §5.1, without the refresh token.
fn document(gateway: &Gateway, tokens: &IssuedTokens, identity: &Identity) -> Response<Body> {
    let document = json!({
        "access_token": tokens.access.expose(),
        "token_type": "Bearer",
        "expires_in": identity.token.expires_at.since(gateway.clock.now()).as_secs(),
        "sub": identity.token.claims.subject(),
    });
    with_header(Body::full(document.to_string()), StatusCode::OK, &[(CONTENT_TYPE, "application/json")])
}
