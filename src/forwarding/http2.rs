//! HTTP/2 connections to one address: few, shared by all requests of the worker, each driven by a task of its own.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;

use crate::forwarding::backend::Backend;
use crate::forwarding::connect::Learnt;
use crate::forwarding::error::ConnectError;
use crate::forwarding::http1::Unanswered;
use crate::forwarding::request_body::RequestBody;
use crate::forwarding::response_timer::ResponseTimer;
use crate::forwarding::stream::{Heard, Stream};

/// Bounds what one slow reader holds in memory.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Enough for all streams of a connection to have their window full, so that slow readers do not stall the others.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;

/// The largest response head that is read, as RFC 9113 §6.5.2 counts it.
const HEADER_LIST: u32 = 128 * 1024;

/// With so many requests on every connection, or as many as the peer takes, one more is opened.
pub(super) const STREAMS: usize = 100;

/// How many connections are opened at most; above that, requests queue for a stream.
pub(super) const CONNECTIONS: usize = 8;

/// A peer that does not answer pings for so long is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// One connection. Whoever uses it holds a clone of its `Arc`, which is how its streams are counted.
pub(super) struct Http2 {
    sender: SendRequest<RequestBody>,
    used: AtomicBool,
    heard: Heard,
}

/// The connections to one address.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: Vec<Arc<Http2>>,
    /// The attempt in progress: one at a time, however many requests wait for it.
    attempt: Option<watch::Receiver<Outcome>>,
}

impl State {
    fn idlest(&self) -> Option<&Arc<Http2>> {
        self.connections.iter().min_by_key(|connection| Arc::strong_count(connection))
    }
}

/// How an attempt to connect ended, once it has.
type Outcome = Option<Result<(), ConnectError>>;

/// What to do for a connection.
pub(super) enum Step {
    /// Use this one.
    Use(Arc<Http2>),
    /// Somebody connects already.
    Wait(watch::Receiver<Outcome>),
    /// Connect, and tell the others.
    Connect(watch::Sender<Outcome>, watch::Receiver<Outcome>),
}

impl Http2 {
    /// HTTP/2 on a connection that stands. Must be called on the worker's runtime, where the connection lives on.
    pub(super) async fn new(stream: Stream, learnt: &Arc<Learnt>) -> Result<Arc<Self>, ConnectError> {
        let (heard, learnt) = (stream.heard(), Arc::clone(learnt));
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(learnt.streams.load(Ordering::Relaxed))
            .max_send_buf_size(STREAM_WINDOW as usize)
            .max_header_list_size(HEADER_LIST)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|cause| ConnectError::Http(cause.into()))?;
        // How the connection ends, its streams are told one by one.
        drop(tokio::spawn(async move {
            let mut connection = pin!(connection);
            let end = poll_fn(|context| {
                let polled = connection.as_mut().poll(context);
                let most = connection.current_max_send_streams().clamp(1, STREAMS);
                // Workers share it: what stays as it is costs none of them a write.
                if learnt.streams.load(Ordering::Relaxed) != most {
                    learnt.streams.store(most, Ordering::Relaxed);
                }
                polled
            });
            drop(end.await);
        }));
        Ok(Arc::new(Self { sender, used: AtomicBool::new(false), heard }))
    }

    /// Notes that the connection is used. Returns whether it was before.
    pub(super) fn mark_used(&self) -> bool {
        self.used.swap(true, Ordering::Relaxed)
    }

    /// How often the peer has said something, on whichever stream.
    pub(super) fn heard(&self) -> u64 {
        self.heard.so_far()
    }

    /// Sends a request and waits for the head of its answer. Dropping the future resets the stream.
    pub(super) async fn exchange(
        &self,
        request: Box<Request<RequestBody>>,
        timer: &ResponseTimer<'_>,
    ) -> Result<Response<Incoming>, Box<Unanswered>> {
        let mut sending = pin!(self.sender.clone().try_send_request(*request));
        let mut sleep = pin!(timer.sleep());
        poll_fn(|context| match sending.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(outcome.map_err(|error| Unanswered::new(error, timer, false))),
            Poll::Pending => timer.poll(sleep.as_mut(), context).map(|error| Err(Unanswered::given_up(error))),
        })
        .await
    }
}

impl Shared {
    /// The least busy connection, or what to do to get one.
    pub(super) fn step(&self, learnt: &Learnt) -> Step {
        let most = learnt.streams.load(Ordering::Relaxed);
        let mut state = self.open();
        if let Some(connection) = state.idlest()
            && (Arc::strong_count(connection) <= most || state.connections.len() >= CONNECTIONS)
        {
            return Step::Use(Arc::clone(connection));
        }
        if let Some(attempt) = &state.attempt
            && attempt.has_changed().is_ok()
        {
            return Step::Wait(attempt.clone());
        }
        let (sender, receiver) = watch::channel(None);
        state.attempt = Some(receiver.clone());
        Step::Connect(sender, receiver)
    }

    /// The least busy connection, however busy that is.
    pub(super) fn idlest(&self) -> Option<Arc<Http2>> {
        self.open().idlest().cloned()
    }

    /// Adds a connection for everybody.
    pub(super) fn add(&self, connection: Arc<Http2>) {
        self.state().connections.push(connection);
    }

    /// Takes a connection out that failed; the requests on it are not disturbed.
    pub(super) fn discard(&self, connection: &Arc<Http2>) {
        self.state().connections.retain(|other| !Arc::ptr_eq(other, connection));
    }

    fn attempt_ended(&self) {
        self.state().attempt = None;
    }

    /// What there is, less the connections that are closed.
    fn open(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.connections.retain(|connection| !connection.sender.is_closed());
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects for everybody who waits. The work goes on when the request that caused it is cancelled.
pub(super) fn connect_for_all(backend: Arc<Backend>, limit: Duration, outcome: watch::Sender<Outcome>) {
    drop(tokio::spawn(async move {
        let result = backend.connect_shared(limit).await;
        backend.shared().attempt_ended();
        let _ = outcome.send(Some(result));
    }));
}

/// Waits for the attempt of somebody else.
pub(super) async fn wait(mut attempt: watch::Receiver<Outcome>) -> Result<(), ConnectError> {
    match attempt.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or(Err(ConnectError::Lost)),
        Err(_) => Err(ConnectError::Lost),
    }
}
