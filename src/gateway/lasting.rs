//! What outlives a configuration: whatever has been learnt while serving, so that another configuration signs nobody out.

use std::sync::Arc;

use super::build_error::BuildError;
use super::refusals::Refusals;
use crate::auth::refresh::RenewalCounts;
use crate::auth::sign_in::SpentStates;
use crate::auth::verify::Verifier;
use crate::clock::Clock;
use crate::config::{self, Config, Otlp, SessionStore};
use crate::issuer::{Issuers, IssuersError};
use crate::session::shared::Connection;
use crate::session::store::{MemoryStore, SharedStore};
use crate::session::stored::{SessionsOnServer, StoredSessions};
use crate::session::{DenialJournal, DenialKeeper, Denied, Policy, SealError, Sealer, SharedDenials, Store};
use crate::state::database::DatabaseError;
use crate::tasks::Tasks;
use crate::traces::{Collector, Spans};

/// What is counted of renewals at each issuer, by its name.
pub(super) type RenewalsCounted = Vec<(Arc<str>, Arc<RenewalCounts>)>;

/// What has been learnt, and whom it is shared with.
pub(super) struct Lasting {
    pub(super) tasks: Tasks,
    pub(super) store: Arc<Store>,
    pub(super) sessions: Arc<StoredSessions>,
    pub(super) denied: Arc<Denied>,
    pub(super) shared_denials: Option<Arc<SharedDenials>>,
    pub(super) connection: Option<Connection>,
    journal: Option<Arc<DenialJournal>>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) spent_states: Arc<SpentStates>,
    pub(super) renewals: RenewalsCounted,
    pub(super) refusals: Arc<Refusals>,
    /// Where spans go, if they go anywhere.
    pub(super) spans: Option<Spans>,
}

/// What holds for the parts that two configurations share, once the later one is in force.
pub(super) struct Terms {
    policy: Policy,
    sealer: Sealer,
    for_denials: Sealer,
    for_sessions: Sealer,
    sessions_here: (usize, usize),
    /// Where a queue of spans that there is already is to lead: what waits in it goes there.
    collector: Option<Collector>,
    /// Whether that is another one than before.
    is_another: bool,
}

impl Lasting {
    /// Begins with nothing but what is on the disk, and in a shared store.
    ///
    /// # Errors
    /// [`BuildError`].
    pub(super) fn begin(
        config: &Config,
        tasks: Tasks,
        clock: &Clock,
        renewals: RenewalsCounted,
    ) -> Result<Self, BuildError> {
        let issuers = Issuers::new(&config.issuers, &tasks, clock)?;
        let verifier = Arc::new(Verifier::new(issuers, config.limits.token_cache_bytes));
        let denied = Arc::new(Denied::new(config.session.max_records));
        let journal = keep_denials(config, &denied, &tasks, clock)?;
        let (store, connection) = open_store(&config.session, clock)?;
        let sessions = Arc::new(open_sessions(config, connection.as_ref())?);
        let shared_denials = share_denials(&config.session, connection.as_ref(), &denied, &tasks, clock)?;
        let spans = collector(config)?.map(|collector| Spans::start(collector, &tasks));
        if let Some(connection) = &connection {
            // Last, for it tells everybody who listens of what there is already.
            connection.open(&tasks);
        }
        let (spent_states, refusals) = (Arc::default(), Arc::default());
        Ok(Self {
            tasks,
            store,
            sessions,
            denied,
            shared_denials,
            connection,
            journal,
            verifier,
            spent_states,
            renewals,
            refusals,
            spans,
        })
    }

    /// The same for another configuration than the one `before`, and the terms that it [adopts](Self::adopt) when that is in
    /// force.
    ///
    /// # Errors
    /// [`BuildError`]; nothing has changed then.
    pub(super) fn under(
        &self,
        config: &Config,
        before: &Config,
        clock: &Clock,
        renewals: RenewalsCounted,
    ) -> Result<(Self, Terms), BuildError> {
        let sealer = || Sealer::new(&config.session.secrets);
        let (spans, collector) = self.spans_led_to(collector(config)?);
        let terms = Terms {
            policy: Policy::new(&config.session),
            sealer: sealer()?,
            for_denials: sealer()?,
            for_sessions: sealer()?,
            sessions_here: sessions_here(config),
            collector,
            is_another: otlp(before) != otlp(config),
        };
        // Before the journal, which opens a file.
        let verifier = self.verifier_under(config, before, clock)?;
        let lasting = Self {
            tasks: self.tasks.clone(),
            store: Arc::clone(&self.store),
            sessions: Arc::clone(&self.sessions),
            denied: Arc::clone(&self.denied),
            shared_denials: self.shared_denials.clone(),
            connection: self.connection.clone(),
            journal: match &self.journal {
                Some(journal) => Some(Arc::clone(journal)),
                None => keep_denials(config, &self.denied, &self.tasks, clock)?,
            },
            verifier,
            spent_states: Arc::clone(&self.spent_states),
            renewals,
            refusals: Arc::clone(&self.refusals),
            spans,
        };
        Ok((lasting, terms))
    }

    /// The verifier, with the tokens that it has verified unless they might be judged otherwise now.
    fn verifier_under(&self, config: &Config, before: &Config, clock: &Clock) -> Result<Arc<Verifier>, IssuersError> {
        // How the log shows its subject is kept beside each token.
        let shown_alike = before.log.subject == config.log.subject
            && before.session.secrets.first() == config.session.secrets.first();
        let judged_alike = before.issuers == config.issuers
            && before.identity_sets == config.identity_sets
            && before.limits.token_cache_bytes == config.limits.token_cache_bytes
            && shown_alike;
        if judged_alike {
            return Ok(Arc::clone(&self.verifier));
        }
        let issuers = self.issuers().succeeded_by(&config.issuers, &self.tasks, clock)?;
        Ok(Arc::new(self.verifier.succeeded_by(issuers, config.limits.token_cache_bytes)))
    }

