//! Whether this process wants traffic: what `/readyz` answers.

use tokio_util::sync::CancellationToken;

/// Ready until a drain begins. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    draining: CancellationToken,
}

impl Readiness {
    /// Whether new traffic is welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.draining.is_cancelled()
    }

    /// From now on it is not; there is no way back.
    pub fn begin_drain(&self) {
        self.draining.cancel();
    }

    /// Waits for the drain to begin.
    pub async fn drain_begins(&self) {
        self.draining.cancelled().await;
    }
}
