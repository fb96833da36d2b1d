//! HTTP/2 streams whose client has stopped reading.
//!
//! A client can keep one stream's window shut while its connection is lively: no write ever blocks, and hyper waits for
//! the window for ever, with the upstream's connection in its hand. The response body knows when hyper has taken a frame
//! and not come back for the next; the stream's task, which [`StreamExecutor`] starts, watches for that and gives the
//! stream up (hyper then resets it) without harm to the other streams of the connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

tokio::task_local! {
    static PROGRESS: Arc<Progress>;
}

/// How far the client has taken a response.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The number of the frame that the client is taking; zero: it is not the client that is being waited for.
    with_client: AtomicU64,
}

impl Progress {
    /// That of the stream whose task is running; `None` on HTTP/1.1, which is not multiplexed.
    pub(super) fn current() -> Option<Arc<Self>> {
        PROGRESS.try_with(Arc::clone).ok()
    }

    /// Frame number `frame`, counted from one, has been handed over.
    pub(super) fn handed_over(&self, frame: u64) {
        self.with_client.store(frame, Relaxed);
    }

    /// The next frame was asked for: until there is one, it is us who are being waited for.
    pub(super) fn asked(&self) {
        self.with_client.store(0, Relaxed);
    }
}

/// Starts the tasks of an HTTP/2 connection's streams, on the worker's runtime.
#[derive(Clone, Debug)]
pub(super) struct StreamExecutor {
    /// How long a client may take for one frame.
    pub(super) patience: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let progress = Arc::<Progress>::default();
        let watched =
            Watched { stream, progress: Arc::clone(&progress), seen: 0, patience: self.patience, timer: None };
        drop(tokio::spawn(PROGRESS.scope(progress, watched)));
    }
}

pin_project! {
    /// A stream's task; ends early when the client has had one frame for longer than `patience`.
    struct Watched<F> {
        #[pin]
        stream: F,
        progress: Arc<Progress>,
        seen: u64,
        patience: Duration,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let frame = this.progress.with_client.load(Relaxed);
        if frame == 0 {
            return Poll::Pending;
        }
        // Most responses are taken at once and never get here, so a timer is made only now.
        if frame != *this.seen {
            *this.seen = frame;
            this.timer.set(Some(sleep(*this.patience)));
        }
        let Some(timer) = this.timer.as_pin_mut() else { return Poll::Pending };
        timer.poll(cx).map(|()| tracing::debug!("gave up an HTTP/2 stream whose client does not read"))
    }
}
