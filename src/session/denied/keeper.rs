//! What makes denials outlast this process: the disk of an instance by itself, or the store that several share.

use std::sync::Arc;
use std::time::Duration;

use super::{DenialJournal, SharedDenials};
use crate::session::shared::Away;

/// Keeps denials. Clones are one and the same.
#[derive(Clone)]
pub enum DenialKeeper {
    /// Nobody does.
    Nobody,
    /// The disk.
    Disk(Arc<DenialJournal>),
    /// The store, which may take so long.
    Store(Arc<SharedDenials>, Duration),
}

impl DenialKeeper {
    /// Waits until all that was denied before is kept, if anybody keeps it. A disk that hangs is waited for, and no more.
    ///
    /// # Errors
    /// [`Away`]: the store has not been told in time. It is told once it is back, if this process lives to see that.
    pub async fn kept(&self) -> Result<(), Away> {
        match self {
            Self::Nobody => Ok(()),
            Self::Disk(journal) => {
                journal.written().await;
                Ok(())
            }
            Self::Store(shared, patience) => shared.told(*patience).await,
        }
    }
}
