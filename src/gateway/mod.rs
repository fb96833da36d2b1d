//! The journey of a request, in one function: [`journey`].
//!
//! The order of the steps is the security property (the ordering laws), so it stands in one place. Each step is a small
//! room of its own; any of them may end in a [`Rejection`], which one total match turns into an answer. What the browser
//! must be told about its cookies goes out on every answer, whatever became of the request. Where another proxy serves the
//! request and asks here about it, [`verify`] does the same but the last two steps.

mod access_log;
mod admit;
mod affinity;
mod answer;
mod assertions;
mod audit;
mod authentication;
mod build;
mod build_error;
mod client_certificate;
mod connection;
mod cors;
mod counts;
mod cross_site;
mod deliver;
mod endpoints;
mod exchange;
pub mod explain;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod kept;
mod lasting;
mod measures;
mod media_type;
mod pages;
mod prepare;
mod rate_limits;
mod readiness;
mod recording;
mod refusals;
mod rejection;
mod request_id;
mod request_kind;
mod step_up;
mod strip;
mod trace_context;
mod unsent_form;
mod verify;
mod way_in;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::auth::authenticate::{Authenticator, Identity};
use crate::auth::authorize::authorize;
use crate::auth::credentials::Credentials;
use crate::auth::sign_in::SignIns;
use crate::auth::verify::VerifiedToken;
use crate::clock::Clock;
use crate::config::{Config, IssuerId, Route};
use crate::forwarding::{Body, Forwarder, RequestBody, TrailerFilter, Upstreams};
use crate::routing::Router;

pub use access_log::LoggedBody;
pub use audit::CommandAudit;
pub use build_error::BuildError;
pub use client_certificate::Asked;
pub use connection::Connection;
pub use counts::{Counts, RouteCounts};
pub use kept::examine_state;
pub use measures::IssuerHealth;
pub use pages::{check_pages, page_templates};
pub use readiness::Readiness;
pub use refusals::Refusal;
pub use rejection::Rejection;

use admit::{Target, admit};
use authentication::{Authentication, InEarnest};
use cross_site::refuse_cross_site;
use exchange::Exchange;
use strip::Stripper;

/// Everything that is the same for all requests. Immutable: another configuration is another gateway.
pub struct Gateway {
    config: Arc<Config>,
    clock: Clock,
    router: Router,
    stripper: Arc<Stripper>,
    trailer_filter: TrailerFilter,
    authenticator: Authenticator,
    sign_ins: SignIns,
    upstreams: Arc<Upstreams>,
    assertions: assertions::Assertions,
    pages: pages::Pages,
    unsent_forms: unsent_form::Room,
    rate_limits: rate_limits::RateLimits,
    access_log: access_log::AccessLog,
    counts: Counts,
    request_ids: request_id::RequestIds,
    readiness: Readiness,
    lasting: lasting::Lasting,
}

/// What one server thread has for itself: the connections to the upstreams.
pub struct Worker {
    gateway: Arc<Gateway>,
    forwarder: Forwarder,
}

impl Worker {
    /// A worker of the gateway, with connections of its own.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let forwarder = Forwarder::new(&gateway.upstreams);
        Self { gateway, forwarder }
    }
}

/// Answers one request: never fails, for a failure is an answer too.
pub async fn handle(worker: &Worker, connection: &Connection, request: Request<Incoming>) -> Response<LoggedBody> {
    let gateway = &worker.gateway;
    if connection.questions {
        // Boxed, as most connections never need its place.
        return Box::pin(verify::answer(gateway, connection, request.map(drop))).await;
    }
    let mut exchange = Exchange::begin(gateway, connection, &request);
    let (version, body_timeout) = (request.version(), gateway.config.limits.body_timeout);
    // Boxed: it goes down through the steps, and each future on the way would have two places for it.
    let request = Box::new(request.map(|body| RequestBody::new(body, version, body_timeout)));
    let outcome = journey(worker, connection, request, &mut exchange).await;
    let response = outcome.unwrap_or_else(|rejection| answer::answer(gateway, &mut exchange, &rejection));
    gateway.authenticator.freshen(&mut exchange.jar).await;
    exchange.finish(response)
}

