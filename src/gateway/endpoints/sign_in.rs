//! `/.usher/sign-in`: sends a browser to wherever people of this site sign in.
//!
//! Only a navigation gets there: nothing is minted for a frame, an image, a prefetch or a program (O14, O15).

use std::borrow::Cow;

use http::header::{LOCATION, REFERRER_POLICY};
use http::{Response, StatusCode};
use url::form_urlencoded;

use crate::auth::credentials::Credentials;
use crate::auth::sign_in::{LoopCause, ReturnTarget, SignInError};
use crate::config::{IssuerId, SignIn};
use crate::forwarding::Body;
use crate::gateway::admit::Target;
use crate::gateway::answer::with_header;
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection, way_in};

use super::issuer;

/// 302 to the authorization server, to the page of the local issuer, or to the application's own login page. `rd` says where to
/// go then, `issuer` with whom to sign in where the site has several; without it, it is the first one that can.
pub(super) async fn begin(
    gateway: &Gateway,
    target: &Target,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    if !exchange.kind.navigation {
        return Err(SignInError::NoNavigation.into());
    }
    let query = target.query.as_deref().unwrap_or_default();
    let wanted = parameter(query, "issuer");
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
    let mut ways = issuers.iter().filter_map(|id| Some((*id, gateway.config.issuers.get(id.0)?)));
    let (id, way) = ways
        .find_map(|(id, issuer)| Some((id, issuer.sign_in().filter(|_| is_wanted(&issuer.name))?)))
        .ok_or(SignInError::NotOffered)?;
    let origin = target.origin();
    let return_target = ReturnTarget::parse(&parameter(query, "rd").unwrap_or_default(), &origin);
    exchange.return_target = Some(return_target.clone());
    exchange.sign_in_with = Some(id);
    let location = match way {
        SignIn::LoginPage(page) => way_in::with_return(page, return_target.as_str()),
        SignIn::LocalIssuer => {
            refuse_loop(gateway, target, credentials, issuers, exchange).await?;
            way_in::with_return(issuer::SIGN_IN, return_target.as_str())
        }
        SignIn::AuthorizationServer(_) => {
            refuse_loop(gateway, target, credentials, issuers, exchange).await?;
            let (found, jar) = (&credentials.cookies, &mut exchange.jar);
            gateway.sign_ins.begin(id, &origin, return_target, found, jar).await?.into()
        }
    };
    Ok(with_header(Body::Empty, StatusCode::FOUND, &[(LOCATION, &location), (REFERRER_POLICY, "no-referrer")]))
}

/// Once more would end as it did the times before. What became of this request, had it been for the application, tells why.
async fn refuse_loop(
    gateway: &Gateway,
    target: &Target,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Result<(), Rejection> {
    if !gateway.sign_ins.is_looping(&credentials.cookies, &mut exchange.jar) {
        return Ok(());
    }
    let outcome = gateway.authenticator.identify(credentials, issuers, false, &mut exchange.jar).await;
    Err(SignInError::Loop(LoopCause::of(&outcome, target.secure)).into())
}

/// The value of a parameter that stands there once.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
    values.next().filter(|_| values.next().is_none()).map(|(_, value)| value)
}
