//! The client's body on its way to the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::forwarding::arriving::Arriving;
use crate::forwarding::error::BodyError;
use crate::forwarding::session_watch::SessionWatch;
use crate::forwarding::silence::Silence;
use crate::forwarding::trailers;
use crate::forwarding::upload::{Upload, UploadFailure};

/// So much of a body is kept to be sent once more: what forms and calls have, and no file.
const KEPT: usize = 16 * 1024;

/// The client: the announced length of a request body exceeds what the route allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request body is too large")]
pub struct BodyTooLarge;

/// Takes out of a trailer section what the client may not say.
pub type TrailerFilter = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// The body of a request to an upstream: what the client sends, as it comes, within bounds.
///
/// It ends in an error, which makes the connection abort the request, when the client goes away, falls silent for too
/// long, sends too much or is signed out: a request that was cut short never looks whole to the upstream.
pub struct RequestBody {
    /// Boxed: most requests have none, and carry this around.
    source: Option<Box<Source>>,
}

struct Source {
    incoming: Arriving,
    /// Whether the client speaks HTTP/2, where the end of a stream and the end of a body are two things.
    http2: bool,
    /// How many bytes may still come.
    allowance: Option<u64>,
    silence: Silence,
    trailers: Option<TrailerFilter>,
    /// Over the session that may send it.
    watch: Option<SessionWatch>,
    upload: Arc<Upload>,
    /// Where it has to come back; `None` where nobody waits for it, or it cannot be sent from its beginning again.
    kept: Option<Kept>,
    /// What is sent again, before what is still to come.
    again: Bytes,
    /// Whether nothing is still to come. Who says so is not asked twice.
    ended: bool,
}

/// A body that comes back with all that went by of it.
struct Kept {
    bytes: Vec<u8>,
    owner: oneshot::Sender<RequestBody>,
}

impl RequestBody {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self { source: None }
    }

    /// The body of a client's request of HTTP `version`, with at most `idle` of silence from the client's side while the
    /// upstream waits. Trailers are dropped (RFC 9110 §6.5.1 allows that); see [`RequestBody::pass_trailers`].
    #[must_use]
    pub fn new(incoming: Incoming, version: Version, idle: Duration) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        let source = Source {
            incoming: Arriving::new(incoming, version == Version::HTTP_2),
            http2: version == Version::HTTP_2,
            allowance: None,
            silence: Silence::new(idle),
            trailers: None,
            watch: None,
            upload: Arc::new(Upload::new(idle)),
            kept: None,
            again: Bytes::new(),
            ended: false,
        };
        Self { source: Some(Box::new(source)) }
    }

    /// Lets at most `limit` bytes of it pass.
    ///
    /// # Errors
    /// [`BodyTooLarge`] when the announced length is above the limit already.
    pub fn limit(&mut self, limit: Option<u64>) -> Result<(), BodyTooLarge> {
        if let (Some(source), Some(limit)) = (&mut self.source, limit) {
            if source.incoming.size_hint().lower() > limit {
                return Err(BodyTooLarge);
            }
            source.allowance = Some(limit);
        }
        Ok(())
    }

    /// Passes trailers on, after `filter` took out what the client may not say. Only an HTTP/2 upstream gets them: an
    /// HTTP/1.1 one would have to be told their names ahead of the body.
    pub fn pass_trailers(&mut self, filter: &TrailerFilter) {
        if let Some(source) = &mut self.source {
            source.trailers = Some(Arc::clone(filter));
        }
    }

    /// Aborts it once the session is over that it was let in with, unless it is so short that it is not worth asking.
    pub fn belong_to_session<F>(&mut self, session_end: impl FnOnce() -> F)
    where
        F: Future<Output = ()> + Send + Sync + 'static,
    {
        if let Some(source) = &mut self.source {
            source.watch = SessionWatch::over(&source.incoming.size_hint(), session_end);
        }
    }

    /// Has the body come back when the connection drops it, as it was at its beginning. None comes where there is none, where
    /// it has failed, or where more has gone by than is kept.
    pub(super) fn lend(&mut self) -> oneshot::Receiver<Self> {
        let (owner, back) = oneshot::channel();
        if let Some(source) = &mut self.source {
            source.kept = Some(Kept { bytes: Vec::new(), owner });
        }
        back
    }

    /// The progress of the body, if there is one.
    pub(super) fn upload(&self) -> Option<Arc<Upload>> {
        self.source.as_ref().map(|source| Arc::clone(&source.upload))
    }
}

