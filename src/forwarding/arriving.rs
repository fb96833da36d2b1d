//! A client's body as it arrives, which is not slammed shut when nobody wants the rest of it.
//!
//! An answer may come before the request is complete: 401 to an upload, 413 in the middle of one. Over HTTP/2, giving up the
//! body then resets the stream at once, and some clients lose the answer over it. So the stream is left open for a moment,
//! in which the client can finish or see that it may stop. Over HTTP/1.1 the server lingers on the connection instead.

use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// So long an unwanted body may go on arriving.
const LINGER: Duration = Duration::from_secs(2);
/// And so much of it is taken in; flow control holds back the rest.
const LINGER_BYTES: usize = 64 * 1024;

/// The body of a client's request.
pub(super) struct Arriving {
    /// `None` only while it is dropped.
    incoming: Option<Incoming>,
    http2: bool,
}

impl Arriving {
    pub(super) const fn new(incoming: Incoming, http2: bool) -> Self {
        Self { incoming: Some(incoming), http2 }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.incoming.as_mut().map_or(Poll::Ready(None), |incoming| Pin::new(incoming).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.http2 || self.is_end_stream() {
            return;
        }
        if let (Some(incoming), Ok(runtime)) = (self.incoming.take(), Handle::try_current()) {
            drop(runtime.spawn(timeout(LINGER, take_in(incoming))));
        }
    }
}

/// Takes in the start of a body, then holds the stream open without reading until the time is up.
async fn take_in(mut incoming: Incoming) {
    let mut taken = 0;
    while taken < LINGER_BYTES {
        match incoming.frame().await {
            Some(Ok(frame)) => taken += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
    pending::<()>().await;
}
