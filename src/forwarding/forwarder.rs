//! One request to one upstream, from choosing a connection to the head of the answer.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body as _;
use tokio::sync::oneshot;

use crate::config::{Timeouts, UpstreamId};
use crate::forwarding::affinity::Affinity;
use crate::forwarding::backend::{Backend, Connection, Demand, InFlight};
use crate::forwarding::balance::{Balance, Lease};
use crate::forwarding::condition::Evidence;
use crate::forwarding::error::ForwardError;
use crate::forwarding::framing;
use crate::forwarding::http1::{Answer, Http1, Unanswered};
use crate::forwarding::http2::{self, Http2};
use crate::forwarding::request_body::RequestBody;
use crate::forwarding::response_timer::ResponseTimer;
use crate::forwarding::upgrade::{Protocol, Switched};
use crate::forwarding::upstream_body::{Driver, UpstreamBody};
use crate::forwarding::upstreams::Upstreams;

/// The upstream side of one worker, with its connection pools. Lives on the runtime of that worker.
pub struct Forwarder {
    upstreams: Vec<Balance>,
}

impl Forwarder {
    /// A forwarder without any connection yet.
    #[must_use]
    pub fn new(upstreams: &Upstreams) -> Self {
        Self { upstreams: upstreams.pools().iter().map(Balance::new).collect() }
    }

    /// Sends a request and waits for the head of the answer; bodies stream behind it. The request comes in a box because it
    /// goes down through several futures, each of which would copy it twice.
    ///
    /// The request comes with its final headers and an origin-form URI. Only framing is changed here, and on HTTP/2 the
    /// authority. With an [`upgrade::Protocol`](Protocol) among its extensions it asks to switch protocols; a 101 answer
    /// then has the upstream's side in its body ([`UpstreamBody::take_switched`]).
    ///
    /// A request that found its pooled connection closed before a byte was written is sent on another, whatever the method:
    /// several of HTTP/2 may be going away. One without a body and of an idempotent method (RFC 9110 §9.2.2) is sent once more
    /// if a pooled connection broke before the upstream said anything, as long as those are few among all; so is any of which
    /// an HTTP/2 upstream says that it was not processed, if it has no more body than is kept. Nothing else is ever repeated.
    ///
    /// `affinity` says whose request it is, where the upstream [keeps together](Upstreams::keeps_together) what is.
    ///
    /// Dropping the future aborts the request.
    ///
    /// # Errors
    /// [`ForwardError`] when there is no answer; no byte of one was passed on then.
    pub async fn send(
        &self,
        upstream: UpstreamId,
        mut request: Box<Request<RequestBody>>,
        timeouts: &Timeouts,
        affinity: Option<Affinity>,
    ) -> Result<Response<UpstreamBody>, ForwardError> {
        let balance = self.upstreams.get(upstream.0).ok_or(ForwardError::UnknownUpstream)?;
        balance.begin();
        let upgrade = request.extensions_mut().remove::<Protocol>();
        let mut demand = Demand { reuse: true, upgrade: upgrade.is_some(), connect: timeouts.connect };
        let (mut closed, mut is_repeated) = (0, false);
        loop {
            let lease = balance.lease(demand, affinity).await?;
            let reused = lease.reused;
            let copy = (reused && !is_repeated).then(|| Copy::of(&mut request, &lease)).flatten();
            match lease.exchange(request, upgrade.as_ref(), timeouts).await {
                Ok(response) => return Ok(response),
                Err(Unanswered { unsent: Some(unsent), .. }) if reused && closed < http2::CONNECTIONS => {
                    request = Box::new(unsent);
                    closed += 1;
                }
                Err(Unanswered { silent, unprocessed, error, .. }) if silent || unprocessed => {
                    let copy = copy.filter(|copy| unprocessed || copy.is_repeatable);
                    let Some(copy) = copy else { return Err(error) };
                    request = Box::new(copy.into_request(balance).await.ok_or(error)?);
                    is_repeated = true;
                }
                Err(Unanswered { error, .. }) => return Err(error),
            }
            demand.reuse = false;
        }
    }
}

/// A request, kept until it is answered.
struct Copy {
    sent_to: Arc<Backend>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// `None` where it has none.
    body: Option<oneshot::Receiver<RequestBody>>,
    /// Whether sending the request twice does what sending it once does.
    is_repeatable: bool,
}