impl Source {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(mut watch) = self.watch.take() else { return self.poll_arriving(context) };
        let polled = watch.poll(context, |context| self.poll_arriving(context));
        self.watch = Some(watch);
        match ready!(polled) {
            Some(next) => Poll::Ready(next),
            None => Poll::Ready(Some(Err(self.fail(UploadFailure::SessionOver, BodyError::SessionOver)))),
        }
    }

    fn poll_arriving(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.again.is_empty() {
            let data = std::mem::take(&mut self.again);
            self.advance(data.len());
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = Pin::new(&mut self.incoming).poll_frame(context) else {
            self.upload.await_client();
            ready!(self.silence.poll(None, context));
            return Poll::Ready(Some(Err(self.fail(UploadFailure::ClientIdle, BodyError::ClientIdle))));
        };
        self.silence.broken();
        Poll::Ready(match next {
            Some(Ok(frame)) => self.pass(frame),
            Some(Err(cause)) => Some(Err(self.fail(UploadFailure::ClientGone, BodyError::ClientGone(Some(cause))))),
            // hyper takes RST_STREAM(NO_ERROR) for the end of the body. From a client it is an aborted upload.
            None if self.http2 && !self.incoming.is_end_stream() => {
                Some(Err(self.fail(UploadFailure::ClientGone, BodyError::ClientGone(None))))
            }
            None => {
                self.ended = true;
                self.upload.finish();
                None
            }
        })
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
        match frame.into_data() {
            Ok(data) => {
                if let Some(allowance) = &mut self.allowance {
                    match allowance.checked_sub(data.len() as u64) {
                        Some(rest) => *allowance = rest,
                        None => return Some(Err(self.fail(UploadFailure::TooLarge, BodyError::TooLarge))),
                    }
                }
                self.advance(data.len());
                self.kept = self.kept.take().and_then(|kept| kept.with(&data));
                Some(Ok(Frame::data(data)))
            }
            Err(frame) => {
                self.kept = None;
                self.upload.finish();
                let filter = self.trailers.as_ref()?;
                let mut fields = frame.into_trailers().ok()?;
                trailers::sanitize(&mut fields);
                filter(&mut fields);
                (!fields.is_empty()).then(|| Ok(Frame::trailers(fields)))
            }
        }
    }

    fn advance(&self, bytes: usize) {
        // Nobody polls a body again that says it has ended, so its end is noted here.
        if self.is_end() {
            self.upload.finish();
        } else {
            self.upload.advance(bytes);
        }
    }

    fn is_end(&self) -> bool {
        self.again.is_empty() && (self.ended || self.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, again) = (self.incoming.size_hint(), self.again.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(again));
        }
        hint.set_lower(hint.lower().saturating_add(again));
        hint
    }

    /// What was cut short must not be sent again as if it were whole.
    fn fail(&mut self, failure: UploadFailure, error: BodyError) -> BodyError {
        self.kept = None;
        self.upload.fail(failure);
        error
    }
}

impl Kept {
    /// With this as well, if there is room for it and somebody waits.
    fn with(mut self, data: &Bytes) -> Option<Self> {
        if self.owner.is_closed() || self.bytes.len() + data.len() > KEPT {
            return None;
        }
        self.bytes.extend_from_slice(data);
        Some(self)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(mut source) = self.source.take() else { return };
        let Some(Kept { bytes, owner }) = source.kept.take() else { return };
        source.upload.abandon();
        source.upload = Arc::new(source.upload.anew());
        source.again = bytes.into();
        // Until somebody wants more of it, nobody waits for the client.
        source.silence.broken();
        // Nobody waits for it where there was an answer.
        drop(owner.send(Self { source: Some(source) }));
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.upload.abandon();
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.source.as_mut().map_or(Poll::Ready(None), |source| source.poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(|source| source.is_end())
    }

    fn size_hint(&self) -> SizeHint {
        self.source.as_ref().map_or_else(|| SizeHint::with_exact(0), |source| source.size_hint())
    }
}
