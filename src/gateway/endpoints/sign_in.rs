//! `/.usher/sign-in`: sends a browser to wherever people of this site sign in.
//!
//! Only a navigation gets there: nothing is minted for a frame, an image, a prefetch or a program (O14, O15).

use std::borrow::Cow;

use http::header::{LOCATION, REFERRER_POLICY};
use http::{Response, StatusCode};
use url::form_urlencoded;

use crate::auth::credentials::Credentials;
use crate::auth::sign_in::{LoopCause, ReturnTarget, SignInError};
use crate::config::{Authentication, IssuerId, SignIn};
use crate::forwarding::Body;
use crate::gateway::admit::Target;
use crate::gateway::answer::with_header;
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection, way_in};

use super::issuer;

/// 302 to the authorization server, to the page of the local issuer, or to the application's own login page. `rd` says where to
/// go then, `issuer` with whom to sign in where the site has several; without it, it is the first one that can. `acr_values` and
/// `max_age` say what sort of sign-in is wanted: one that a route of the site asks for, or the answer is 400. A link of somebody
/// else's must not make one up.
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
    exchange.way_in.return_target = Some(return_target.clone());
    exchange.way_in.issuer = Some(id);
    let asked = asked(gateway, target, query)?;
    let is_plain = asked.is_any();
    if !is_plain {
        exchange.way_in.asked = Some(asked.clone());
    }
    let (found, jar) = (&credentials.cookies, &mut exchange.jar);
    let may_help = match way {
        // The application's own page sees to itself, unless it is asked for more than it may know of.
        SignIn::LoginPage(_) => is_plain || gateway.sign_ins.note_sent(&return_target, found, jar)?,
        SignIn::LocalIssuer | SignIn::AuthorizationServer(_) => !gateway.sign_ins.is_looping(found, jar),
    };
    if !may_help {
        return Err(looping(gateway, target, credentials, issuers, exchange).await);
    }
    let location = match way {
        SignIn::LoginPage(page) => way_in::with_return(page, return_target.as_str()),
        SignIn::LocalIssuer => {
            if !is_plain {
                gateway.sign_ins.note_sent(&return_target, found, jar)?;
            }
            way_in::with_return(issuer::SIGN_IN, return_target.as_str())
        }
        SignIn::AuthorizationServer(_) => {
            gateway.sign_ins.begin(id, (&origin, return_target), asked, found, jar).await?.into()
        }
    };
    Ok(with_header(Body::Empty, StatusCode::FOUND, &[(LOCATION, &location), (REFERRER_POLICY, "no-referrer")]))
}

/// What sort of sign-in the query asks for: exactly what some route of the site does, or nothing.
fn asked(gateway: &Gateway, target: &Target, query: &str) -> Result<Authentication, SignInError> {
    let of_sign_in = |name: &str| name == "acr_values" || name == "max_age";
    if !form_urlencoded::parse(query.as_bytes()).any(|(name, _)| of_sign_in(&name)) {
        return Ok(Authentication::default());
    }
    let said = |name: &str| parameter(query, name).unwrap_or_default();
    let is_asked = |asked: &&Authentication| {
        let max_age = asked.max_age.map(|age| age.as_secs().to_string()).unwrap_or_default();
        !asked.is_any() && said("acr_values") == asked.acr_values.join(" ") && said("max_age") == max_age
    };
    let routes = gateway.router.site(&target.host).into_iter().flat_map(|site| &site.routes);
    routes.map(|route| &route.authentication).find(is_asked).cloned().ok_or(SignInError::NotAskedFor)
}

/// Once more would end as it did the times before. What became of this request, had it been for the application, tells why.
async fn looping(
    gateway: &Gateway,
    target: &Target,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Rejection {
    let outcome = gateway.authenticator.identify(credentials, issuers, false, &mut exchange.jar).await;
    let cause = match LoopCause::of(&outcome, target.secure) {
        LoopCause::SignedIn if exchange.way_in.asked.is_some() => LoopCause::NotAnew,
        cause => cause,
    };
    SignInError::Loop(cause).into()
}

/// The value of a parameter that stands there once.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
    values.next().filter(|_| values.next().is_none()).map(|(_, value)| value)
}
