//! Why a request is decided about as it is: the journey once more, told step by step.
//!
//! Each step is the function that the journey itself calls, in the same order; what is added is only that something is
//! written down. It goes as far as the request that the application would receive, and sends nothing: no token is spent, no
//! record written, no store touched, nothing counted and no auditor told. So it does not know what only a running gateway does, such as who has signed out.

mod answers;
mod assumed;
mod dry;
mod explanation;
mod found;
mod identity;
mod shown;

use http::Request;

use super::admit::{Target, admit};
use super::cross_site::refuse_cross_site;
use super::exchange::Exchange;
use super::{Connection, Gateway, Rejection, client_certificate, prepare, step_up, verify};
use crate::auth::authenticate::Identity;
use crate::auth::authorize::{authorize, is_met};
use crate::auth::credentials::Credentials;
use crate::config::Route;
use crate::forwarding::{RequestBody, chain};

pub use assumed::Presented;
pub use explanation::{Answer, Answers, Candidate, Check, Decision, Explanation, Field, Forwarded, Read};

use identity::Known;

impl Gateway {
    /// What would become of a request on this connection, and why. Its body is not looked at.
    pub async fn explain(&self, connection: &Connection, request: Request<()>, presented: &Presented) -> Explanation {
        let mut told = Explanation::default();
        let request = Box::new(request.map(|()| RequestBody::empty()));
        let mut exchange = Exchange::hypothetical(self, connection, &request);
        request.method().as_str().clone_into(&mut told.request.method);
        told.request.navigation = exchange.kind.navigation;
        match retrace(self, connection, request, presented, &mut exchange, &mut told).await {
            Ok(decision) => told.decision = decision,
            Err(rejection) => {
                told.decision = Decision::Refused;
                told.reason = Some(chain(&rejection));
                let navigates = exchange.kind.navigation;
                let answers = answers::both(self, &mut exchange, &rejection);
                let own = if navigates { &answers.browser } else { &answers.program };
                told.status = Some(own.status);
                told.answers = Some(answers);
            }
        }
        told
    }
}

