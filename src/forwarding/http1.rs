//! An HTTP/1.1 connection to an upstream, driven by the task of the request that uses it.
//!
//! There is no task per connection and no channel of ours: whoever waits for the answer polls the connection. So the
//! connection is closed the moment nobody waits any more, and a slow reader slows the upstream down.

use std::error::Error as _;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use crate::forwarding::error::{ConnectError, Fault, ForwardError};
use crate::forwarding::request_body::RequestBody;
use crate::forwarding::response_timer::ResponseTimer;
use crate::forwarding::stream::{Heard, Stream};

/// Bounds what is read ahead of a slow client, and the size of a response head.
const BUFFER: usize = 128 * 1024;

/// One connection.
pub(super) struct Http1 {
    sender: SendRequest<RequestBody>,
    connection: Connection<TokioIo<Stream>, RequestBody>,
    heard: Heard,
    /// Whether the peer keeps to HTTP/1.1, so that the connection may be used again.
    persistent: bool,
}

/// The answer to a request, and what is left of the connection.
pub(super) enum Answer {
    /// The body is read by driving the connection, or is complete when there is none.
    Response(Response<Incoming>, Option<Box<Http1>>),
    /// 101: the connection speaks another protocol now; the bytes are the first of it.
    Switched(Response<Incoming>, Stream, Bytes),
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Response(response, _) | Self::Switched(response, ..) => response.status(),
        }
    }
}

/// Why there is no answer, and what could be done about it.
pub(super) struct Unanswered {
    pub(super) error: ForwardError,
    /// The request, when no byte of it was written.
    pub(super) unsent: Option<Request<RequestBody>>,
    /// The connection broke before the upstream said anything: the request may be repeated if its method allows.
    pub(super) silent: bool,
    /// The upstream says that it has done nothing with the request, whatever it is (RFC 9113 §8.7): it was sent on a stream after
    /// the last one that a GOAWAY counts, or refused. It may be repeated whatever its method.
    pub(super) unprocessed: bool,
}

/// How waiting for the head ended.
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, and boxing it would cost every request")]
enum Turn {
    Answered(Result<Response<Incoming>, TrySendError<Request<RequestBody>>>),
    /// The connection is at its end; what became of the request is known once it is dropped.
    Ended,
    GaveUp(ForwardError),
}

impl Http1 {
    /// HTTP/1.1 on a connection that stands.
    pub(super) async fn new(stream: Stream) -> Result<Box<Self>, ConnectError> {
        let heard = stream.heard();
        let (sender, connection) = Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream.heard_out()))
            .await
            .map_err(|cause| ConnectError::Http(cause.into()))?;
        Ok(Box::new(Self { sender, connection, heard, persistent: true }))
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(
        mut self: Box<Self>,
        request: Box<Request<RequestBody>>,
        timer: &ResponseTimer<'_>,
    ) -> Result<Answer, Box<Unanswered>> {
        let before = self.heard.so_far();
        let mut sending = pin!(self.sender.try_send_request(*request));
        let mut sleep = pin!(timer.sleep());
        let mut open = true;
        let turn = poll_fn(|context| {
            open = open && self.poll_drive(context).is_pending();
            match sending.as_mut().poll(context) {
                Poll::Ready(outcome) => Poll::Ready(Turn::Answered(outcome)),
                Poll::Pending if !open => Poll::Ready(Turn::Ended),
                Poll::Pending => timer.poll(sleep.as_mut(), context).map(Turn::GaveUp),
            }
        })
        .await;
        let outcome = match turn {
            Turn::Answered(outcome) => outcome,
            Turn::GaveUp(error) => return Err(Unanswered::given_up(error)),
            Turn::Ended => {
                let heard = self.heard.so_far() != before;
                drop(self);
                return match sending.await {
                    Ok(response) => Ok(Answer::Response(response, None)),
                    Err(error) => Err(Unanswered::new(error, timer, heard)),
                };
            }
        };
        match outcome {
            Err(error) => Err(Unanswered::new(error, timer, self.heard.so_far() != before)),
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => self.switch(response, open).await,
            Ok(response) => {
                // A peer of HTTP/1.0 makes hyper send requests of HTTP/1.0, which have no way to frame a stream.
                self.persistent &= response.version() == Version::HTTP_11;
                Ok(Answer::Response(response, open.then_some(self)))
            }
        }
    }

    /// Hands out the bare stream once hyper is through with it.
    async fn switch(mut self: Box<Self>, response: Response<Incoming>, open: bool) -> Result<Answer, Box<Unanswered>> {
        if open && let Err(cause) = poll_fn(|context| self.poll_drive(context)).await {
            return Err(Unanswered::given_up(ForwardError::Broken { sent: true, source: cause }));
        }
        let parts = self.connection.into_parts();
        Ok(Answer::Switched(response, parts.io.into_inner().told_at_once(), parts.read_buf))
    }

    /// Moves bytes in both directions. Ready when the connection is at its end; it must not be polled again then.
    pub(super) fn poll_drive(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.connection.poll_without_shutdown(context)
    }

    /// Whether request and response are complete and the connection can take the next request.
    pub(super) fn is_reusable(&self) -> bool {
        self.persistent && self.sender.is_ready()
    }

    /// Forbids that the connection is used again.
    pub(super) const fn retire(&mut self) {
        self.persistent = false;
    }

    /// Whether a parked connection has been closed by the peer, or has received what nobody asked for.
    pub(super) fn is_stale(&mut self, context: &mut Context<'_>) -> bool {
        self.poll_drive(context).is_ready()
    }
}

