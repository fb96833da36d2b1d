//! Why a request is decided about as it is: the journey once more, told step by step.
//!
//! The steps are the journey's own functions, and those that decide are its own order too ([`decide`]); what is added is only
//! that something is written down, and that [somebody who only looks](Look) finds out whose request it is. It goes as far as the
//! request that the application would receive, and sends nothing: no token is spent, no record written, no store touched, nothing
//! counted and no auditor told. So it does not know what only a running gateway does, such as who has signed out.

mod answers;
mod assumed;
mod dry;
mod explanation;
mod found;
mod identity;
mod refused;
mod shown;

use http::Request;

use super::admit::{Target, admit};
use super::exchange::Exchange;
use super::{Connection, Gateway, Rejection, client_certificate, decide, prepare, verify};
use crate::config::Route;
use crate::forwarding::{RequestBody, chain};

pub use assumed::Presented;
pub use explanation::{Answer, Answers, Candidate, Check, Decision, Explanation, Field, Forwarded, Read};

use identity::Look;

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
                refused::tell(&rejection, &mut told);
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
    let target = exchange.note_target(admit(&request, connection)?);
    told.request.host = Some(target.host.to_string());
    told.request.path = Some(target.path.as_str().to_owned());
    certificate(gateway, connection, &target, told);
    client_certificate::refuse_expired(gateway, connection)?;

    // 2 Strip.
    gateway.stripper.strip(request.headers_mut(), connection.peer_trusted);
    found::sites(gateway, &target, told);
    if target.is_own() {
        gateway.router.site(&target.host).ok_or(Rejection::UnknownHost)?;
        told.note("an endpoint of Usher's own answers this, or 404 where there is none: it is not called here");
        return Ok(Decision::Answered);
    }

    // 3 to 6.
    found::routes(gateway, &target, request.method(), told);
    if found::is_only_asked_about(gateway, &target, request.method()) {
        told.note("the route has no upstream: another proxy forwards its requests, and is answered so when it asks");
        verify::refuse_impostor(gateway, &sent)?;
    }
    let found = told.checks.len();
    let mut look = Look { gateway, presented, told, undecided: None };
    let outcome = decide(gateway, connection, &target, &mut request, exchange, &mut look).await;
    let Look { told, undecided, .. } = look;
    if let Some(route) = exchange.route() {
        told.route = Some(route.name.to_string());
        // They come right after the route.
        told.checks.splice(found..found, limits(gateway, route));
    }
    let super::Decision { route, identity, .. } = outcome?;
    if exchange.cors.is_preflight(route) {
        told.checks.push(Check::of("authenticate", "a CORS preflight passes without an identity", true));
    }
    told.reason = undecided;
    let identity = identity.as_ref();
    if told.reason.is_some() && identity.is_none() {
        return Ok(Decision::Unknown);
    }

    // 7 Prepare, or tell the proxy that asks.
    told.forwarded = Some(if route.upstream.is_none() {
        let uri = request.uri().clone();
        let fields = verify::told::fields(gateway, &target, route, identity, request.headers_mut())?;
        shown::told(route, &sent, &uri, &fields)
    } else {
        let prepared = prepare::prepare(gateway, connection, &target, route, identity, request, exchange)?;
        shown::forwarded(gateway, route, &sent, &prepared.request)
    });
    Ok(if told.reason.is_some() { Decision::Unknown } else { Decision::Forwarded })
}

/// What is known of the handshake, where the site asks for something in it.
fn certificate(gateway: &Gateway, connection: &Connection, target: &Target, told: &mut Explanation) {
    let Some(terms) = client_certificate::terms(gateway, &target.host) else { return };
    if connection.asked.is_some() {
        told.checks.push(Check::of("client certificate", terms.asks(), true).seen("shown"));
    } else {
        let seen = "not known here: one that counts, in a handshake for this very site, else 421";
        told.checks.push(Check::of("client certificate", terms.asks(), None).seen(seen));
    }
}

/// How many requests may come. How many have is known to the running gateway alone.
fn limits<'g>(gateway: &'g Gateway, route: &'g Route) -> impl Iterator<Item = Check> + 'g {
    let limits = route.rate_limits.iter().filter_map(|id| gateway.config.rate_limits.get(id.0));
    let seen = "only the running gateway knows how many there were";
    limits.map(move |limit| Check::of("rate limit", limit.to_string(), None).seen(seen))
}
