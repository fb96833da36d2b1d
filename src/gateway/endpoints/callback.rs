//! `/.usher/callback`: the redirect URI, where browsers come back to from the authorization server (RFC 6749 §3.1.2).

use http::header::{LOCATION, REFERRER_POLICY};
use http::{Response, StatusCode};

use crate::auth::credentials::Credentials;
use crate::auth::sign_in::SignInError;
use crate::config::IssuerId;
use crate::forwarding::Body;
use crate::gateway::admit::Target;
use crate::gateway::answer::with_header;
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
    exchange.return_target = Some(returned.return_target().clone());
    let completed = gateway.sign_ins.complete(returned).await?;
    if !issuers.contains(&completed.issuer) {
        return Err(SignInError::OtherSite.into());
    }
    let successor = completed.successor();
    let identity = gateway.authenticator.begin_session(completed.issuer, &successor, found, jar).await?;
    gateway.sign_ins.note_completed(&completed, jar)?;
    exchange.note_identity(Some(&identity));
    let location = completed.return_target.as_str();
    Ok(with_header(Body::Empty, StatusCode::SEE_OTHER, &[(LOCATION, location), (REFERRER_POLICY, "no-referrer")]))
}
