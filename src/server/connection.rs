//! HTTP on one connection, from its first byte to its goodbye.
//!
//! ALPN alone decides between HTTP/2 and HTTP/1.1 (RFC 7301). Nothing is sniffed, so there is no phase in which a peer
//! could stall before either protocol's time-outs begin: 23 bytes of the HTTP/2 preface on an HTTP/1.1 connection are a
//! request line that does not end. Plain listeners speak HTTP/1.1 only.
//!
//! hyper's parsers bound what they read; [`Activity`] bounds how long that takes. A connection is said goodbye to
//! (*retired*) when the server drains, when it is old or idle, or when its client gives most of its requests up: HTTP/2
//! with GOAWAY, HTTP/1.1 with `Connection: close` on the answer at hand.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Silence};
use super::drive::{Stopped, drive};
use super::limits::Permit;
use super::service::{Handler, Latest};
use super::stream::StreamExecutor;
use super::wire::{Transport, Wire};
use crate::clock::Timestamp;
use crate::config::Limits;
use crate::gateway::Connection;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// hyper's smallest and our usual bound of an HTTP/1.1 connection's buffers, each way.
const H1_BUFFER: usize = 64 * 1024;

/// The header fields that hyper accepts unless told otherwise.
const HYPER_HEADER_COUNT: usize = 100;

/// What a client may send on an HTTP/2 connection, and on one of its streams, before we have read it. As much is held in
/// memory at most.
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
const H2_STREAM_WINDOW: u32 = 256 * 1024;

/// What is held of an HTTP/2 response that its client has not read.
const H2_SEND_BUFFER: usize = 128 * 1024;

/// Streams that a client may open and reset before we have looked at them (rapid reset, CVE-2023-44487), and streams that
/// we reset for its mistakes, before it loses the connection.
const H2_PENDING_RESETS: usize = 20;
const H2_ERROR_RESETS: usize = 64;

/// A lively HTTP/2 connection is asked for a sign of life so often: a peer that vanished without a FIN is noticed while
/// its streams wait for it.
const H2_PING: Duration = Duration::from_secs(30);

/// How long writing a 408 may take.
const LAST_WORDS: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncache-control: no-store\r\ncontent-length: 0\r\n\r\n";

/// How long a connection that arrives in a drain may take for the head of its only request.
const LATE_REQUEST: Duration = Duration::from_secs(2);

/// How HTTP is spoken on all connections.
#[derive(Clone, Debug)]
pub(super) struct Http {
    limits: Limits,
    http1: http1::Builder,
    http2: http2::Builder<StreamExecutor>,
    panics: Arc<AtomicU64>,
}

