//! `/.usher/frontchannel-logout`: the issuer's sign-out page shows it in a frame, so that the browser itself brings the session
//! that has to end (OIDC Front-Channel Logout 1.0).
//!
//! Anybody can show such a frame, and no token proves who does. So nothing is noted about sessions in general: what ends is the
//! session of the cookies that come with the request, and only where the issuer's name for it is given rightly. Browsers send
//! those cookies, which are `SameSite=Lax`, to frames of the same site: where issuer and application have a domain in common.
//! For others there is the back channel.

use http::{Response, StatusCode};

use super::sign_in::parameter;
use super::sign_out::FORGET_PAGES;
use crate::auth::authenticate::EndedSession;
use crate::auth::credentials::Credentials;
use crate::config::IssuerId;
use crate::forwarding::Body;
use crate::gateway::Gateway;
use crate::gateway::admit::Target;
use crate::gateway::answer::with_header;
use crate::gateway::audit::{self, By};
use crate::gateway::exchange::Exchange;

/// The path.
pub(super) const FRONTCHANNEL_LOGOUT: &str = "/.usher/frontchannel-logout";

/// 200 whatever came of it (§3): an answer that told would tell everybody whether they have guessed right. It may be framed,
/// and shows nothing. `iss` and `sid` are both needed: register the client with `frontchannel_logout_session_required`.
pub(super) async fn receive(
    gateway: &Gateway,
    target: &Target,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Response<Body> {
    let query = target.query.as_deref().unwrap_or_default();
    let ended = match (parameter(query, "iss"), parameter(query, "sid")) {
        (Some(iss), Some(sid)) => {
            let (found, jar) = (&credentials.cookies, &mut exchange.jar);
            gateway.authenticator.end_named_session((&iss, &sid), found, issuers, jar).await
        }
        _ => Ok(None),
    };
    let headers: &[_] = match &ended {
        Ok(Some(EndedSession { issuer, subject, .. })) => {
            audit::signed_out(exchange, By::FrontChannel, Some(*issuer), subject.as_deref());
            &[FORGET_PAGES]
        }
        Ok(None) => &[],
        Err(error) => {
            audit::not_signed_out(exchange, By::FrontChannel, error);
            &[]
        }
    };
    with_header(Body::Empty, StatusCode::OK, headers)
}
