//! Those who wait for an outcome that may be recorded elsewhere.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::sheet::ChainId;

/// Beyond so many chains, those that nobody waits for any more are swept out.
const SWEEP_BEYOND: usize = 1024;

/// One channel per chain that somebody waits for. Nothing is ever sent: dropping the sender wakes everybody.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Chains>);

#[derive(Debug, Default)]
struct Chains {
    by_id: HashMap<ChainId, watch::Sender<()>>,
    swept_at: usize,
}

impl Waiting {
    /// Until this chain, or everybody, is woken.
    pub(super) fn for_chain(&self, chain: ChainId) -> watch::Receiver<()> {
        let mut chains = self.chains();
        if chains.by_id.len() > chains.swept_at.saturating_mul(2).max(SWEEP_BEYOND) {
            chains.by_id.retain(|_, waiting| waiting.receiver_count() > 0);
            chains.swept_at = chains.by_id.len();
        }
        chains.by_id.entry(chain).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    pub(super) fn wake(&self, chain: ChainId) {
        self.chains().by_id.remove(&chain);
    }

    pub(super) fn wake_all(&self) {
        self.chains().by_id.clear();
    }

    fn chains(&self) -> MutexGuard<'_, Chains> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
