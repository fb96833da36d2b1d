//! One line per request: what was asked, what was decided and why, and whose time it took. Never a token, never a query
//! (law 8).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::admit::Target;
use super::counts::Answered;
use super::recording::Recording;
use super::request_id::RequestId;
use super::trace_context::TraceContext;
use crate::auth::authenticate::Source;
use crate::auth::session_cookies::Waited;
use crate::config::{LogSubject, Secret};
use crate::forwarding::{Body, BodyError};

/// How subjects stand in the log.
pub(super) struct AccessLog {
    subject: LogSubject,
    key: Option<hmac::Key>,
}

impl AccessLog {
    /// `secret` keys the hash of subjects, so that nobody without it can try names. Without one, none is shown.
    pub(super) fn new(subject: LogSubject, secret: Option<&Secret>) -> Self {
        Self { subject, key: secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose())) }
    }

    /// The subject as the log shall show it.
    pub(super) fn subject(&self, subject: &str) -> Option<Arc<str>> {
        match self.subject {
            LogSubject::Plain => Some(subject.into()),
            LogSubject::Hash => {
                let tag = hmac::sign(self.key.as_ref()?, subject.as_bytes());
                let (start, _) = tag.as_ref().split_first_chunk::<8>()?;
                Some(format!("{:016x}", u64::from_be_bytes(*start)).into())
            }
            LogSubject::Omit => None,
        }
    }
}

/// What is known of a request. Filled on the way, written when the answer's body ends.
pub(super) struct Record {
    pub(super) id: RequestId,
    /// `None` where Usher takes no part in traces.
    pub(super) trace: Option<TraceContext>,
    pub(super) started: Instant,
    pub(super) client: Arc<str>,
    pub(super) method: Method,
    pub(super) version: Version,
    /// `None` when the request was not admitted.
    pub(super) target: Option<Arc<Target>>,
    pub(super) route: Option<Arc<str>>,
    pub(super) issuer: Option<Arc<str>>,
    pub(super) subject: Option<Arc<str>>,
    pub(super) source: Option<Source>,
    /// Why the request was refused, and whose fault that is; `None` when the application answered.
    pub(super) refusal: Option<(Box<str>, &'static str)>,
    /// What that came of.
    pub(super) cause: Cause,
    /// Whether another proxy was told that the request may pass.
    pub(super) verified: bool,
    pub(super) status: StatusCode,
    /// Whether the answer changes the browser's cookies.
    pub(super) cookies: bool,
    pub(super) authentication: Stretch,
    /// What it had to do with a renewal, if it waited for one in that time.
    pub(super) waited: Option<Waited>,
    /// Until the head of the application's answer.
    pub(super) upstream: Option<Stretch>,
    /// From the request to the head of the answer.
    pub(super) head_after: Duration,
    bytes: u64,
    ending: Ending,
}

/// A part of a request's time.
#[derive(Clone, Copy, Default)]
pub(super) struct Stretch {
    /// From the beginning of the request to that of this.
    pub(super) after: Duration,
    /// From there to its end.
    pub(super) took: Duration,
}

/// What a refusal came of, as far as that matters to whoever counts or explains it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// What is kept of a request, or the day's troubles.
    Kept,
    /// What nobody keeps of one: its fields, its body, its connection.
    Unkept,
    /// How many came before it, which is not kept either.
    RateLimit,
    /// Nobody has signed in, or not as the route asks, or not lately: nothing that was presented speaks against anybody.
    NotSignedIn,
}

/// How the body of the answer ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It has not: the client went away.
    Cut,
    /// It was sent whole.
    Complete,
    /// The upstream broke off.
    Truncated,
    /// Usher broke off: whoever asked was signed out.
    SignedOut,
}

impl Record {
    pub(super) fn begin<B>(id: RequestId, client: Arc<str>, request: &Request<B>, now: Instant) -> Self {
        Self {
            id,
            trace: None,
            started: now,
            client,
            method: request.method().clone(),
            version: request.version(),
            target: None,
            route: None,
            issuer: None,
            subject: None,
            source: None,
            refusal: None,
            cause: Cause::Kept,
            verified: false,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            cookies: false,
            authentication: Stretch::default(),
            waited: None,
            upstream: None,
            head_after: Duration::ZERO,
            bytes: 0,
            ending: Ending::Cut,
        }
    }