/// The journey, up to where the application is asked. Compare [`journey`](super::journey).
async fn retrace<'g>(
    gateway: &'g Gateway,
    connection: &Connection,
    mut request: Box<Request<RequestBody>>,
    presented: &Presented,
    exchange: &mut Exchange<'g>,
    told: &mut Explanation,
) -> Result<Decision, Rejection> {
    let sent = request.headers().clone();

    // 1 Admit.
    let target =
        exchange.note_target(admit(&request, connection).inspect_err(|_| told.check("admit", "request", false))?);
    told.request.host = Some(target.host.to_string());
    told.request.path = Some(target.path.as_str().to_owned());
    certificate(gateway, connection, &target, told);
    client_certificate::refuse_expired(gateway, connection)
        .inspect_err(|_| told.check("admit", "the client certificate is in its time", false))?;

    // 2 Strip.
    gateway.stripper.strip(request.headers_mut(), connection.peer_trusted);
    found::sites(gateway, &target, told);
    if target.is_own() {
        gateway.router.site(&target.host).ok_or(Rejection::UnknownHost)?;
        told.note("an endpoint of Usher's own answers this, or 404 where there is none: it is not called here");
        return Ok(Decision::Answered);
    }

    // 3 Find the route.
    found::routes(gateway, &target, request.method(), told);
    target.check_site(&gateway.router).inspect_err(|_| told.check("route", "X-Forwarded-Host", false))?;
    let route = exchange.note_route(gateway.router.find(&target.host, &target.path, request.method())?);
    told.route = Some(route.name.to_string());
    limits(gateway, route, told);
    if route.upstream.is_none() {
        told.note("the route has no upstream: another proxy forwards its requests, and is answered so when it asks");
        verify::refuse_impostor(gateway, &sent).inspect_err(|_| told.check("route", "fields of the client", false))?;
    }

    // 4 Credentials.
    let credentials = Credentials::take(request.headers_mut(), gateway.authenticator.names())
        .inspect_err(|error| told.compare("credentials", "one credential", false, (None, Some(error.to_string()))))?
        .with_certificate(client_certificate::identity(connection));
    exchange.note_browser(credentials.cookies.in_browser());
    refuse_cross_site(&request, &target, route, &credentials)
        .inspect_err(|_| told.check("credentials", "sent by the site itself", false))?;

    // 5 Authenticate.
    let known = if exchange.is_preflight(route) {
        told.check("authenticate", "a CORS preflight passes without an identity", true);
        Known::nobody()
    } else {
        identity::find(gateway, &credentials, presented, route, exchange, told).await?
    };
    exchange.note_identity(known.identity.as_ref());

    // 6 Authorize.
    if let Some(identity) = &known.identity {
        conditions(identity, route, told);
        authorize(&identity.token.claims, &route.require)?;
        if !route.authentication.is_any() {
            let outcome = step_up::check(gateway, route, identity, &credentials, exchange);
            sign_in(identity, route, outcome.is_ok(), told);
            outcome?;
        }
    }
    if let Some(reason) = known.undecided {
        told.reason = Some(reason);
        if known.identity.is_none() {
            return Ok(Decision::Unknown);
        }
    }

    // 7 Prepare, or tell the proxy that asks.
    let identity = known.identity.as_ref();
    let forwarded = if route.upstream.is_none() {
        let uri = request.uri().clone();
        verify::told::fields(gateway, &target, route, identity, request.headers_mut())
            .map(|fields| shown::told(route, &sent, &uri, &fields))
    } else {
        prepare::prepare(gateway, connection, &target, route, identity, request, exchange)
            .map(|prepared| shown::forwarded(gateway, route, &sent, &prepared.request))
    };
    told.forwarded = Some(forwarded.inspect_err(|error| {
        told.compare("prepare", "the identity in headers", false, (None, Some(chain(error))));
    })?);
    Ok(if told.reason.is_some() { Decision::Unknown } else { Decision::Forwarded })
}

/// What is known of the handshake, where the site asks for something in it.
fn certificate(gateway: &Gateway, connection: &Connection, target: &Target, told: &mut Explanation) {
    let Some(terms) = client_certificate::terms(gateway, &target.host) else { return };
    if connection.asked.is_some() {
        told.compare("client certificate", terms.asks(), true, (None, Some("shown".to_owned())));
    } else {
        let seen = "not known here: one that counts, in a handshake for this very site, else 421".to_owned();
        told.compare("client certificate", terms.asks(), None, (None, Some(seen)));
    }
}

/// How many requests may come. How many have is known to the running gateway alone.
fn limits(gateway: &Gateway, route: &Route, told: &mut Explanation) {
    for limit in route.rate_limits.iter().filter_map(|id| gateway.config.rate_limits.get(id.0)) {
        let seen = "only the running gateway knows how many there were".to_owned();
        told.compare("rate limit", limit.to_string(), None, (None, Some(seen)));
    }
}

/// Each condition on the claims, and what the token says.
fn conditions(identity: &Identity, route: &Route, told: &mut Explanation) {
    let claims = &identity.token.claims;
    for condition in &route.require {
        let seen = claims.at(&condition.claim).map_or_else(|| "no such claim".to_owned(), shown::claim);
        let holds = is_met(claims, condition);
        told.compare("authorize", condition.to_string(), holds, (None, Some(seen)));
    }
}

/// How, and when, the user has signed in.
fn sign_in(identity: &Identity, route: &Route, holds: bool, told: &mut Explanation) {
    let claims = &identity.token.claims;
    let claim = |name: &str| claims.0.get(name).map(|value| format!("{name} {}", shown::claim(value)));
    let seen: Vec<_> = ["acr", "auth_time"].into_iter().filter_map(claim).collect();
    let seen = if seen.is_empty() { "the token says nothing of it".to_owned() } else { seen.join(", ") };
    told.compare("authorize", route.authentication.to_string(), holds, (None, Some(seen)));
}
