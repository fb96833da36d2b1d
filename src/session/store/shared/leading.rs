//! The lease of a token that is being spent here, and until when it is surely this instance's.

use std::time::Duration;

use super::super::sheet::{ChainId, Sheet};
use crate::clock::Now;

/// Whoever leads and does not say that it is alive for so long is taken for dead. The others go on within five seconds.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// How often it says so.
pub(in crate::session::store) const HEARTBEAT: Duration = Duration::from_secs(1);

/// One of the tokens that are being spent here.
#[derive(Clone)]
pub(super) struct Leading {
    pub(super) chain: ChainId,
    /// The chain as it was when the token was claimed.
    pub(super) claimed: Sheet,
    /// When the server was asked for the lease that it has given. Its own begins after that, so nobody takes over before this
    /// one ends.
    pub(super) held_at: Now,
}

impl Leading {
    /// Whether the lease was given so shortly ago. By both clocks: the monotonic one goes on while the process is stopped, but not
    /// on Linux while the machine is suspended, and the other one does.
    pub(super) fn is_held_within(&self, length: Duration, now: Now) -> bool {
        let by_both =
            now.instant.saturating_duration_since(self.held_at.instant).max(now.wall.since(self.held_at.wall));
        by_both < length
    }
}
