//! Bodies that a test feeds by hand: what was sent is known, so nothing depends on timing.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::sync::mpsc;

/// The body of everything that the harness sends.
pub(crate) type TestBody = BoxBody<Bytes, io::Error>;

/// A body that is there at once.
pub(crate) fn full(bytes: impl Into<Bytes>) -> TestBody {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// A body in chunks that a test sends when it wants, and the hand that feeds it.
pub(crate) fn fed() -> (Feed, TestBody) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let frames = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    (Feed(sender), BodyExt::boxed(StreamBody::new(frames)))
}

/// Feeds a body. Dropping it is a clean end.
#[derive(Clone, Debug)]
pub(crate) struct Feed(mpsc::UnboundedSender<io::Result<Frame<Bytes>>>);

impl Feed {
    /// Sends one chunk. Whether anybody still reads is for the test to find out at the other end.
    pub(crate) fn chunk(&self, bytes: impl Into<Bytes>) {
        drop(self.0.send(Ok(Frame::data(bytes.into()))));
    }

    /// Whether nobody will read the body any more.
    pub(crate) fn is_dropped(&self) -> bool {
        self.0.is_closed()
    }

    /// Ends the body with trailers.
    pub(crate) fn trailers(self, trailers: HeaderMap) {
        drop(self.0.send(Ok(Frame::trailers(trailers))));
    }

    /// Breaks the body off: the connection closes, the stream is reset.
    pub(crate) fn cut(self) {
        drop(self.0.send(Err(io::Error::other("cut by the test"))));
    }
}
