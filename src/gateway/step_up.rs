//! The part of step 6 that asks how, and how recently, somebody has signed in (RFC 9470).

use http::Method;

use super::exchange::Exchange;
use super::{Gateway, Rejection};
use crate::auth::authenticate::Identity;
use crate::auth::credentials::Credentials;
use crate::auth::sign_in::{ReturnTarget, SignInError};
use crate::config::{IssuerId, Route};

/// Passes whoever has signed in as the route wants. Everybody else is asked to; but a browser that has just been asked, and
/// comes back with less, gets a page that says so instead of going round in circles.
pub(super) fn check(
    gateway: &Gateway,
    route: &Route,
    identity: &Identity,
    credentials: &Credentials,
    exchange: &mut Exchange<'_>,
) -> Result<(), Rejection> {
    let outcome = gateway.authenticator.check_sign_in(identity, &route.authentication);
    let Err(insufficient) = outcome else {
        gateway.sign_ins.forget_sent(&credentials.cookies, &mut exchange.jar);
        return Ok(());
    };
    exchange.way_in.asked = Some(route.authentication.clone());
    // Nobody signs in with a certificate: the first issuer of the route would do.
    exchange.way_in.issuer = Some(identity.token.issuer).filter(|issuer| *issuer != IssuerId::CERTIFICATES);
    let is_back = |began_at| gateway.sign_ins.is_back(&credentials.cookies, began_at, &mut exchange.jar);
    let navigates = exchange.kind.navigation && exchange.record.method == Method::GET && credentials.by_cookie();
    if navigates && identity.began_at().is_some_and(is_back) {
        let to = |target: &super::admit::Target| {
            ReturnTarget::parse(&target.path_and_query(target.path.as_str()), &target.origin())
        };
        exchange.way_in.return_target = exchange.target().map(to);
        return Err(SignInError::UnmetHere(insufficient).into());
    }
    Err(insufficient.into())
}
