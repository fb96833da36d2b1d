//! What is known of one request while it travels, beside the request itself: its id, its kind, the cookies that its
//! browser must be told about, and the facts for the access log.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LENGTH, EXPIRES, PRAGMA, REFERER, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};

use super::access_log::{LoggedBody, Record, Stretch};
use super::admit::Target;
use super::cors::Cors;
use super::counts::Counting;
use super::pages::Reader;
use super::rate_limits::{self, Standings};
use super::refusals;
use super::request_kind::RequestKind;
use super::trace_context::TraceContext;
use super::unsent_form::UnsentForm;
use super::way_in::WayIn;
use super::{Connection, Gateway};
use crate::auth::authenticate::Identity;
use crate::auth::cookies::InBrowser;
use crate::auth::session_cookies::CookieJar;
use crate::clock::Clock;
use crate::config::Route;
use crate::forwarding::Body;
use crate::forwarding::forwarded::client_address;
use crate::oauth::Claims;

/// One request under way.
pub(super) struct Exchange<'g> {
    gateway: &'g Gateway,
    /// What kind of request it is.
    pub(super) kind: RequestKind,
    /// What the browser is told about its cookies, whatever the answer is (law 6).
    pub(super) jar: CookieJar,
    /// Who asks, as the trusted proxies say where there are some.
    pub(super) client: IpAddr,
    /// The sign-in that is under way, or that would let somebody in.
    pub(super) way_in: WayIn,
    /// The form that was not delivered, where its page is to keep it.
    pub(super) unsent: Option<Box<UnsentForm>>,
    /// How it stands with the rate limits that were come to.
    pub(super) standings: Standings,
    /// Whether its answer has no body, whatever it says: that of a `HEAD`.
    pub(super) bodyless: bool,
    /// What the access log will say.
    pub(super) record: Box<Record>,
    /// Whether an auditor is told what becomes of it, and the log of trouble: not of a request that is only talked about.
    pub(super) is_audited: bool,
    counting: Counting<'g>,
    route: Option<&'g Route>,
    /// Which scripts may have its answer.
    pub(super) cors: Cors,
    referer: Option<HeaderValue>,
    /// What the route asks about of the claims that were refused.
    refused_claims: Option<Box<Claims>>,
    /// Looked at for people only, and only where there are several languages.
    accept_language: Option<HeaderValue>,
}

impl<'g> Exchange<'g> {
    /// Notes what can be known before anything is checked.
    pub(super) fn begin<B>(gateway: &'g Gateway, connection: &Connection, request: &Request<B>) -> Self {
        let headers = request.headers();
        let peer = connection.client.ip().to_canonical();
        let client = client_address(headers, peer, &gateway.config.trusted_proxies);
        let name = if client == peer { Arc::clone(&connection.client_name) } else { client.to_string().into() };
        let id = gateway.request_ids.of(headers, connection);
        let kind = RequestKind::of(request.method(), headers);
        let asks_for_language = kind.navigation && gateway.pages.has_languages();
        let mut record = Box::new(Record::begin(id, name, request, gateway.clock.instant()));
        let spans = gateway.lasting.spans.as_ref().map(|spans| (spans, &gateway.clock));
        let trace = |tracing| TraceContext::of(headers, connection, tracing, spans);
        record.trace = gateway.config.tracing.as_ref().and_then(trace);
        Self {
            gateway,
            kind,
            jar: CookieJar::new(InBrowser::default()),
            client,
            way_in: WayIn::default(),
            unsent: None,
            standings: Standings::default(),
            bodyless: *request.method() == Method::HEAD,
            record,
            is_audited: true,
            counting: gateway.counts.begin(),
            route: None,
            cors: Cors::of(request),
            referer: headers.get(REFERER).cloned(),
            refused_claims: None,
            accept_language: headers.get(ACCEPT_LANGUAGE).filter(|_| asks_for_language).cloned(),
        }
    }

    /// The same for a request that is only talked about: it is not counted, and no auditor is told of it.
    pub(super) fn hypothetical<B>(gateway: &'g Gateway, connection: &Connection, request: &Request<B>) -> Self {
        let mut exchange = Self::begin(gateway, connection, request);
        exchange.counting.cancel();
        exchange.standings = Standings::of_hypothetical();
        exchange.is_audited = false;
        exchange
    }

    /// Notes the canonical target.
    pub(super) fn note_target(&mut self, target: Target) -> Arc<Target> {
        Arc::clone(self.record.target.insert(Arc::new(target)))
    }

    /// Notes that it is for one of Usher's own paths.
    pub(super) fn note_own_path(&mut self) {
        self.gateway.counts.note_own_path(&mut self.counting);
    }

