//! How the request body is getting on, as seen by whoever waits for the answer.
//!
//! The body itself belongs to the connection that sends it. What the time-outs and the errors need to know of it is kept
//! here, shared between [`RequestBody`](super::RequestBody) and the response side; requests without a body have none.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::forwarding::error::ForwardError;

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

/// Why a request body ended early. Always the client's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadFailure {
    TooLarge,
    ClientIdle,
    ClientGone,
}

impl From<UploadFailure> for ForwardError {
    fn from(failure: UploadFailure) -> Self {
        match failure {
            UploadFailure::TooLarge => Self::RequestTooLarge,
            UploadFailure::ClientIdle => Self::ClientIdle,
            UploadFailure::ClientGone => Self::ClientGone,
        }
    }
}

/// The progress of one request body.
#[derive(Debug)]
pub(super) struct Upload {
    state: Mutex<(Progress, Instant)>,
    observer: AtomicWaker,
}

impl Upload {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new((Progress::AwaitingUpstream, Instant::now())), observer: AtomicWaker::new() }
    }

    /// Where it stands, and since when.
    pub(super) fn progress(&self) -> (Progress, Instant) {
        *self.lock()
    }

    /// Why it ended early, if it did.
    pub(super) fn failure(&self) -> Option<UploadFailure> {
        match self.lock().0 {
            Progress::Failed(failure) => Some(failure),
            Progress::AwaitingClient | Progress::AwaitingUpstream | Progress::Finished => None,
        }
    }

    /// When it last moved, while it is still going on.
    pub(super) fn moved(&self) -> Option<Instant> {
        match *self.lock() {
            (Progress::AwaitingClient | Progress::AwaitingUpstream, moved) => Some(moved),
            (Progress::Finished | Progress::Failed(_), _) => None,
        }
    }

    /// Wakes the task of `context` when the body ends.
    pub(super) fn observe(&self, context: &Context<'_>) {
        self.observer.register(context.waker());
    }

    /// Bytes went by.
    pub(super) fn advance(&self) {
        *self.lock() = (Progress::AwaitingUpstream, Instant::now());
    }

    /// The upstream wants more, and the client has not sent it yet. That moves nothing, so the time stays.
    pub(super) fn await_client(&self) {
        self.lock().0 = Progress::AwaitingClient;
    }

    /// The last byte went by.
    pub(super) fn finish(&self) {
        *self.lock() = (Progress::Finished, Instant::now());
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
        *self.lock() = (Progress::Failed(failure), Instant::now());
        self.observer.wake();
    }

    fn lock(&self) -> MutexGuard<'_, (Progress, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
