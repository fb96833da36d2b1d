//! What the commands reach: the sessions, the denials and the records of renewals that instances share.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::SessionError;
use crate::clock::{Clock, Now};
use crate::commands::Failure;
use crate::config::{Config, SessionStore};
use crate::gateway::CommandAudit;
use crate::issuer::Issuers;
use crate::session::shared::Connection;
use crate::session::store::SharedStore;
use crate::session::stored::SessionsOnServer;
use crate::session::{Denied, Policy, Sealer, SharedDenials, Store};
use crate::tasks::Tasks;

/// More than whatever one command denies.
const DENIALS: usize = 1 << 10;

/// The shared store, and the issuers.
pub(super) struct Reach {
    pub(super) sessions: SessionsOnServer,
    pub(super) renewals: Store,
    denials: Arc<SharedDenials>,
    /// Those at which something can be revoked from here: a local one keeps its own accounts.
    pub(super) issuers: Arc<Issuers>,
    pub(super) audit: CommandAudit,
    pub(super) absolute_timeout: Duration,
    pub(super) clock: Clock,
}

impl Reach {
    /// Connects to the store of this configuration.
    pub(super) async fn to(config: &Config, clock: &Clock) -> Result<Self, Failure> {
        let SessionStore::Redis(redis) = &config.session.store else {
            return Err(Failure::configuration(SessionError::Memory));
        };
        let sealer = || Sealer::new(&config.session.secrets).map_err(Failure::world);
        let (tasks, prefix) = (Tasks::new(Handle::current()), redis.prefix.as_str());
        let connection = Connection::new((**redis).clone(), clock.clone());
        let terms = (Policy::new(&config.session), sealer()?);
        let renewals = SharedStore::new(connection.clone(), prefix, terms, clock.clone());
        let bounds = (config.session.max_records, config.session.absolute_timeout);
        let none = Arc::new(Denied::new(1));
        let denials = SharedDenials::new(connection.clone(), prefix, sealer()?, none, bounds, clock.clone());
        let elsewhere: Vec<_> = config.issuers.iter().filter(|issuer| issuer.local().is_none()).cloned().collect();
        let issuers = Issuers::new(&elsewhere, &tasks, clock).map_err(Failure::configuration)?;
        connection.open(&tasks);
        connection.wait().await.map_err(Failure::world)?;
        Ok(Self {
            sessions: SessionsOnServer::new(connection, prefix, sealer()?),
            renewals: Store::Shared(renewals),
            denials: denials.map_err(Failure::world)?,
            issuers,
            audit: CommandAudit::new(config),
            absolute_timeout: config.session.absolute_timeout,
            clock: clock.clone(),
        })
    }

    /// Denies on every instance whatever this puts on a list.
    pub(super) async fn deny(&self, fill: impl FnOnce(&Denied, Now)) -> Result<(), Failure> {
        let list = Denied::new(DENIALS);
        fill(&list, Now::of(&self.clock));
        for denial in list.all() {
            self.denials.add(denial).await.map_err(Failure::world)?;
        }
        Ok(())
    }
}