impl Http {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, http1: http1_builder(&limits), http2: http2_builder(&limits), panics: Arc::default() }
    }

    /// Speaks `protocol` on a connection that has arrived at `now`, until it ends. It is said goodbye to when the certificate
    /// of its client expires: whoever has another one by then is to connect with that.
    pub(super) async fn serve<H: Handler>(
        &self,
        arrived: Arrived,
        handler: Arc<ArcSwap<H>>,
        drain: &CancellationToken,
        now: Timestamp,
    ) {
        let Arrived { protocol, transport, connection, permit, alive } = arrived;
        let late = drain.is_cancelled();
        let mut limits = if late { lessened(self.limits) } else { self.limits };
        if let Some(expires_at) = connection.expires_at() {
            limits.connection_age = limits.connection_age.min(expires_at.since(now));
        }
        let activity = Arc::new(Activity::new(protocol, limits, Instant::now));
        let wire = Wire::new(transport, Arc::clone(&activity), permit, alive);
        let service = Latest::new(handler, connection, &activity, self.limits.header_count, &self.panics);
        match protocol {
            // Its drain has been seen to by `late`.
            Protocol::Http1 if late => self.serve_http1(wire, service, &activity, None).await,
            Protocol::Http1 => self.serve_http1(wire, service, &activity, Some(drain)).await,
            Protocol::Http2 => self.serve_http2(wire, service, &activity, drain).await,
        }
    }

    async fn serve_http1<H: Handler>(
        &self,
        mut wire: Wire,
        service: Latest<H>,
        activity: &Activity,
        drain: Option<&CancellationToken>,
    ) {
        let mut builder = self.http1.clone();
        // A connection that arrives in a drain may still bring the one request it was opened for.
        builder.keep_alive(drain.is_some());
        let mut respond = service_fn(move |request| service.respond(request));
        loop {
            // Boxed: while the connection rests, there is none.
            let mut connection = Box::new(builder.serve_connection(TokioIo::new(wire), respond).with_upgrades());
            let stopped = match drive(Pin::new(&mut *connection), activity, drain).await {
                Stopped::Ended => return,
                stopped => stopped,
            };
            let Some(parts) = connection.into_parts() else { return };
            (wire, respond) = (parts.io.into_inner(), parts.service);
            match (stopped, drain) {
                (Stopped::Resting, Some(drain)) => {
                    wire.give_back(parts.read_buf);
                    if !rest(&mut wire, activity, drain).await {
                        return;
                    }
                }
                (Stopped::Silent(silence), _) => {
                    tracing::debug!(?silence, "closed a silent HTTP/1.1 connection");
                    if silence == Silence::Reading {
                        activity.cuts();
                    }
                    if silence == (Silence::Head { begun: true }) {
                        request_timeout(wire).await;
                    }
                    return;
                }
                _ => return,
            }
        }
    }

    async fn serve_http2<H: Handler>(
        &self,
        wire: Wire,
        service: Latest<H>,
        activity: &Activity,
        drain: &CancellationToken,
    ) {
        let respond = service_fn(move |request| service.respond(request));
        let mut connection = Box::pin(self.http2.serve_connection(TokioIo::new(wire), respond));
        if let Stopped::Silent(silence) = drive(connection.as_mut(), activity, Some(drain)).await {
            tracing::debug!(?silence, "closed a silent HTTP/2 connection");
        }
    }
}

/// The bounds of a connection that arrives in a drain: it must not hold that up by saying nothing.
fn lessened(limits: Limits) -> Limits {
    Limits { header_timeout: limits.header_timeout.min(LATE_REQUEST), ..limits }
}

/// A connection that HTTP can be spoken on.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) protocol: Protocol,
    pub(super) transport: Transport,
    pub(super) connection: Connection,
    pub(super) permit: Permit,
    /// What a drain waits for.
    pub(super) alive: tokio_util::task::task_tracker::TaskTrackerToken,
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // It would run between requests as well, and closes without a 408: `Activity` has two time-outs instead.
        .header_read_timeout(None)
        .max_header_size(header_bytes)
        .max_buf_size(header_bytes.max(H1_BUFFER))
        // A client that closes its side has gone, as far as TLS can tell: its request is given up, and the upstream's
        // connection with it.
        .half_close(false)
        // It would go round the bound of the write buffer when a slow reader sends many requests.
        .pipeline_flush(false);
    // Any figure but hyper's own costs an allocation for each request.
    if limits.header_count != HYPER_HEADER_COUNT {
        builder.max_headers(limits.header_count);
    }
    builder
}

fn http2_builder(limits: &Limits) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(StreamExecutor { patience: limits.body_timeout });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(limits.header_bytes)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(H2_ERROR_RESETS)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(limits.handshake_timeout);
    builder
}

/// Waits for the next request on a connection that nobody speaks HTTP on at the moment; says whether one comes. What HTTP
/// would hold for it, 16 KiB of buffers and more, is what most of an idle connection's memory would be.
async fn rest(wire: &mut Wire, activity: &Activity, drain: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = poll_fn(|context| wire.poll_readable(context)) => return true,
        () = drain.cancelled() => {}
        () = sleep_until(activity.rest_ends_at()) => {}
    }
    // The peer may not be reading.
    let _ = timeout(LAST_WORDS, wire.shutdown()).await;
    false
}

/// Tells a client whose request never came to its end so.
async fn request_timeout(mut wire: Wire) {
    let farewell = async {
        wire.write_all(REQUEST_TIMEOUT).await?;
        wire.shutdown().await
    };
    // The peer may be gone, or not reading either.
    let _ = timeout(LAST_WORDS, farewell).await;
}
