//! The upstream's body on its way to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::forwarding::backend::InFlight;
use crate::forwarding::error::BodyError;
use crate::forwarding::http1::Http1;
use crate::forwarding::http2::Http2;
use crate::forwarding::silence::Silence;
use crate::forwarding::trailers;
use crate::forwarding::upgrade::Switched;
use crate::forwarding::upload::Upload;

/// The body of an upstream's answer, as it comes.
///
/// Polling it also moves the rest of the request to the upstream. It ends in an error when the upstream broke off or
/// fell silent; whoever passes it on must let the client see that. Dropping it early closes the upstream's connection
/// (HTTP/1.1) or resets its stream (HTTP/2).
pub struct UpstreamBody {
    content: Content,
    silence: Silence,
    upload: Option<Arc<Upload>>,
    /// `None` for a switched connection, which counts by itself.
    in_flight: Option<InFlight>,
}

enum Content {
    Stream(Incoming, Driver),
    /// The answer was a 101.
    Switched(Box<Switched>),
    /// It broke off, which has yet to be said.
    Broken(Option<BodyError>),
    Ended,
}

/// What makes the bytes come.
pub(super) enum Driver {
    /// Nothing has to: the connection is at its end, and what it brought is here.
    Done,
    /// We do. The connection is parked again when both messages are complete.
    Http1(Box<Http1>),
    /// A task of its own.
    Http2(#[expect(dead_code, reason = "held to count as a stream of the connection")] Arc<Http2>),
}

impl UpstreamBody {
    pub(super) fn new(
        incoming: Incoming,
        driver: Driver,
        idle: Duration,
        upload: Option<Arc<Upload>>,
        in_flight: InFlight,
    ) -> Self {
        let content = Content::Stream(incoming, driver);
        let mut body = Self { content, silence: Silence::new(idle), upload, in_flight: Some(in_flight) };
        // Nobody polls a body that has ended already.
        if body.is_end_stream() {
            body.end();
        }
        body
    }

    pub(super) const fn switched(switched: Box<Switched>, idle: Duration) -> Self {
        Self { content: Content::Switched(switched), silence: Silence::new(idle), upload: None, in_flight: None }
    }

    /// Takes the upstream's side of a connection that switched protocols, for
    /// [`upgrade::tunnel`](crate::forwarding::upgrade::tunnel). There is one if the status is 101, once.
    pub fn take_switched(&mut self) -> Option<Box<Switched>> {
        match std::mem::replace(&mut self.content, Content::Ended) {
            Content::Switched(switched) => Some(switched),
            other => {
                self.content = other;
                None
            }
        }
    }

    /// The answer is complete. The connection is kept if the request is too.
    fn end(&mut self) {
        let content = std::mem::replace(&mut self.content, Content::Ended);
        if let Content::Stream(_, Driver::Http1(connection)) = content
            && connection.is_reusable()
            && let Some(in_flight) = &self.in_flight
        {
            in_flight.backend().park(connection);
        }
    }

    /// The answer is not complete. That is said with the next poll: what came before it is sent to the client meanwhile,
    /// which an error at once would take away.
    fn fail(&mut self, error: BodyError, context: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.content = Content::Broken(Some(error));
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl http_body::Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let (incoming, driver) = match &mut this.content {
            Content::Stream(incoming, driver) => (incoming, driver),
            Content::Broken(error) => return Poll::Ready(error.take().map(Err)),
            Content::Switched(_) | Content::Ended => return Poll::Ready(None),
        };
        if let Driver::Http1(connection) = driver
            && connection.poll_drive(context).is_ready()
        {
            // Dropping the connection is what tells the body that nothing more will come.
            *driver = Driver::Done;
        }
        let Poll::Ready(next) = Pin::new(&mut *incoming).poll_frame(context) else {
            let uploading = this.upload.as_deref().and_then(Upload::moved);
            ready!(this.silence.poll(uploading, context));
            return this.fail(BodyError::UpstreamIdle, context);
        };
        this.silence.broken();
        match next {
            Some(Ok(mut frame)) => {
                if let Some(fields) = frame.trailers_mut() {
                    trailers::sanitize(fields);
                }
                // Nobody polls a body again that says it has ended.
                if incoming.is_end_stream() {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(cause)) => this.fail(BodyError::UpstreamBroken(Some(cause)), context),
            // hyper takes RST_STREAM(NO_ERROR) for the end of the body, even when more was to come.
            None if matches!(driver, Driver::Http2(_)) && !incoming.is_end_stream() => {
                this.fail(BodyError::UpstreamBroken(None), context)
            }
            None => {
                this.end();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Stream(incoming, _) => incoming.is_end_stream(),
            Content::Broken(error) => error.is_none(),
            Content::Switched(_) | Content::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Stream(incoming, _) => incoming.size_hint(),
            Content::Broken(_) => SizeHint::default(),
            Content::Switched(_) | Content::Ended => SizeHint::with_exact(0),
        }
    }
}
