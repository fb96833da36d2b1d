//! How the request body is getting on, as seen by whoever waits for the answer.
//!
//! The body itself belongs to the connection that sends it. What the time-outs and the errors need to know of it is kept
//! here, shared between [`RequestBody`](super::RequestBody) and the response side; requests without a body have none.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::forwarding::error::ForwardError;
use crate::forwarding::silence::deadline;

/// A client that sends slower than this, in bytes per second, is not sending.
const SLOWEST_CLIENT: u64 = 256;

/// Where a request body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The next bytes are the client's to send.
    AwaitingClient,
    /// The next bytes are the upstream's to take.
    AwaitingUpstream,
    /// The last byte was taken, or the upstream wants no more.
    Finished,
    /// It ended early.
    Failed(UploadFailure),
}

/// Why a request body ended early. The client's doing, but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadFailure {
    TooLarge,
    ClientIdle,
    ClientGone,
    SessionOver,
}

impl From<UploadFailure> for ForwardError {
    fn from(failure: UploadFailure) -> Self {
        match failure {
            UploadFailure::TooLarge => Self::RequestTooLarge,
            UploadFailure::ClientIdle => Self::ClientIdle,
            UploadFailure::ClientGone => Self::ClientGone,
            UploadFailure::SessionOver => Self::SessionOver,
        }
    }
}

/// The progress of one request body.
#[derive(Debug)]
pub(super) struct Upload {
    state: Mutex<State>,
    /// How long the client may keep the upstream waiting in all, beside what its bytes are worth.
    grace: Duration,
    observer: AtomicWaker,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    /// When it last moved.
    moved: Instant,
    bytes: u64,
    /// How long the client has kept the upstream waiting, the wait that lasts not counted.
    waited: Duration,
    /// Since when the client keeps the upstream waiting.
    waiting_since: Option<Instant>,
}

impl State {
    fn go_to(&mut self, progress: Progress) {
        let now = Instant::now();
        if let Some(since) = self.waiting_since.take() {
            self.waited = self.waited.saturating_add(now.saturating_duration_since(since));
        }
        (self.progress, self.moved) = (progress, now);
    }
}

impl Upload {
    pub(super) fn new(grace: Duration) -> Self {
        let state = State {
            progress: Progress::AwaitingUpstream,
            moved: Instant::now(),
            bytes: 0,
            waited: Duration::ZERO,
            waiting_since: None,
        };
        Self { state: Mutex::new(state), grace, observer: AtomicWaker::new() }
    }

    /// That of the same body, sent from its beginning again.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.grace)
    }

    /// Where it stands, and since when.
    pub(super) fn progress(&self) -> (Progress, Instant) {
        let state = self.lock();
        (state.progress, state.moved)
    }

    /// Until when the client must have sent more to be faster than the slowest that is waited for. Only what it keeps the
    /// upstream waiting counts: one that is held up by the upstream is not slow.
    pub(super) fn pace_deadline(&self) -> Option<Instant> {
        let state = self.lock();
        let worth = Duration::from_secs(state.bytes / SLOWEST_CLIENT);
        let left = self.grace.saturating_add(worth).saturating_sub(state.waited);
        state.waiting_since.map(|since| deadline(since, left))
    }

    /// Why it ended early, if it did.
    pub(super) fn failure(&self) -> Option<UploadFailure> {
        match self.lock().progress {
            Progress::Failed(failure) => Some(failure),
            Progress::AwaitingClient | Progress::AwaitingUpstream | Progress::Finished => None,
        }
    }

    /// When it last moved, while it is still going on.
    pub(super) fn moved(&self) -> Option<Instant> {
        match self.progress() {
            (Progress::AwaitingClient | Progress::AwaitingUpstream, moved) => Some(moved),
            (Progress::Finished | Progress::Failed(_), _) => None,
        }
    }

    /// Wakes the task of `context` when the body ends.
    pub(super) fn observe(&self, context: &Context<'_>) {
        self.observer.register(context.waker());
    }

    /// Bytes went by.
    pub(super) fn advance(&self, bytes: usize) {
        let mut state = self.lock();
        state.go_to(Progress::AwaitingUpstream);
        state.bytes = state.bytes.saturating_add(bytes as u64);
    }

    /// The upstream wants more, and the client has not sent it yet. That moves nothing, so the time stays.
    pub(super) fn await_client(&self) {
        let mut state = self.lock();
        state.progress = Progress::AwaitingClient;
        state.waiting_since.get_or_insert_with(Instant::now);
    }

    /// The last byte went by.
    pub(super) fn finish(&self) {
        self.lock().go_to(Progress::Finished);
        self.observer.wake();
    }

    /// The upstream wants no more. A body that ended already stays as it ended.
    pub(super) fn abandon(&self) {
        if self.moved().is_some() {
            self.finish();
        }
    }

    /// The body ended early.
    pub(super) fn fail(&self, failure: UploadFailure) {
        self.lock().go_to(Progress::Failed(failure));
        self.observer.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
