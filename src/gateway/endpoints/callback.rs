//! `/.usher/callback`: the redirect URI, where browsers come back to from the authorization server (RFC 6749 §3.1.2).

use http::header::{LOCATION, REFERRER_POLICY};
use http::{Response, StatusCode};

use crate::auth::credentials::Credentials;
use crate::auth::sign_in::{ReturnTarget, SignInError};
use crate::config::IssuerId;
use crate::forwarding::Body;
use crate::gateway::admit::Target;
use crate::gateway::answer::with_header;
use crate::gateway::audit::{self, Way};
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection};

/// 303 to where the browser wanted to go, with a new session. The code in this URL must not be passed on as a referrer (X11).
pub(super) async fn complete(
    gateway: &Gateway,
    target: &Target,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    let query = target.query.as_deref().unwrap_or_default();
    let (found, jar) = (&credentials.cookies, &mut exchange.jar);
    let returned = gateway.sign_ins.take(query, &target.origin(), found, jar)?;
    exchange.way_in.return_target = Some(returned.return_target().clone());
    exchange.way_in.asked = Some(returned.asked()).filter(|asked| !asked.is_any()).cloned();
    let asked =
        |id: &IssuerId| gateway.config.issuers.get(id.0).is_some_and(|issuer| *issuer.name == *returned.issuer());
    exchange.way_in.issuer = issuers.iter().copied().find(asked);
    let completed = match gateway.sign_ins.complete(returned).await {
        Err(SignInError::Repeated) => return repeated(gateway, credentials, issuers, exchange).await,
        outcome => outcome?,
    };
    if !issuers.contains(&completed.issuer) {
        return Err(SignInError::OtherSite.into());
    }
    let successor = completed.successor();
    let identity = gateway
        .authenticator
        .begin_session(completed.issuer, &successor, found, jar)
        .await
        .map_err(Rejection::NotBegun)?;
    gateway.sign_ins.note_completed(&completed, jar)?;
    exchange.note_identity(Some(&identity));
    audit::signed_in(exchange, Way::AuthorizationCode, &identity);
    Ok(go_on(&completed.return_target))
}

/// Somebody has reloaded this page. Who has a session by now is where they wanted to be; nobody gets one here.
async fn repeated(
    gateway: &Gateway,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    let outcome = gateway.authenticator.identify(credentials, issuers, false, &mut exchange.jar).await;
    match (outcome, &exchange.way_in.return_target) {
        (Ok(identity), Some(target)) => {
            let response = go_on(target);
            exchange.note_identity(Some(&identity));
            Ok(response)
        }
        _ => Err(SignInError::Repeated.into()),
    }
}

fn go_on(target: &ReturnTarget) -> Response<Body> {
    let headers = [(LOCATION, target.as_str()), (REFERRER_POLICY, "no-referrer")];
    with_header(Body::Empty, StatusCode::SEE_OTHER, &headers)
}