/// The journey. Each numbered step relies on those before it.
async fn journey<'g>(
    worker: &'g Worker,
    connection: &Connection,
    mut request: Box<Request<RequestBody>>,
    exchange: &mut Exchange<'g>,
) -> Result<Response<Body>, Rejection> {
    let gateway = &*worker.gateway;

    // 1 Admit: Host, target and framing are sane, and the path is made canonical once (law 2).
    let target = exchange.note_target(admit(&request, connection)?);
    client_certificate::check(gateway, connection, &target)?;

    // 2 Strip: nobody but Usher says who the user is, on no route and in no spelling (law 1).
    gateway.stripper.strip(request.headers_mut(), connection.peer_trusted);

    // Usher's own paths exist on every site and never reach an application.
    if target.is_own() {
        exchange.note_own_path();
        // Boxed, as other steps are that few requests take: the future of every request has a place for all of them.
        return Box::pin(endpoints::answer(gateway, &target, *request, exchange)).await;
    }

    // 3 to 6: whose request it is, and whether they may.
    let decision = match decide(gateway, connection, &target, &mut request, exchange, &mut InEarnest).await {
        Ok(decision) => decision,
        // What somebody has typed may come back with the refusal.
        Err(refusal) => return Err(unsent_form::keep(gateway, &target, request, exchange, refusal).await),
    };
    let Decision { route, credentials, identity } = &decision;
    let upstream = route.upstream.ok_or(Rejection::NotForwarded)?;

    // 7 Prepare: hop-by-hop out first, then identity in, so that a client cannot name our headers away (law 5).
    let prepared = prepare::prepare(gateway, connection, &target, route, identity.as_ref(), request, exchange)?;

    // 8 Forward, and make the answer safe to hand on.
    let asked = gateway.clock.instant();
    let affinity = affinity::affinity(gateway, upstream, identity.as_ref(), exchange);
    let outcome = worker.forwarder.send(upstream, prepared.request, &route.timeouts, affinity).await;
    exchange.note_upstream(asked);
    deliver::deliver(gateway, route, identity.as_ref(), prepared.client, credentials, outcome?, exchange).await
}

impl Gateway {
    /// By which name the log and the rate limits know who vouches for an identity.
    fn issuer_name<'a>(&'a self, token: &'a VerifiedToken) -> Option<&'a str> {
        match token.issuer {
            IssuerId::CERTIFICATES => token.claims.text("iss"),
            issuer => self.config.issuers.get(issuer.0).map(|issuer| &*issuer.name),
        }
    }
}

/// What has been decided about a request that may pass.
struct Decision<'g> {
    route: &'g Route,
    credentials: Credentials,
    identity: Option<Identity>,
}

/// Steps 3 to 6 of the journey, which are those of a request that [another proxy](verify) asks about as well, and of one that is
/// only [talked about](explain). What is Usher's has been taken out of the request's headers then.
async fn decide<'g, B>(
    gateway: &'g Gateway,
    connection: &Connection,
    target: &Target,
    request: &mut Request<B>,
    exchange: &mut Exchange<'g>,
    authentication: &mut impl Authentication,
) -> Result<Decision<'g>, Rejection> {
    // 3 Find the route: nothing is open by omission (law 3).
    target.check_site(&gateway.router)?;
    let route = exchange.note_route(gateway.router.find(&target.host, &target.path, request.method())?);
    // Before any token is looked at, so that a flood of bad ones costs little.
    rate_limits::count_address(route, exchange)?;

    // 4 Credentials: what is Usher's leaves the request here (law 9).
    let credentials = Credentials::take(request.headers_mut(), gateway.authenticator.names())?
        .with_certificate(client_certificate::identity(connection));
    exchange.note_browser(credentials.cookies.in_browser());
    refuse_cross_site(request, target, route, &credentials)?;

    // 5 Authenticate: verify, or renew and verify the new token the same way (law 4).
    let identity = if exchange.cors.is_preflight(route) {
        None
    } else {
        authentication.whose(&credentials, route, exchange).await?
    };
    exchange.note_identity(identity.as_ref());
    rate_limits::count_identity(route, identity.as_ref(), exchange)?;

    // 6 Authorize: what the route requires of the claims, and then of the sign-in. Where another sign-in would be in vain,
    // nobody is asked for one.
    if let Some(identity) = &identity {
        let claims = &identity.token.claims;
        authorize(claims, &route.require).inspect_err(|_| exchange.note_refused_claims(identity, route))?;
        if !route.authentication.is_any() {
            let outcome = step_up::check(gateway, route, identity, &credentials, exchange);
            outcome.inspect_err(|_| exchange.note_refused_claims(identity, route))?;
        }
    }
    Ok(Decision { route, credentials, identity })
}
