//! Where a request that needs a sign-in is sent, and where the browser comes back to then.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::admit::Target;
use super::exchange::Exchange;
use super::{Gateway, endpoints};
use crate::auth::sign_in::{GO_BACK, ReturnTarget};
use crate::config::{IssuerId, Route, SignIn};

/// Usher's own entrance, which leads on to wherever people sign in.
pub(super) const ENTRANCE: &str = "/.usher/sign-in";

/// Where to sign in for this route: with the first of its issuers where anybody can.
pub(super) fn url(gateway: &Gateway, exchange: &Exchange<'_>, route: &Route) -> Option<String> {
    let target = exchange.target()?;
    let (id, way) = first_way(gateway, &route.issuers)?;
    let back = back(exchange, target);
    Some(match way {
        // It reads `rd` by itself.
        SignIn::LoginPage(page) => with_return(page, &back),
        SignIn::AuthorizationServer(_) | SignIn::LocalIssuer => {
            // Somebody else's session would be none on this route, and the browser go round in circles.
            with_issuer(gateway, target, id, with_return(ENTRANCE, &back))
        }
    })
}

/// Where to sign in once more, with the same issuer. Somebody who navigates comes back to where the sign-in that has failed was
/// to lead, if that is known.
pub(super) fn again(gateway: &Gateway, exchange: &Exchange<'_>) -> String {
    let url = match exchange.return_target.as_ref().filter(|_| exchange.kind.navigation) {
        Some(target) => with_return(ENTRANCE, target.as_str()),
        None => ENTRANCE.to_owned(),
    };
    match (exchange.target(), exchange.sign_in_with) {
        (Some(target), Some(id)) => with_issuer(gateway, target, id, url),
        (None, _) | (_, None) => url,
    }
}

/// The entrance names the issuer unless it is the one that the site would choose by itself.
fn with_issuer(gateway: &Gateway, target: &Target, id: IssuerId, url: String) -> String {
    let of_site = gateway.router.site(&target.host).map(endpoints::issuers).unwrap_or_default();
    let is_default = first_way(gateway, &of_site).is_some_and(|(first, _)| first == id);
    match gateway.config.issuers.get(id.0).filter(|_| !is_default) {
        Some(issuer) => with_parameter(&url, "issuer", &issuer.name),
        None => url,
    }
}

fn first_way<'g>(gateway: &'g Gateway, issuers: &[IssuerId]) -> Option<(IssuerId, SignIn<'g>)> {
    issuers.iter().find_map(|id| Some((*id, gateway.config.issuers.get(id.0)?.sign_in()?)))
}

/// Somebody who navigates comes back to where they wanted to go. What a form sends is not sent again by going there, and what
/// a script asks for is no page: they come back to the page that they were on. Where the page of the refusal has kept the form,
/// it stays open, and whoever has signed in beside it is sent back to it. A program may have put a token into its query,
/// which the body of an answer must not repeat (law 8).
fn back(exchange: &Exchange<'_>, target: &Target) -> String {
    if exchange.unsent.is_some() {
        return GO_BACK.to_owned();
    }
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
    with_parameter(page, "rd", back)
}

fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
}