    /// What is counted of it, once the head of the answer is there.
    pub(super) fn answered(&self) -> Answered {
        let sent_to_sign_in = self.is_sent_to_sign_in();
        let fault = self.refusal.as_ref().map(|(_, fault)| *fault).filter(|_| !sent_to_sign_in);
        Answered {
            status: self.status,
            fault,
            limited: self.cause == Cause::RateLimit,
            sent_to_sign_in,
            whole: self.head_after,
            upstream: self.upstream_took(),
            own: self.own(),
        }
    }

    /// Whether a browser goes from here to where people sign in, as everybody's does who comes for the first time. The log
    /// has its reason, and no operator has to look after it.
    pub(super) fn is_sent_to_sign_in(&self) -> bool {
        self.cause == Cause::NotSignedIn && self.status == StatusCode::FOUND
    }

    /// Whatever was not waiting for somebody else.
    fn own(&self) -> Duration {
        self.head_after
            .saturating_sub(self.upstream_took().unwrap_or_default())
            .saturating_sub(self.authentication.took)
    }

    fn upstream_took(&self) -> Option<Duration> {
        self.upstream.map(|upstream| upstream.took)
    }

    /// What a collector is told of it, where it is.
    pub(super) fn recording(&mut self) -> Option<&mut Recording> {
        self.trace.as_mut()?.recording.as_deref_mut()
    }

    /// What was decided.
    pub(super) fn decision(&self) -> &'static str {
        match (&self.refusal, self.upstream) {
            (Some(_), _) => "refused",
            (None, Some(_)) => "forwarded",
            (None, None) if self.verified => "verified",
            (None, None) => "answered",
        }
    }

    /// How the answer ended.
    pub(super) const fn ended(&self) -> &'static str {
        match self.ending {
            Ending::Cut => "cut",
            Ending::Complete => "complete",
            Ending::Truncated => "truncated",
            Ending::SignedOut => "signed out",
        }
    }

    fn write(&self) {
        // Microseconds: more digits would be noise.
        let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        let (reason, fault) =
            self.refusal.as_ref().map_or((None, None), |(reason, fault)| (Some(&**reason), Some(*fault)));
        tracing::info!(
            target: "usher::access",
            request_id = self.id.as_str(),
            trace_id = self.trace.as_ref().and_then(TraceContext::id),
            client = &*self.client,
            protocol = protocol(self.version),
            method = self.method.as_str(),
            host = self.target.as_ref().map(|target| &*target.host),
            path = self.target.as_ref().map(|target| target.path.as_str()),
            route = self.route.as_deref(),
            issuer = self.issuer.as_deref(),
            subject = self.subject.as_deref(),
            authenticated_by = self.source.map(|source| match source {
                Source::Header => "header",
                Source::Cookie => "cookie",
                Source::Renewal => "renewal",
                Source::Login => "login",
                Source::Certificate => "certificate",
            }),
            decision = self.decision(),
            reason,
            fault,
            status = self.status.as_u16(),
            cookies = self.cookies,
            bytes = self.bytes,
            ending = self.ended(),
            upstream_ms = self.upstream_took().map(millis),
            authentication_ms = millis(self.authentication.took),
            own_ms = millis(self.own()),
        );
    }
}

/// The name of a version in the log.
const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// The body of an answer, which writes the access log's line when it ends, in whatever way.
pub struct LoggedBody {
    body: Body,
    record: Box<Record>,
}

impl LoggedBody {
    pub(super) fn new(body: Body, mut record: Box<Record>) -> Self {
        if body.is_end_stream() {
            record.ending = Ending::Complete;
        }
        Self { body, record }
    }
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                self.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.body.is_end_stream() {
                    self.record.ending = Ending::Complete;
                }
            }
            Poll::Ready(Some(Err(BodyError::SessionOver))) => self.record.ending = Ending::SignedOut,
            Poll::Ready(Some(Err(error))) => {
                self.record.ending = Ending::Truncated;
                tracing::warn!(
                    fault = "upstream",
                    request_id = self.record.id.as_str(),
                    error = error as &dyn std::error::Error,
                    "the answer broke off: the client sees it cut"
                );
            }
            Poll::Ready(None) => self.record.ending = Ending::Complete,
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for LoggedBody {
    fn drop(&mut self) {
        self.record.write();
        if let Some(recording) = self.record.trace.as_ref().and_then(|trace| trace.recording.as_deref()) {
            recording.send(&self.record);
        }
    }
}
