//! What goes wrong on the connection, counted: after some in a row, or at once where the link is of no use, it is given up.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::Notify;

use super::super::Away;
use crate::clock::Clock;
use crate::config::Arrangement;

/// Failures in a row that open the circuit.
const OPENS_AFTER: u32 = 3;

/// A refusal that a try to connect does not meet is said once in so long.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(60);

/// How the operations of one link went, and since when they go well again.
pub(super) struct Circuit {
    failures: AtomicU32,
    /// The link is of no use.
    open: Notify,
    regained_at: Mutex<Option<Instant>>,
    /// When somebody was last told that the user lacks a right.
    complained_at: Mutex<Option<Instant>>,
    clock: Clock,
}

impl Circuit {
    pub(super) fn new(clock: Clock) -> Self {
        let (regained_at, complained_at) = (Mutex::default(), Mutex::default());
        Self { failures: AtomicU32::new(0), open: Notify::new(), regained_at, complained_at, clock }
    }

    /// An operation went well.
    pub(super) fn succeeded(&self) {
        // Most of the time nothing is to be written to what all threads read.
        if self.failures.load(Ordering::Relaxed) > 0 && self.failures.swap(0, Ordering::Relaxed) > 0 {
            self.regained();
        }
    }

    /// The server is there again, and has not been in between.
    pub(super) fn regained(&self) {
        let now = self.clock.instant();
        *self.regained_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// The server, or the network, answered an operation with an error.
    pub(super) fn failed(&self, error: &RedisError, arrangement: &Arrangement) -> Away {
        // What somebody else has put under a key of ours says nothing of other keys.
        if error.code() == Some("WRONGTYPE") {
            tracing::debug!("a key of the shared store holds what is not a string");
            return Away;
        }
        if let ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError) = error.kind() {
            self.complain(error);
        }
        let useless = match error.kind() {
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => true,
            // One server that refuses an operation is read only, full, or starting, and refuses the next one too. Of a
            // Cluster it is one part.
            ErrorKind::Server(_) | ErrorKind::Extension => *arrangement != Arrangement::Cluster,
            _ => error.is_unrecoverable_error(),
        };
        tracing::debug!(code = error.code(), kind = ?error.kind(), "an operation of the shared store failed");
        self.count_failure(useless)
    }

    /// The connection is good, so whoever connects anew meets nothing of it; in a script, the want of a right has no code of its
    /// own.
    fn complain(&self, error: &RedisError) {
        let now = self.clock.instant();
        let mut last = self.complained_at.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.duration_since(last) >= BETWEEN_COMPLAINTS) {
            *last = Some(now);
            tracing::warn!(
                fault = "store",
                error = error.detail(),
                remedy = "give its user the rights that the README lists: usher doctor tries them",
                "the shared store refuses an operation"
            );
        }
    }

    /// An operation got no answer in time.
    pub(super) fn timed_out(&self) -> Away {
        tracing::debug!("an operation of the shared store took too long");
        self.count_failure(false)
    }

    fn count_failure(&self, useless: bool) -> Away {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if useless || failures >= OPENS_AFTER {
            self.opens();
        }
        Away
    }

    /// The link is of no use.
    pub(super) fn opens(&self) {
        self.open.notify_one();
    }

    /// Waits until the link is of no use.
    pub(super) async fn opened(&self) {
        self.open.notified().await;
    }

    /// Forgets what was said of the link before this one.
    pub(super) fn closes(&self) {
        self.failures.store(0, Ordering::Relaxed);
        let _of_the_last = self.open.notified().now_or_never();
    }

    /// Since when the server is there again, if it was away.
    pub(super) fn regained_at(&self) -> Option<Instant> {
        *self.regained_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
