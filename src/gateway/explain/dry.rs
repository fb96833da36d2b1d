//! A gateway to ask and not to serve with: it keeps nothing, and touches nothing that a running one keeps.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Config, KeySource, SessionStore};
use crate::gateway::{BuildError, Gateway, Readiness};
use crate::tasks::Tasks;

impl Gateway {
    /// A gateway of this configuration, to be asked with [`Gateway::explain`]. The shared store is left alone, and so is the state
    /// directory: nothing is read there either, because a running gateway has its files for itself. With `offline`, no issuer
    /// is dialled.
    ///
    /// # Errors
    /// [`BuildError`]
    pub fn to_explain(mut config: Config, offline: bool, tasks: Tasks, clock: Clock) -> Result<Arc<Self>, BuildError> {
        config.session.store = SessionStore::Memory;
        config.state_directory = None;
        if let Some(tracing) = &mut config.tracing {
            tracing.otlp = None;
        }
        for issuer in &mut config.issuers {
            issuer.transport.offline |= offline;
            if let KeySource::Local(local) = &mut issuer.keys {
                local.state = None;
            }
        }
        Self::new(Arc::new(config), tasks, clock, Readiness::default())
    }
}