impl Copy {
    /// `None` where nothing can come of it: only HTTP/2 says of any request that it was not processed.
    fn of(request: &mut Request<RequestBody>, lease: &Lease) -> Option<Self> {
        let is_bodyless = request.body().is_end_stream();
        let is_repeatable = request.method().is_idempotent() && is_bodyless;
        if !is_repeatable && matches!(lease.connection, Connection::Http1(_)) {
            return None;
        }
        Some(Self {
            sent_to: Arc::clone(lease.in_flight.backend()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: (!is_bodyless).then(|| request.body_mut().lend()),
            is_repeatable,
        })
    }

    /// `None` where the body does not come back, or too many are sent once more.
    async fn into_request(self, balance: &Balance) -> Option<Request<RequestBody>> {
        let body = match self.body {
            // The connection drops it as soon as it hears that its stream has ended.
            Some(body) => body.await.ok()?,
            None => RequestBody::empty(),
        };
        if !balance.may_repeat(&self.sent_to) {
            return None;
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        Some(request)
    }
}

impl Lease {
    async fn exchange(
        self,
        request: Box<Request<RequestBody>>,
        upgrade: Option<&Protocol>,
        timeouts: &Timeouts,
    ) -> Result<Response<UpstreamBody>, Unanswered> {
        let Self { connection, in_flight, reused } = self;
        let alone = matches!(connection, Connection::Http1(_));
        let timer = ResponseTimer::new(timeouts, request.body().upload(), alone);
        let outcome = match connection {
            Connection::Http1(connection) => over_http1(connection, request, upgrade, &timer, in_flight, reused).await,
            Connection::Http2(connection) => over_http2(connection, request, &timer, in_flight, reused).await,
        };
        outcome.map_err(|unanswered| *unanswered)
    }
}

async fn over_http1(
    mut connection: Box<Http1>,
    mut request: Box<Request<RequestBody>>,
    upgrade: Option<&Protocol>,
    timer: &ResponseTimer<'_>,
    in_flight: InFlight,
    reused: bool,
) -> Result<Response<UpstreamBody>, Box<Unanswered>> {
    framing::for_http1(&mut request, upgrade).map_err(Unanswered::given_up)?;
    if upgrade.is_some() {
        // Whatever the answer, nobody can tell where the next message would begin.
        connection.retire();
    }
    let idle = timer.timeouts().idle;
    let answer = connection.exchange(request, timer).await.inspect_err(|unanswered| {
        if unanswered.speaks_against_address(reused) {
            in_flight.failed(Evidence::Fault, &unanswered.error);
        }
    })?;
    in_flight.answered(answer.status());
    match answer {
        Answer::Response(mut response, connection) => {
            framing::of_response(&mut response);
            let driver = connection.map_or(Driver::Done, Driver::Http1);
            let upload = timer.upload().cloned();
            Ok(response.map(|incoming| UpstreamBody::new(incoming, driver, idle, upload, in_flight)))
        }
        Answer::Switched(response, stream, first) => {
            // RFC 9110 §15.2.2: only to what was asked for, and only when it was.
            if !upgrade.is_some_and(|protocol| protocol.matches(response.headers())) {
                return Err(Unanswered::given_up(ForwardError::Protocol(None)));
            }
            let switched = Box::new(Switched::new(response.headers(), stream, first, in_flight));
            Ok(response.map(|_| UpstreamBody::switched(switched, idle)))
        }
    }
}

async fn over_http2(
    connection: Arc<Http2>,
    mut request: Box<Request<RequestBody>>,
    timer: &ResponseTimer<'_>,
    in_flight: InFlight,
    reused: bool,
) -> Result<Response<UpstreamBody>, Box<Unanswered>> {
    let backend = in_flight.backend();
    framing::for_http2(&mut request, backend.address()).map_err(Unanswered::given_up)?;
    let before = connection.heard();
    match connection.exchange(request, timer).await {
        Ok(mut response) => {
            in_flight.answered(response.status());
            framing::of_response(&mut response);
            let (idle, upload) = (timer.timeouts().idle, timer.upload().cloned());
            let driver = Driver::Http2(connection);
            Ok(response.map(|incoming| UpstreamBody::new(incoming, driver, idle, upload, in_flight)))
        }
        Err(unanswered) => {
            // A connection that is going away takes no new streams, though it does not count as closed before its
            // last stream is. One on which nothing came at all may lead nowhere, which pings find out after half a minute.
            let timed_out = matches!(unanswered.error, ForwardError::ResponseTimedOut | ForwardError::UploadStalled);
            if timed_out && connection.heard() == before || reused && (unanswered.unsent.is_some() || unanswered.silent)
            {
                backend.shared().discard(&connection);
            }
            if unanswered.speaks_against_address(reused) {
                in_flight.failed(Evidence::Fault, &unanswered.error);
            }
            Err(unanswered)
        }
    }
}
