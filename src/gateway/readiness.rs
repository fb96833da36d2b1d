//! Whether this process wants traffic, and what it does without at the moment: what `/readyz` answers.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio_util::sync::CancellationToken;

use crate::issuer::Issuers;
use crate::session::shared::{Connection, Server as _};

/// Ready until a drain begins. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    draining: CancellationToken,
    issuers: Arc<ArcSwapOption<Issuers>>,
    store: Arc<ArcSwapOption<Connection>>,
}

impl Readiness {
    /// Whether new traffic is welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.draining.is_cancelled()
    }

    /// The issuers that [fail](crate::issuer::Issuer::is_failing), by their names in the configuration. Public routes work
    /// without them, and so does whoever is known already; so it is no reason to send the traffic elsewhere, where it would be
    /// no better.
    #[must_use]
    pub fn failing_issuers(&self) -> Vec<Arc<str>> {
        let issuers = self.issuers.load_full();
        let failing = issuers.iter().flat_map(|issuers| issuers.iter()).filter(|issuer| issuer.is_failing());
        failing.map(|issuer| Arc::clone(&issuer.config().name)).collect()
    }

    /// Starts an attempt in the background at the keys that were never had, as whoever asks next would, and waits for none.
    pub fn look_for_keys(&self) {
        drop(self.failing_issuers());
    }

    /// Whether the store that instances share is out of reach. Nor is that a reason to send the traffic elsewhere.
    #[must_use]
    pub fn is_store_away(&self) -> bool {
        self.is_store_up() == Some(false)
    }

    /// The same the other way round; `None` where no store is shared.
    #[must_use]
    pub fn is_store_up(&self) -> Option<bool> {
        self.store.load().as_ref().map(|connection| !connection.is_away())
    }

    /// From now on it is not; there is no way back.
    pub fn begin_drain(&self) {
        self.draining.cancel();
    }

    /// Waits for the drain to begin.
    pub async fn drain_begins(&self) {
        self.draining.cancelled().await;
    }

    /// This is the connection to the shared store, if there is one.
    pub(super) fn watch_store(&self, connection: Option<Connection>) {
        self.store.store(connection.map(Arc::new));
    }

    /// These are the issuers that matter.
    pub(super) fn watch(&self, issuers: Arc<Issuers>) {
        self.issuers.store(Some(issuers));
    }
}
