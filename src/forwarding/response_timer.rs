//! How long a request may wait for the head of its answer.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::Timeouts;
use crate::forwarding::error::ForwardError;
use crate::forwarding::silence::deadline;
use crate::forwarding::upload::{Progress, Upload};

/// Counts from the last byte of the request, so that a long upload is no fault; while the upload goes on, only silence
/// in it counts, and its pace where the upstream has a connection for it alone: behind that, many an application has one
/// of a few workers, which a few clients could keep busy byte by byte. Once the head of the answer is there, both sides
/// may talk as slowly as they like.
pub(super) struct ResponseTimer<'t> {
    timeouts: &'t Timeouts,
    upload: Option<Arc<Upload>>,
    paced: bool,
    started: Instant,
}

impl<'t> ResponseTimer<'t> {
    pub(super) fn new(timeouts: &'t Timeouts, upload: Option<Arc<Upload>>, paced: bool) -> Self {
        Self { timeouts, upload, paced, started: Instant::now() }
    }

    /// The timer itself, which the caller pins on its stack.
    pub(super) fn sleep(&self) -> Sleep {
        sleep_until(self.verdict().0)
    }

    pub(super) const fn timeouts(&self) -> &'t Timeouts {
        self.timeouts
    }

    /// The progress of the request body, if there is one.
    pub(super) fn upload(&self) -> Option<&Arc<Upload>> {
        self.upload.as_ref()
    }

    /// Ready when waiting has lasted too long, with who is to blame.
    pub(super) fn poll(&self, mut sleep: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<ForwardError> {
        if let Some(upload) = &self.upload {
            upload.observe(context);
        }
        loop {
            let (deadline, error) = self.verdict();
            // Later deadlines are found when the timer fires; an earlier one comes when the upload is finished.
            if deadline < sleep.deadline() {
                sleep.as_mut().reset(deadline);
            }
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(error);
            }
            sleep.as_mut().reset(deadline);
        }
    }

    fn verdict(&self) -> (Instant, ForwardError) {
        let Some(upload) = &self.upload else {
            return (deadline(self.started, self.timeouts.response), ForwardError::ResponseTimedOut);
        };
        let (progress, moved) = upload.progress();
        // A body that waited for a connection was not silent.
        let moved = moved.max(self.started);
        match progress {
            Progress::AwaitingClient => {
                let silence = deadline(moved, self.timeouts.idle);
                let pace = upload.pace_deadline().filter(|_| self.paced);
                (pace.map_or(silence, |pace| pace.min(silence)), ForwardError::ClientIdle)
            }
            Progress::AwaitingUpstream => (deadline(moved, self.timeouts.idle), ForwardError::UploadStalled),
            Progress::Finished => (deadline(moved, self.timeouts.response), ForwardError::ResponseTimedOut),
            Progress::Failed(failure) => (moved, failure.into()),
        }
    }
}
