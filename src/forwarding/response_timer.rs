//! How long a request may wait for the head of its answer.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::Timeouts;
use crate::forwarding::error::ForwardError;
use crate::forwarding::silence::deadline;
use crate::forwarding::upload::{Progress, Upload};

/// A timer that fires so much too late says that this process did not run; the answer may have come meanwhile, and nobody
/// has had a chance to read it.
const OVERSLEPT: Duration = Duration::from_millis(250);
/// Long enough for that.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// Counts from the last byte of the request, so that a long upload is no fault; while the upload goes on, only silence
/// in it counts, and its pace where the upstream has a connection for it alone: behind that, many an application has one
/// of a few workers, which a few clients could keep busy byte by byte. Once the head of the answer is there, both sides
/// may talk as slowly as they like.
pub(super) struct ResponseTimer<'t> {
    timeouts: &'t Timeouts,
    upload: Option<Arc<Upload>>,
    paced: bool,
    started: Instant,
    overslept: AtomicBool,
}

impl<'t> ResponseTimer<'t> {
    pub(super) fn new(timeouts: &'t Timeouts, upload: Option<Arc<Upload>>, paced: bool) -> Self {
        Self { timeouts, upload, paced, started: Instant::now(), overslept: AtomicBool::new(false) }
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
            if deadline < sleep.deadline() && !self.overslept.load(Relaxed) {
                sleep.as_mut().reset(deadline);
            }
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            let late = now.checked_duration_since(deadline);
            match late {
                Some(late) if late > OVERSLEPT && !self.overslept.swap(true, Relaxed) => {
                    sleep.as_mut().reset(now + SECOND_LOOK);
                }
                Some(_) => return Poll::Ready(error),
                None => sleep.as_mut().reset(deadline),
            }
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
