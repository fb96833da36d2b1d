//! Where a request that needs a sign-in is sent, and where the browser comes back to then.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::admit::Target;
use super::exchange::Exchange;
use super::step_up::StepUp;
use super::{Gateway, endpoints};
use crate::auth::sign_in::ReturnTarget;
use crate::config::{Authentication, IssuerId, Route, SignIn};

/// Usher's own entrance, which leads on to wherever people sign in.
pub(super) const ENTRANCE: &str = "/.usher/sign-in";

/// Where to sign in for this route, and in the way that it asks for at once: with the first of its issuers where anybody can.
/// Whoever is signed in, but must sign in anew, stays with their own, if that is one.
pub(super) fn url(gateway: &Gateway, exchange: &Exchange<'_>, route: &Route) -> Option<String> {
    let target = exchange.target()?;
    let own = exchange.step_up.as_ref().and_then(|step_up| step_up.issuer);
    let (id, way) = first_way(gateway, own.as_slice()).or_else(|| first_way(gateway, &route.issuers))?;
    let back = back(exchange, target);
    Some(match way {
        // It reads `rd` by itself.
        SignIn::LoginPage(page) if route.authentication.is_any() => with_return(page, &back),
        // The entrance sees to it that nobody is sent to a login page again and again who gets no more there.
        SignIn::LoginPage(_) | SignIn::AuthorizationServer(_) | SignIn::LocalIssuer => {
            entrance(gateway, target, &back, Some(id), &route.authentication)
        }
    })
}

/// Where to sign in once more. Somebody who navigates comes back to where the sign-in that has failed was to lead, if that is
/// known.
pub(super) fn again(gateway: &Gateway, exchange: &Exchange<'_>) -> String {
    let back = exchange.return_target.as_ref().filter(|_| exchange.kind.navigation);
    match (back, exchange.target(), &exchange.step_up) {
        (Some(back), Some(target), Some(StepUp { asked, issuer })) => {
            entrance(gateway, target, back.as_str(), *issuer, asked)
        }
        (Some(back), _, _) => with_return(ENTRANCE, back.as_str()),
        (None, _, _) => ENTRANCE.to_owned(),
    }
}

/// The entrance, with what is asked of the sign-in. Names the issuer where it would take another one: somebody else's session
/// would be none on the route, and the browser go round in circles.
fn entrance(
    gateway: &Gateway,
    target: &Target,
    back: &str,
    issuer: Option<IssuerId>,
    asked: &Authentication,
) -> String {
    let mut url = with_return(ENTRANCE, back);
    if !asked.acr_values.is_empty() {
        let values = asked.acr_values.join(" ");
        url.extend(["&acr_values=", &utf8_percent_encode(&values, NON_ALPHANUMERIC).to_string()]);
    }
    url.extend(asked.max_age.map(|max_age| format!("&max_age={}", max_age.as_secs())));
    let of_site = gateway.router.site(&target.host).map(endpoints::issuers).unwrap_or_default();
    let default = first_way(gateway, &of_site).map(|(id, _)| id);
    let named = issuer.filter(|id| Some(*id) != default).and_then(|id| gateway.config.issuers.get(id.0));
    url.extend(named.map(|issuer| format!("&issuer={}", issuer.name)));
    url
}

fn first_way<'g>(gateway: &'g Gateway, issuers: &[IssuerId]) -> Option<(IssuerId, SignIn<'g>)> {
    issuers.iter().find_map(|id| Some((*id, gateway.config.issuers.get(id.0)?.sign_in()?)))
}

/// Somebody who navigates comes back to where they wanted to go. What a form sends is not sent again by going there, and what
/// a script asks for is no page: they come back to the page that they were on. A program may have put a token into its query,
/// which the body of an answer must not repeat (law 8).
fn back(exchange: &Exchange<'_>, target: &Target) -> String {
    let is_get = exchange.record.method == Method::GET;
    if is_get && exchange.kind.navigation {
        return target.path_and_query(target.path.as_str());
    }
    match exchange.referer() {
        Some(referer) => ReturnTarget::of_url(referer, &target.origin()).as_str().to_owned(),
        None if is_get => target.path.as_str().to_owned(),
        None => ReturnTarget::front_page().as_str().to_owned(),
    }
}

/// The address of a page, with where to go from there.
pub(super) fn with_return(page: &str, back: &str) -> String {
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}rd={}", utf8_percent_encode(back, NON_ALPHANUMERIC))
}