    /// Notes the route that won.
    pub(super) fn note_route(&mut self, route: &'g Route) -> &'g Route {
        self.record.route = Some(Arc::clone(&route.name));
        self.gateway.counts.note_route(route.id, &mut self.counting);
        self.route = Some(route);
        if let Some(recording) = self.record.recording() {
            recording.note_route(route);
        }
        route
    }

    /// Notes which cookies the browser has.
    pub(super) fn note_browser(&mut self, browser: InBrowser) {
        self.jar = CookieJar::new(browser);
    }

    /// Notes who it is.
    pub(super) fn note_identity(&mut self, identity: Option<&Identity>) {
        let Some(identity) = identity else { return };
        self.record.source = Some(identity.source);
        let named = self.gateway.config.issuers.get(identity.token.issuer.0).map(|issuer| Arc::clone(&issuer.name));
        self.record.issuer = named.or_else(|| self.gateway.issuer_name(&identity.token).map(Arc::from));
        let subject = || identity.token.claims.subject().and_then(|subject| self.gateway.access_log.subject(subject));
        self.record.subject.clone_from(identity.token.logged_as.get_or_init(subject));
    }

    /// Notes that these claims are not what the route requires.
    pub(super) fn note_refused_claims(&mut self, identity: &Identity, route: &Route) {
        self.refused_claims = refusals::kept_claims(self.gateway.config.log.subject, &identity.token.claims, route);
    }

    /// Notes that the upstream, which was asked then, has answered or failed to.
    pub(super) fn note_upstream(&mut self, asked: std::time::Instant) {
        self.record.upstream = Some(self.stretch(asked));
        let asked = self.route.and_then(|route| self.gateway.config.upstreams.get(route.upstream?.0));
        if let (Some(upstream), Some(recording)) = (asked, self.record.recording()) {
            recording.note_upstream(upstream);
        }
    }

    /// Notes that authentication, which has `started` then, has come to its end: a renewal is the issuer's time, not ours.
    pub(super) fn note_authentication(&mut self, started: std::time::Instant) {
        self.record.authentication = self.stretch(started);
        self.record.waited = self.jar.waited;
    }

    /// From then until now.
    fn stretch(&self, from: std::time::Instant) -> Stretch {
        let (after, took) = (from.saturating_duration_since(self.record.started), self.clock().instant());
        Stretch { after, took: took.saturating_duration_since(from) }
    }

    /// The gateway that it came to.
    pub(super) const fn gateway(&self) -> &'g Gateway {
        self.gateway
    }

    pub(super) const fn clock(&self) -> &'g Clock {
        &self.gateway.clock
    }

    /// The route, once it is known.
    pub(super) const fn route(&self) -> Option<&'g Route> {
        self.route
    }

    /// The target, once it is known.
    pub(super) fn target(&self) -> Option<&Target> {
        self.record.target.as_deref()
    }

    /// The page that the request came from, as it says.
    pub(super) fn referer(&self) -> Option<&str> {
        self.referer.as_ref()?.to_str().ok()
    }

    /// The id of this request.
    pub(super) fn id(&self) -> &str {
        self.record.id.as_str()
    }

    /// Whoever looks at a page.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { request_id: self.id(), accept_language: self.accept_language.as_ref() }
    }

    /// Gives the answer what every answer gets, and hands the facts over to the access log, which writes its line when the
    /// body has gone out.
    pub(super) fn finish(mut self, mut response: Response<Body>) -> Response<LoggedBody> {
        if self.bodyless {
            response = without_body(response);
        }
        let headers = response.headers_mut();
        if self.jar.lines().next().is_some() {
            forbid_storing(headers);
            for line in self.jar.lines() {
                headers.append(SET_COOKIE, line.clone());
            }
            self.record.cookies = true;
        }
        if !self.standings.is_empty() {
            rate_limits::add(&self, headers);
        }
        self.record.id.write(headers);
        self.record.status = response.status();
        self.record.head_after = self.clock().instant().saturating_duration_since(self.record.started);
        self.counting.answered(&self.record.answered());
        if self.record.refusal.is_some() && !self.record.is_sent_to_sign_in() {
            let (navigation, claims) = (self.kind.navigation, self.refused_claims.take());
            self.gateway.lasting.refusals.keep(self.clock().now(), &self.record, navigation, claims);
        }
        response.map(|body| LoggedBody::new(body, self.record))
    }
}

/// An answer of Usher's own to `HEAD`: what the answer to `GET` would say (RFC 9110 §9.3.2). The application's has no body as
/// it is. hyper leaves one out over HTTP/1.1 only: over HTTP/2, bytes after this head are a stream error.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let Body::Full(Some(bytes)) = &body else { return Response::from_parts(head, body) };
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(head, Body::Empty)
}

/// `Set-Cookie` does not keep a shared cache from storing an answer (RFC 9111 §7.3), so law 10 is said in every way that
/// caches listen to.
fn forbid_storing(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    // What speaks to one make of cache takes precedence there (RFC 9213 §2.2), under whatever name it has next.
    let targeted = |name: &HeaderName| *name != CACHE_CONTROL && name.as_str().ends_with("cache-control");
    let targeted: Vec<_> = headers.keys().filter(|name| targeted(name)).cloned().collect();
    for name in targeted {
        headers.remove(name);
    }
    for name in ["surrogate-control", "edge-control", "x-accel-expires"] {
        headers.remove(name);
    }
    headers.remove(EXPIRES);
    headers.remove(PRAGMA);
}
