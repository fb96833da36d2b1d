//! What a collector is told of one request: the whole of it, and within that the waits for others.
//!
//! The times are those that the access log has measured, and so are the facts, less the subject. Names are those of
//! OpenTelemetry's conventions for HTTP (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>) where it has one. Never
//! a query, a token or a cookie (law 8).

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use http::{Method, StatusCode, Version};

use super::access_log::{Record, Stretch};
use crate::auth::authenticate::Source;
use crate::auth::session_cookies::Waited;
use crate::clock::{Clock, time_of_day};
use crate::config::{Route, Upstream, UpstreamAddress};
use crate::traces::{Kind, Span, Spans, Value};

/// An authentication that took longer than this has waited for somebody: the store, an issuer's keys, introspection.
const WAITED: Duration = Duration::from_millis(1);

/// Begun with the request, sent with its end.
#[derive(Debug)]
pub(super) struct Recording {
    spans: Spans,
    clock: Clock,
    trace: u128,
    parent: Option<u64>,
    /// Of the whole request.
    whole: u64,
    /// Of the part that is the application's.
    forwarded: u64,
    began: SystemTime,
    /// What its route covers.
    route: Option<String>,
    /// The application's address, where it has but one: which of several it was is not told.
    server: Vec<(&'static str, Value)>,
}

impl Recording {
    /// Begins one. `None` where the system gives no randomness: a request does not fail for that.
    pub(super) fn begin(spans: &Spans, clock: &Clock, trace: u128, parent: Option<u64>) -> Option<Self> {
        Some(Self {
            spans: spans.clone(),
            clock: clock.clone(),
            trace,
            parent,
            whole: id()?,
            forwarded: id()?,
            began: time_of_day(),
            route: None,
            server: Vec::new(),
        })
    }

    /// The span that the application's are part of.
    pub(super) const fn forwarded(&self) -> u64 {
        self.forwarded
    }

    /// Notes the route that won.
    pub(super) fn note_route(&mut self, route: &Route) {
        self.route = Some(route.path.to_string());
    }

    /// Notes who was asked.
    pub(super) fn note_upstream(&mut self, upstream: &Upstream) {
        self.server = match upstream.addresses.as_slice() {
            [
                UpstreamAddress::Http { host, port }
                | UpstreamAddress::Https { host, port }
                | UpstreamAddress::H2c { host, port },
            ] => vec![
                ("server.address", host.trim_matches(['[', ']']).into()),
                ("server.port", Value::Number(i64::from(*port))),
            ],
            [UpstreamAddress::Unix(path)] => vec![("server.address", (&*path.to_string_lossy()).into())],
            _ => Vec::new(),
        };
    }

    /// Hands it over, when the answer has come to its end.
    pub(super) fn send(&self, record: &Record) {
        let forwarded = record.upstream.map(|stretch| self.forwarding(record, stretch));
        self.spans.send([Some(self.whole(record)), self.authentication(record), forwarded]);
    }

    fn whole(&self, record: &Record) -> Span {
        let method = method(&record.method);
        let name = match &self.route {
            Some(route) => format!("{} {route}", said(method)),
            None => said(method).to_owned(),
        };
        let took = self.clock.instant().saturating_duration_since(record.started);
        let stretch = Stretch { after: Duration::ZERO, took };
        // An answer that broke off is an error whatever its head has said.
        let error = match (record.status.is_server_error(), record.ended()) {
            (true, _) => Some(record.status.as_str()),
            (false, "truncated") => Some("truncated"),
            (false, _) => None,
        };
        let mut attributes = vec![
            ("http.request.method", method.into()),
            ("http.response.status_code", Value::Number(i64::from(record.status.as_u16()))),
            ("network.protocol.version", version(record.version).into()),
            ("client.address", Value::Text(record.client.clone())),
            ("usher.request_id", record.id.as_str().into()),
            ("usher.decision", record.decision().into()),
            ("usher.ending", record.ended().into()),
        ];
        if let Some(target) = &record.target {
            attributes.push(("url.scheme", (if target.secure { "https" } else { "http" }).into()));
            attributes.push(("url.path", target.path.as_str().into()));
            attributes.push(("server.address", (&*target.host).into()));
        }
        attributes.extend(self.route.as_deref().map(|route| ("http.route", route.into())));
        attributes.extend(record.route.clone().map(|name| ("usher.route", Value::Text(name))));
        attributes.extend(error.map(|error| ("error.type", error.into())));
        if let Some((reason, fault)) = &record.refusal {
            attributes.extend([("usher.reason", (&**reason).into()), ("usher.fault", (*fault).into())]);
        }
        let span = self.span(name, Kind::Server, stretch, attributes);
        Span { id: self.whole, parent: self.parent, failed: error.is_some(), ..span }
    }

    /// Whose time it is, if it is anybody's but ours.
    fn authentication(&self, record: &Record) -> Option<Span> {
        let (name, kind, joined) = match record.waited {
            Some(waited) => ("renew", Kind::Client, Some(waited == Waited::Joined)),
            None if record.authentication.took >= WAITED => ("authenticate", Kind::Internal, None),
            None => return None,
        };
        let mut attributes = Vec::new();
        attributes.extend(joined.map(|joined| ("usher.renewal.joined", Value::Flag(joined))));
        attributes.extend(record.issuer.clone().map(|issuer| ("usher.issuer", Value::Text(issuer))));
        let span = self.span(name.to_owned(), kind, record.authentication, attributes);
        let failed = joined.is_some() && record.source != Some(Source::Renewal);
        Some(Span { id: id()?, failed, ..span })
    }

    /// Until the head of the application's answer.
    fn forwarding(&self, record: &Record, stretch: Stretch) -> Span {
        let method = method(&record.method);
        let (status, fault) = (record.status, record.refusal.as_ref().map(|(_, fault)| *fault));
        // Where the request was refused, what it was answered is Usher's word.
        let answered = fault.is_none().then_some(status);
        let is_error = status.is_client_error() || status.is_server_error();
        let error = fault.or_else(|| is_error.then(|| status.as_str()));
        let number = |status: StatusCode| Value::Number(i64::from(status.as_u16()));
        let mut attributes = vec![("http.request.method", method.into())];
        attributes.extend(self.server.iter().cloned());
        attributes.extend(answered.map(|status| ("http.response.status_code", number(status))));
        attributes.extend(error.map(|error| ("error.type", error.into())));
        let name = said(method).to_owned();
        Span { id: self.forwarded, failed: error.is_some(), ..self.span(name, Kind::Client, stretch, attributes) }
    }

    fn span(&self, name: String, kind: Kind, stretch: Stretch, attributes: Vec<(&'static str, Value)>) -> Span {
        let began = self.began + stretch.after;
        let (trace, parent, ended) = (self.trace, Some(self.whole), began + stretch.took);
        Span { trace, id: 0, parent, name, kind, began, ended, attributes, failed: false }
    }
}

/// What the conventions have for a method that is none of theirs.
const OTHER: &str = "_OTHER";

/// There are only so many: a client must not make series of its own.
fn method(method: &Method) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or(OTHER)
}

/// The same in the name of a span.
fn said(method: &'static str) -> &'static str {
    if method == OTHER { "HTTP" } else { method }
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// Never 0, which is no id.
fn id() -> Option<u64> {
    let mut random = [0; 8];
    rand::fill(&mut random).ok()?;
    Some(u64::from_be_bytes(random).max(1))
}
