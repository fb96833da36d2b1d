//! The body of every response of the gateway, be it its own or the upstream's.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::forwarding::error::BodyError;
use crate::forwarding::session_body::SessionBody;
use crate::forwarding::session_watch::SessionWatch;
use crate::forwarding::upstream_body::UpstreamBody;

/// A response body.
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes in memory: an answer of Usher's own. `None` once they are sent.
    Full(Option<Bytes>),
    /// What the upstream sends, as it comes.
    Upstream(UpstreamBody),
    /// The same after a beginning that has been read already. `None` once that is sent.
    Begun(Option<Bytes>, UpstreamBody),
    /// What the upstream sends, for as long as a session lasts.
    Session(SessionBody),
}

impl Body {
    /// The upstream's body from its beginning on, of which this much has been read.
    pub fn begun(beginning: impl Into<Bytes>, rest: UpstreamBody) -> Self {
        Self::Begun(Some(beginning.into()).filter(|bytes| !bytes.is_empty()), rest)
    }

    /// The upstream's body, cut once the session is over, unless it is so short that it is not worth asking.
    pub fn of_session<F>(body: UpstreamBody, session_end: impl FnOnce() -> F) -> Self
    where
        F: Future<Output = ()> + Send + Sync + 'static,
    {
        match SessionWatch::over(&body.size_hint(), session_end) {
            Some(watch) => Self::Session(SessionBody::new(body, watch)),
            None => Self::Upstream(body),
        }
    }

    /// A body in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::Empty } else { Self::Full(Some(bytes)) }
    }
}

impl From<UpstreamBody> for Body {
    fn from(body: UpstreamBody) -> Self {
        Self::Upstream(body)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream(body) => Pin::new(body).poll_frame(context),
            Self::Session(body) => Pin::new(body).poll_frame(context),
            Self::Begun(beginning, body) => match beginning.take() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => Pin::new(body).poll_frame(context),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_none(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Session(body) => body.is_end_stream(),
            Self::Begun(beginning, body) => beginning.is_none() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Session(body) => body.size_hint(),
            Self::Begun(beginning, body) => {
                let (rest, begun) = (body.size_hint(), beginning.as_ref().map_or(0, Bytes::len) as u64);
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower().saturating_add(begun));
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper.saturating_add(begun));
                }
                hint
            }
        }
    }
}
