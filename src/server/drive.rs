//! Running a connection: while something happens on it, and until it has to end.
//!
//! A goodbye (the drain, age, idleness, a client that gives too much up) ends in [`Retire::retire`]; a silence that lasts
//! too long, in the connection being dropped.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Silence, Verdict};
use super::stream::StreamExecutor;
use super::wire::Wire;

/// A connection of hyper's that can be told to accept no more requests.
pub(super) trait Retire: Future<Output = hyper::Result<()>> {
    fn retire(self: Pin<&mut Self>);
}

impl<S> Retire for http1::UpgradeableConnection<TokioIo<Wire>, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming>,
    Self: Future<Output = hyper::Result<()>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn retire(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Retire for http2::Connection<TokioIo<Wire>, S, StreamExecutor>
where
    S: hyper::service::HttpService<hyper::body::Incoming>,
    Self: Future<Output = hyper::Result<()>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    StreamExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn retire(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Why a connection is run no further.
pub(super) enum Stopped {
    /// It has come to its end.
    Ended,
    /// It has to be dropped for this silence.
    Silent(Silence),
    /// Nothing is under way on it: whoever holds it may take it apart until the peer says something.
    Resting,
}

/// Runs `connection` for as long as something happens on it.
pub(super) async fn drive<C: Retire>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    drain: Option<&CancellationToken>,
) -> Stopped {
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut goodbye = pin!(async {
        match drain {
            Some(drain) => drain.cancelled().await,
            None => std::future::pending().await,
        }
    });
    let mut retired = false;
    loop {
        // The connection before its goodbye: what has arrived by then is still answered. An answer that the same poll
        // finds ready must say that it is the last, though.
        let step = poll_fn(|context| {
            let leaves = !retired && goodbye.as_mut().poll(context).is_ready();
            if leaves {
                activity.leaves();
            }
            match poll_whole(connection.as_mut(), activity, context) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if leaves => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        tokio::select! {
            biased;
            ended = step => match ended {
                None => {}
                Some(ended) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke");
                    }
                    return Stopped::Ended;
                }
            },
            () = activity.too_much() => {
                if retired && activity.ignores_goodbye() {
                    return Stopped::Silent(Silence::Closing);
                }
                if retired {
                    continue;
                }
                tracing::debug!("a client gives up more requests than it waits for");
            }
            () = timer.as_mut() => match activity.verdict(Instant::now()) {
                Verdict::Wait(_) if !retired && activity.rests(Instant::now()) => return Stopped::Resting,
                Verdict::Wait(until) => {
                    timer.as_mut().reset(until);
                    continue;
                }
                Verdict::Retire => timer.as_mut().reset(Instant::now()),
                Verdict::Abort(silence) => return Stopped::Silent(silence),
            },
        }
        retired = true;
        activity.retire();
        connection.as_mut().retire();
    }
}

/// How often a connection is polled for what it has yet to send, before others have their turn; a timer looks again.
const FLUSHES: usize = 4;

/// Polls a connection until it has nothing more to do, and what it has written is on its way.
fn poll_whole<C: Retire>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    context: &mut Context<'_>,
) -> Poll<hyper::Result<()>> {
    let mut polled = connection.as_mut().poll(context);
    // What is written while it is flushed, such as the answer to a ping, is flushed the next time.
    for _ in 0..FLUSHES {
        if polled.is_ready() || !activity.flush_is_due() {
            break;
        }
        polled = connection.as_mut().poll(context);
    }
    polled
}
