//! Where a request that needs a sign-in is sent, and where the browser comes back to then.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::admit::Target;
use super::exchange::Exchange;
use super::{Gateway, endpoints};
use crate::auth::sign_in::{GO_BACK, ReturnTarget};
use crate::config::{Authentication, IssuerId, Route, SignIn};

/// Usher's own entrance, which leads on to wherever people sign in.
pub(super) const ENTRANCE: &str = "/.usher/sign-in";

/// A sign-in: one that is under way, or that would let somebody in.
#[derive(Debug, Default)]
pub(super) struct WayIn {
    /// Where it leads to.
    pub(super) return_target: Option<ReturnTarget>,
    /// With whom it is.
    pub(super) issuer: Option<IssuerId>,
    /// What it must be.
    pub(super) asked: Option<Authentication>,
}

/// Where to sign in for this route, and in the way that it asks for at once: with the first of its issuers where anybody can.
/// Whoever is signed in, but must sign in anew, stays with their own, if that is one.
pub(super) fn url(gateway: &Gateway, exchange: &Exchange<'_>, route: &Route) -> Option<String> {
    let target = exchange.target()?;
    let (id, way) =
        first_way(gateway, exchange.way_in.issuer.as_slice()).or_else(|| first_way(gateway, &route.issuers))?;
    let back = back(exchange, target);
    Some(match way {
        // It reads `rd` by itself.
        SignIn::LoginPage(page) if route.authentication.is_any() => with_return(page, &back),
        // The entrance sees to it that nobody is sent to a login page again and again who gets no more there.
        SignIn::LoginPage(_) | SignIn::AuthorizationServer(_) | SignIn::LocalIssuer => {
            entrance(gateway, target, Some(&back), Some(id), Some(&route.authentication))
        }
    })
}

/// Where to sign in once more, with the same issuer and in the way that was asked for. Somebody who navigates comes back to
/// where the sign-in that has failed was to lead, if that is known.
pub(super) fn again(gateway: &Gateway, exchange: &Exchange<'_>) -> String {
    let WayIn { return_target, issuer, asked } = &exchange.way_in;
    let back = return_target.as_ref().filter(|_| exchange.kind.navigation).map(ReturnTarget::as_str);
    match exchange.target() {
        Some(target) => entrance(gateway, target, back, *issuer, asked.as_ref()),
        None => ENTRANCE.to_owned(),
    }
}

/// The entrance, with what is asked of the sign-in. Names the issuer where it would take another one: somebody else's session
/// would be none on the route, and the browser go round in circles.
fn entrance(
    gateway: &Gateway,
    target: &Target,
    back: Option<&str>,
    issuer: Option<IssuerId>,
    asked: Option<&Authentication>,
) -> String {
    let mut url = ENTRANCE.to_owned();
    let mut add = |name, value: &str| url = with_parameter(&url, name, value);
    if let Some(back) = back {
        add("rd", back);
    }
    if let Some(Authentication { acr_values, max_age }) = asked {
        if !acr_values.is_empty() {
            add("acr_values", &acr_values.join(" "));
        }
        if let Some(max_age) = max_age {
            add("max_age", &max_age.as_secs().to_string());
        }
    }
    let of_site = gateway.router.site(&target.host).map(endpoints::issuers).unwrap_or_default();
    let default = first_way(gateway, &of_site).map(|(id, _)| id);
    if let Some(issuer) = issuer.filter(|id| Some(*id) != default).and_then(|id| gateway.config.issuers.get(id.0)) {
        add("issuer", &issuer.name);
    }
    url
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
