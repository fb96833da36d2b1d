//! Work that outlives the request that caused it: renewals, key fetches, revocations.
//!
//! There is one place where such work is started, so that a drain can wait for it and nothing is lost with a client's
//! connection (R2 of the refresh protocol). The tasks run on a runtime of their own: a worker that serves requests never
//! stalls behind them, and ends without taking them along.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The handle through which background work is started. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
    finishing: CancellationToken,
    last: TaskTracker,
    concluding: CancellationToken,
}

impl Tasks {
    /// Background work on the given runtime.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        let (tracker, last) = (TaskTracker::new(), TaskTracker::new());
        Self { runtime, tracker, finishing: CancellationToken::new(), last, concluding: CancellationToken::new() }
    }

    /// Starts `work`; it runs to its end whether or not anybody waits for it.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.tracker.spawn_on(work, &self.runtime));
    }

    /// Starts work that other work stands on, such as a connection that is kept open. It ends when it sees that nobody needs
    /// it, or with the process: nobody waits for it.
    pub fn attend(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(work));
    }

    /// Starts work that passes on what all other work leaves behind. It hears when that has ended, and is to end soon then.
    pub fn conclude<W: Future<Output = ()> + Send + 'static>(&self, work: impl FnOnce(CancellationToken) -> W) {
        drop(self.last.spawn_on(work(self.concluding.clone()), &self.runtime));
    }

    /// Waits so long between two attempts at something, or until the process is about to end.
    pub async fn rest(&self, duration: Duration) {
        // An error says that the time was up.
        let _finishing = tokio::time::timeout(duration, self.finishing.cancelled()).await;
    }

    /// Waits until all work has ended, or at most `patience`, and then as long for the work that concludes. Returns whether
    /// both had.
    pub async fn finish(&self, patience: Duration) -> bool {
        self.finishing.cancel();
        self.tracker.close();
        let ended = tokio::time::timeout(patience, self.tracker.wait()).await.is_ok();
        self.concluding.cancel();
        self.last.close();
        tokio::time::timeout(patience, self.last.wait()).await.is_ok() && ended
    }
}
