//! From a request that hyper has read to the gateway's answer, and nothing of it can take the process down.

use std::any::Any;
use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use arc_swap::{ArcSwap, Cache};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONNECTION, COOKIE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::activity::Activity;
use super::stream::Progress;
use crate::gateway::{self, Connection};

/// What answers requests: the gateway, or a test's stand-in.
pub(super) trait Handler: Send + Sync + 'static {
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Answers `request`, which came over `connection`.
    fn handle(
        &self,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

impl Handler for Arc<gateway::Worker> {
    type Body = gateway::LoggedBody;

    /// Not an `async fn`, which would be one more future around that of the gateway.
    fn handle(
        &self,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send {
        gateway::handle(self, connection, request)
    }
}

/// The service of one connection, always with the handler that is in force. That costs a request one relaxed atomic load.
///
/// A connection that is idle keeps the handler of its last request until its next one.
#[derive(Debug)]
pub(super) struct Latest<H> {
    handler: RefCell<Cache<Arc<ArcSwap<H>>, Arc<H>>>,
    service: RefCell<Arc<Service<H>>>,
}

impl<H: Handler> Latest<H> {
    pub(super) fn new(
        handler: Arc<ArcSwap<H>>,
        connection: Connection,
        activity: &Arc<Activity>,
        header_count: usize,
        panics: &Arc<AtomicU64>,
    ) -> Self {
        let handler = Cache::new(handler);
        let service = Service {
            handler: handler.arc_swap().load_full(),
            connection: Arc::new(connection),
            activity: Arc::clone(activity),
            header_count,
            panics: Arc::clone(panics),
        };
        Self { handler: RefCell::new(handler), service: RefCell::new(Arc::new(service)) }
    }

    /// Answers `request`; see [`Service::respond`].
    pub(super) fn respond(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<ResponseBody<H::Body>>, Infallible>> + Send + use<H> {
        let mut service = self.service.borrow_mut();
        let mut handler = self.handler.borrow_mut();
        let handler = handler.load();
        if !Arc::ptr_eq(handler, &service.handler) {
            *service = Arc::new(service.with(Arc::clone(handler)));
        }
        service.respond(request)
    }
}

/// What the requests of one connection have in common.
#[derive(Debug)]
pub(super) struct Service<H> {
    pub(super) handler: Arc<H>,
    pub(super) connection: Arc<Connection>,
    pub(super) activity: Arc<Activity>,
    /// Header fields that a request may have.
    pub(super) header_count: usize,
    /// Requests that have panicked so far, over all connections.
    pub(super) panics: Arc<AtomicU64>,
}

impl<H: Handler> Service<H> {
    fn with(&self, handler: Arc<H>) -> Self {
        let (connection, activity) = (Arc::clone(&self.connection), Arc::clone(&self.activity));
        Self { handler, connection, activity, header_count: self.header_count, panics: Arc::clone(&self.panics) }
    }

    /// Answers `request`. From the call on, not from the first poll, the connection counts as busy.
    pub(super) fn respond(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<ResponseBody<H::Body>>, Infallible>> + Send + use<H> {
        let in_flight = InFlight::new(&self.activity, !request.body().is_end_stream());
        self.activity.frames(request.version() != Version::HTTP_10);
        let service = Arc::clone(self);
        // Boxed: it is some kilobytes, which hyper would move about, and keep a place for on every connection.
        Box::pin(async move {
            let mut in_flight = in_flight;
            let (mut head, body) = service.answer(request).await.into_parts();
            in_flight.answered();
            if service.activity.says_close() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let progress = Progress::current();
            Ok(Response::from_parts(head, ResponseBody { body, frames: 0, progress, in_flight }))
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Option<H::Body>> {
        // hyper counts the fields of HTTP/1.1 while it reads them; those of HTTP/2 are bounded in bytes only.
        if request.version() == Version::HTTP_2 && field_count(request.headers()) > self.header_count {
            return refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        // Whatever the panic left behind belongs to this request alone; what is shared copes with a panic by itself.
        match AssertUnwindSafe(self.handler.handle(&self.connection, request)).catch_unwind().await {
            Ok(response) => response.map(Some),
            Err(panic) => {
                let (panic, times) = (panic_message(&*panic), self.panics.fetch_add(1, Ordering::Relaxed) + 1);
                tracing::error!(panic, times, "a defect of Usher: a request panicked, answered 500");
                refusal(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// The fields of a request, the crumbs of its cookies counted as the one field that they make up (RFC 9113 §8.2.3).
fn field_count(headers: &HeaderMap) -> usize {
    let crumbs = headers.get_all(COOKIE).iter().count();
    headers.len() - crumbs.saturating_sub(1)
}

fn refusal<B>(status: StatusCode) -> Response<Option<B>> {
    let mut response = Response::new(None);
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a panic said, if that is a text of the program's own: a formatted one may hold what a client sent (law 8).
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &'static str {
    panic.downcast_ref::<&'static str>().copied().unwrap_or("(not shown)")
}

/// A request being answered, from its head's end to its response's end.
#[derive(Debug)]
struct InFlight {
    activity: Arc<Activity>,
    answered: bool,
}

impl InFlight {
    fn new(activity: &Arc<Activity>, has_body: bool) -> Self {
        activity.request_begins(has_body);
        Self { activity: Arc::clone(activity), answered: false }
    }

    fn answered(&mut self) {
        self.answered = true;
        self.activity.answered();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.answered {
            self.activity.given_up();
        }
        self.activity.request_ends();
    }
}

pin_project! {
    /// A response's body on its way to hyper.
    pub(super) struct ResponseBody<B> {
        #[pin]
        body: Option<B>,
        frames: u64,
        progress: Option<Arc<Progress>>,
        in_flight: InFlight,
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(body) = this.body.as_pin_mut() else { return Poll::Ready(None) };
        if let Some(progress) = this.progress {
            progress.asked();
        }
        let frame = ready!(body.poll_frame(cx));
        if let Some(progress) = this.progress
            && frame.is_some()
        {
            *this.frames += 1;
            progress.handed_over(*this.frames);
        }
        if matches!(frame, Some(Err(_))) {
            this.in_flight.activity.cuts();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crumbs_of_a_cookie_count_as_one_field() {
        let mut headers = HeaderMap::new();
        assert_eq!(field_count(&headers), 0);
        for value in ["a=1", "b=2", "c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(value));
        }
        assert_eq!(field_count(&headers), 1);
        headers.append("x-one", HeaderValue::from_static("1"));
        headers.append("x-one", HeaderValue::from_static("2"));
        assert_eq!(field_count(&headers), 3);
    }
}
