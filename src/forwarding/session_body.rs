//! An answer that goes on for as long as a session does: cut when that is over, and seen to be cut.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::forwarding::error::BodyError;
use crate::forwarding::session_watch::SessionWatch;
use crate::forwarding::upstream_body::UpstreamBody;

/// The upstream's body until the session is over.
pub struct SessionBody {
    /// `None` once it was cut: the upstream is let go at that moment.
    body: Option<UpstreamBody>,
    watch: SessionWatch,
}

impl SessionBody {
    pub(super) const fn new(body: UpstreamBody, watch: SessionWatch) -> Self {
        Self { body: Some(body), watch }
    }
}

impl http_body::Body for SessionBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if let Some(next) = ready!(this.watch.poll(context, |context| Pin::new(body).poll_frame(context))) {
            return Poll::Ready(next);
        }
        this.body = None;
        Poll::Ready(Some(Err(BodyError::SessionOver)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(UpstreamBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, UpstreamBody::size_hint)
    }
}