    /// From now on these terms hold: their configuration is in force.
    pub(super) fn adopt(&self, terms: Terms, session: &config::Session) {
        if let (Some(connection), SessionStore::Redis(redis)) = (&self.connection, &session.store) {
            connection.reconnect_as(redis);
        }
        self.store.set_terms(terms.policy, terms.sealer);
        self.sessions.set_terms(terms.sessions_here, terms.for_sessions);
        if let Some(shared) = &self.shared_denials {
            shared.set_sealer(terms.for_denials);
        }
        self.denied.set_capacity(session.max_records);
        if let (Some(spans), Some(collector)) = (&self.spans, terms.collector) {
            spans.lead_to(collector, terms.is_another);
        }
    }

    /// The issuers.
    pub(super) fn issuers(&self) -> &Issuers {
        self.verifier.issuers()
    }

    /// Where spans go under another configuration, and the collector that a queue is to lead to once that is in force: what
    /// waits in it goes there.
    fn spans_led_to(&self, collector: Option<Collector>) -> (Option<Spans>, Option<Collector>) {
        match (&self.spans, collector) {
            (Some(spans), Some(collector)) => (Some(spans.clone()), Some(collector)),
            (None, Some(collector)) => (Some(Spans::start(collector, &self.tasks)), None),
            (_, None) => (None, None),
        }
    }

    /// What keeps denials. Whoever is to be told may take as long as any operation.
    pub(super) fn keeper(&self, session: &config::Session) -> DenialKeeper {
        match (&self.journal, &self.shared_denials, &session.store) {
            (_, Some(shared), SessionStore::Redis(redis)) => DenialKeeper::Store(Arc::clone(shared), redis.timeout),
            (Some(journal), _, _) => DenialKeeper::Disk(Arc::clone(journal)),
            _ => DenialKeeper::Nobody,
        }
    }
}

/// Where renewals are recorded, and the connection that leads there if one does, to be opened.
fn open_store(session: &config::Session, clock: &Clock) -> Result<(Arc<Store>, Option<Connection>), SealError> {
    let policy = Policy::new(session);
    let SessionStore::Redis(redis) = &session.store else {
        return Ok((Arc::new(Store::Memory(MemoryStore::new(policy, clock.clone()))), None));
    };
    let connection = Connection::new((**redis).clone(), clock.clone());
    let terms = (policy, Sealer::new(&session.secrets)?);
    let store = SharedStore::new(connection.clone(), &redis.prefix, terms, clock.clone());
    Ok((Arc::new(Store::Shared(store)), Some(connection)))
}

/// Who is told of spans, if anybody is.
fn collector(config: &Config) -> Result<Option<Collector>, BuildError> {
    otlp(config).map(Collector::new).transpose().map_err(BuildError::Collector)
}

fn otlp(config: &Config) -> Option<&Otlp> {
    config.tracing.as_ref()?.otlp.as_ref()
}

/// Where the sessions are that are not in cookies.
fn open_sessions(config: &Config, connection: Option<&Connection>) -> Result<StoredSessions, SealError> {
    let (SessionStore::Redis(redis), Some(connection)) = (&config.session.store, connection) else {
        return Ok(StoredSessions::in_memory(sessions_here(config)));
    };
    let server = SessionsOnServer::new(connection.clone(), &redis.prefix, Sealer::new(&config.session.secrets)?);
    Ok(StoredSessions::on_server(server, sessions_here(config)))
}

/// How many sessions are in memory, and how many bytes of them: all there are, or those that are remembered.
fn sessions_here(config: &Config) -> (usize, usize) {
    let policy = Policy::new(&config.session);
    let bytes = match config.session.store {
        SessionStore::Memory => policy.max_bytes,
        SessionStore::Redis(_) => usize::try_from(config.limits.token_cache_bytes).unwrap_or(usize::MAX),
    };
    (policy.max_records, bytes)
}

/// What is denied here is denied on every instance that shares the store, and what they deny here.
fn share_denials(
    session: &config::Session,
    connection: Option<&Connection>,
    denied: &Arc<Denied>,
    tasks: &Tasks,
    clock: &Clock,
) -> Result<Option<Arc<SharedDenials>>, BuildError> {
    let (SessionStore::Redis(redis), Some(connection)) = (&session.store, connection) else { return Ok(None) };
    let bounds = (session.max_records, session.absolute_timeout);
    let (server, sealer) = (connection.clone(), Sealer::new(&session.secrets)?);
    let shared = SharedDenials::new(server, &redis.prefix, sealer, Arc::clone(denied), bounds, clock.clone());
    let shared = shared.map_err(|_| BuildError::Randomness)?;
    shared.start(tasks);
    Ok(Some(shared))
}

/// What was denied before this start. A shared store has that itself, and without issuers there is nobody to deny.
fn keep_denials(
    config: &Config,
    denied: &Arc<Denied>,
    tasks: &Tasks,
    clock: &Clock,
) -> Result<Option<Arc<DenialJournal>>, DatabaseError> {
    match (&config.session.store, &config.state_directory) {
        (SessionStore::Memory, Some(directory)) if !config.issuers.is_empty() => {
            DenialJournal::open(&directory.join("denials"), denied, clock, tasks).map(Some)
        }
        _ => Ok(None),
    }
}