impl Unanswered {
    /// What became of a request, from what hyper says of it.
    pub(super) fn new(
        mut error: TrySendError<Request<RequestBody>>,
        timer: &ResponseTimer<'_>,
        heard: bool,
    ) -> Box<Self> {
        let unsent = error.take_message();
        let source = error.into_error();
        let failure = timer.upload().and_then(|upload| upload.failure());
        let unprocessed = failure.is_none() && is_unprocessed(&source);
        let mut silent = failure.is_none() && !heard && !is_refused(&source);
        let error = match (failure, blame(&source)) {
            (Some(failure), _) => failure.into(),
            (None, Blame::Connection) => ForwardError::Broken { sent: unsent.is_none(), source },
            (None, Blame::Request) => {
                silent = false;
                ForwardError::Broken { sent: true, source }
            }
            (None, Blame::Garbage) => {
                silent = false;
                ForwardError::Protocol(Some(source))
            }
        };
        Box::new(Self { error, unsent, silent, unprocessed })
    }

    pub(super) fn given_up(error: ForwardError) -> Box<Self> {
        Box::new(Self { error, unsent: None, silent: false, unprocessed: false })
    }

    /// Whether it speaks against the address: a connection that was used before may break without anybody's fault.
    pub(super) fn speaks_against_address(&self, reused: bool) -> bool {
        // A refused stream costs no connection; several in a row are an address that takes nothing.
        self.error.fault() == Fault::Upstream && !(reused && (self.silent || self.unsent.is_some()))
    }
}

/// What an error says of its cause.
enum Blame {
    /// The connection ended, or took the request no more.
    Connection,
    /// The upstream refused this one request (HTTP/2), having looked at it.
    Request,
    /// What the upstream said is no HTTP.
    Garbage,
}

/// The library tells of a GOAWAY to streams after the last one that it counts, and to those that would begin when it has come. What
/// a connection was lost for, it tells the others by another error.
fn is_unprocessed(error: &hyper::Error) -> bool {
    is_refused(error) || of_http2(error).is_some_and(|error| error.is_remote() && error.is_go_away())
}

/// The upstream takes this one request not now, on a connection that stands.
fn is_refused(error: &hyper::Error) -> bool {
    of_http2(error).is_some_and(|error| {
        error.is_remote() && error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
    })
}

fn of_http2(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}

fn blame(error: &hyper::Error) -> Blame {
    if error.is_parse() {
        return Blame::Garbage;
    }
    match of_http2(error) {
        Some(error) if error.is_library() => Blame::Garbage,
        Some(error) if error.is_reset() && error.reason() != Some(h2::Reason::REFUSED_STREAM) => Blame::Request,
        _ => Blame::Connection,
    }
}
