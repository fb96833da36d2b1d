//! Putting a gateway together from a checked configuration. Nothing is dialled: an issuer or application that is down does
//! not keep Usher from starting.

use std::sync::Arc;

use aws_lc_rs::rand;

use super::Gateway;
use super::access_log::AccessLog;
use super::assertions::Assertions;
use super::audit;
use super::counts::Counts;
use super::pages::{Pages, PagesError};
use super::rate_limits::RateLimits;
use super::readiness::Readiness;
use super::refusals::Refusals;
use super::request_id::RequestIds;
use super::strip::Stripper;
use super::unsent_form::Room;
use crate::auth::assertion::AssertionKeyError;
use crate::auth::authenticate::{Authenticator, Renewals};
use crate::auth::authority::IssuerAuthority;
use crate::auth::refresh::{self, RenewalCounts};
use crate::auth::session_cookies::SessionCookies;
use crate::auth::sign_in::{SignIns, SpentStates};
use crate::auth::verify::Verifier;
use crate::clock::Clock;
use crate::config::{self, Config, Otlp, SessionStore};
use crate::forwarding::{TrailerFilter, UpstreamTlsError, Upstreams};
use crate::issuer::local::EndedSession;
use crate::issuer::{ClientError, Issuers, IssuersError};
use crate::routing::Router;
use crate::session::shared::Connection;
use crate::session::store::{MemoryStore, Now, SharedStore};
use crate::session::stored::{SessionsOnServer, StoredSessions};
use crate::session::{DenialJournal, DenialKeeper, Denied, Policy, SealError, Sealer, SharedDenials, SidHash, Store};
use crate::state::database::DatabaseError;
use crate::tasks::Tasks;
use crate::traces::{Collector, Spans};

/// Why a gateway cannot be built from a configuration that has passed its checks.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The operator's: see the cause.
    #[error("an issuer cannot be set up")]
    Issuers(#[from] IssuersError),
    /// The operator's: see the cause.
    #[error("TLS towards an upstream cannot be set up")]
    Upstreams(#[from] UpstreamTlsError),
    /// The operator's: see the cause.
    #[error("the pages cannot be used")]
    Pages(#[from] PagesError),
    /// The operator's, or the disk's.
    #[error("the key of the signed assertions cannot be used")]
    Assertions(#[from] AssertionKeyError),
    /// The operator's, or the disk's.
    #[error("the sign-outs before this start cannot be read")]
    Denials(#[from] DatabaseError),
    /// The operator's: see the cause.
    #[error("the collector of spans cannot be dialled")]
    Collector(#[source] ClientError),
    /// Ours.
    #[error("the session secrets cannot be used")]
    Sealing(#[from] SealError),
    /// The system's.
    #[error("the system has no randomness to give")]
    Randomness,
}

impl BuildError {
    /// Whether the operator has to mend it before another start can succeed.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Issuers(error) => error.is_configuration(),
            Self::Denials(error) => error.is_configuration(),
            Self::Upstreams(_) | Self::Pages(_) | Self::Collector(_) => true,
            Self::Assertions(_) | Self::Sealing(_) | Self::Randomness => false,
        }
    }
}

/// Other instances' denials are waited for as long as so many operations of the shared store may take: connecting, which is
/// four of them, and reading.
const OPERATIONS_TO_CATCH_UP: u32 = 8;

/// What outlives a configuration: whatever has been learnt while serving, so that another configuration signs nobody out.
pub(super) struct Lasting {
    tasks: Tasks,
    pub(super) store: Arc<Store>,
    pub(super) sessions: Arc<StoredSessions>,
    denied: Arc<Denied>,
    shared_denials: Option<Arc<SharedDenials>>,
    connection: Option<Connection>,
    journal: Option<Arc<DenialJournal>>,
    pub(super) verifier: Arc<Verifier>,
    spent_states: Arc<SpentStates>,
    /// What is counted of renewals at each issuer, by its name.
    pub(super) renewals: Vec<(Arc<str>, Arc<RenewalCounts>)>,
    pub(super) refusals: Arc<Refusals>,
    /// Where spans go, if they go anywhere.
    pub(super) spans: Option<Spans>,
}

impl Lasting {
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
    fn keeper(&self, session: &config::Session) -> DenialKeeper {
        match (&self.journal, &self.shared_denials, &session.store) {
            (_, Some(shared), SessionStore::Redis(redis)) => DenialKeeper::Store(Arc::clone(shared), redis.timeout),
            (Some(journal), _, _) => DenialKeeper::Disk(Arc::clone(journal)),
            _ => DenialKeeper::Nobody,
        }
    }
}

/// What a gateway takes over, or begins with.
struct Inheritance {
    lasting: Lasting,
    upstreams: Arc<Upstreams>,
    assertions: Assertions,
    clock: Clock,
    readiness: Readiness,
    counts: Counts,
    rate_limits: RateLimits,
    renewals: refresh::Settings,
}

impl Gateway {
    /// Builds a gateway. `readiness` tells it when a drain begins.
    ///
    /// # Errors
    /// [`BuildError`], before anything is served.
    pub fn new(config: Arc<Config>, tasks: Tasks, clock: Clock, readiness: Readiness) -> Result<Arc<Self>, BuildError> {
        let issuers = Issuers::new(&config.issuers, &tasks, &clock)?;
        let verifier = Arc::new(Verifier::new(issuers, config.limits.token_cache_bytes));
        let denied = Arc::new(Denied::new(config.session.max_records));
        let journal = keep_denials(&config, (&denied, &tasks, &clock))?;
        let (store, connection) = open_store(&config.session, &clock)?;
        let sessions = Arc::new(open_sessions(&config, connection.as_ref())?);
        let shared_denials = share_denials(&config.session, connection.as_ref(), (&denied, &tasks, &clock))?;
        if let Some(connection) = &connection {
            // Last, for it tells everybody who listens of what there is already.
            connection.open(&tasks);
        }
        readiness.watch_store(connection.clone());
        let assertions = Assertions::load_or_create(config.state_directory.as_deref())?;
        let renewals = refresh::Settings::new(&config.issuers, &config.session);
        let (spent_states, counted) = (Arc::default(), renewals.counts());
        let spans = collector(&config)?.map(|collector| Spans::start(collector, &tasks));
        let lasting = Lasting {
            tasks,
            store,
            sessions,
            denied,
            shared_denials,
            connection,
            journal,
            verifier,
            spent_states,
            renewals: counted,
            refusals: Arc::default(),
            spans,
        };
        let counts = Counts::new(&config.sites);
        let upstreams = Upstreams::new(&config.upstreams, &clock)?;
        let rate_limits = RateLimits::new(&config.rate_limits, clock.instant());
        Self::build(
            config,
            Inheritance { lasting, upstreams, assertions, clock, readiness, counts, rate_limits, renewals },
        )
    }

    /// Waits until what other instances have denied is known here too: whoever was signed out there must not be let in because
    /// this one has just started. Where instances share nothing, that is at once; where the store is away, it is not waited
    /// for.
    pub async fn catch_up(&self) {
        let (Some(shared), SessionStore::Redis(redis)) = (&self.lasting.shared_denials, &self.config.session.store)
        else {
            return;
        };
        if shared.caught_up(redis.timeout.saturating_mul(OPERATIONS_TO_CATCH_UP)).await.is_err() {
            tracing::warn!(
                fault = "store",
                "serving without knowing what other instances have denied, until the shared store can be read"
            );
        }
    }

    /// Begins to ask the applications how they are, where that is configured: this gateway is in force. `before` it another
    /// one may have been, which asks no more.
    pub fn watch_upstreams(&self, before: Option<&Self>) {
        if let Some(before) = before {
            before.upstreams.end_checks();
        }
        self.upstreams.begin_checks(&self.lasting.tasks);
    }

    /// The gateway of another configuration, which takes over what this one has learnt: records of renewals (those
    /// under way included), denials, spent states of sign-ins, fetched keys, the key of the assertions, how the addresses of
    /// applications are, and the verified tokens unless they might be judged otherwise now. Connections to upstreams are made
    /// anew.
    ///
    /// # Errors
    /// [`BuildError`]; nothing has changed then.
    pub fn succeeded_by(&self, config: Arc<Config>) -> Result<Arc<Self>, BuildError> {
        let Lasting { tasks, store, sessions, denied, shared_denials, connection, journal, .. } = &self.lasting;
        let Lasting { verifier, spent_states, renewals: counted, refusals, .. } = &self.lasting;
        // How the log shows its subject is kept beside each token.
        let shown_alike = self.config.log.subject == config.log.subject
            && self.config.session.secrets.first() == config.session.secrets.first();
        let judged_alike = self.config.issuers == config.issuers
            && self.config.identity_sets == config.identity_sets
            && self.config.limits.token_cache_bytes == config.limits.token_cache_bytes
            && shown_alike;
        let verifier = if judged_alike {
            Arc::clone(verifier)
        } else {
            let issuers = verifier.issuers().succeeded_by(&config.issuers, tasks, &self.clock)?;
            Arc::new(verifier.succeeded_by(issuers, config.limits.token_cache_bytes))
        };
        let mut renewals = refresh::Settings::new(&config.issuers, &config.session);
        renewals.count_on_from(counted);
        let journal = match journal {
            Some(journal) => Some(Arc::clone(journal)),
            None => keep_denials(&config, (denied, tasks, &self.clock))?,
        };
        let (store, denied, sessions) = (Arc::clone(store), Arc::clone(denied), Arc::clone(sessions));
        let (policy, max_records) = (Policy::new(&config.session), config.session.max_records);
        let sealer = || Sealer::new(&config.session.secrets);
        let (sealer, for_denials, for_sessions) = (sealer()?, sealer()?, sealer()?);
        let most = sessions_here(&config);
        let (spans, collector) = self.lasting.spans_led_to(collector(&config)?);
        let lasting = Lasting {
            tasks: tasks.clone(),
            store: Arc::clone(&store),
            sessions: Arc::clone(&sessions),
            denied: Arc::clone(&denied),
            shared_denials: shared_denials.clone(),
            connection: connection.clone(),
            journal,
            verifier,
            spent_states: Arc::clone(spent_states),
            renewals: renewals.counts(),
            refusals: Arc::clone(refusals),
            spans,
        };
        let counts = self.counts.succeeded_by(&config.sites);
        let (before, after, now) = (&self.config.rate_limits, &config.rate_limits, self.clock.instant());
        let rate_limits = self.rate_limits.succeeded_by(before, after, now);
        let (assertions, clock, readiness) = (self.assertions.anew(), self.clock.clone(), self.readiness.clone());
        let upstreams = self.upstreams.succeeded_by(&config.upstreams)?;
        let inheritance =
            Inheritance { lasting, upstreams, assertions, clock, readiness, counts, rate_limits, renewals };
        let gateway = Self::build(config, inheritance)?;
        if let (Some(connection), SessionStore::Redis(redis)) = (connection, &gateway.config.session.store) {
            connection.reconnect_as(redis);
        }
        store.set_terms(policy, sealer);
        sessions.set_terms(most, for_sessions);
        if let Some(shared) = shared_denials {
            shared.set_sealer(for_denials);
        }
        denied.set_capacity(max_records);
        if let (Some(spans), Some(collector)) = (&gateway.lasting.spans, collector) {
            spans.lead_to(collector, otlp(&self.config) != otlp(&gateway.config));
        }
        self.end_sessions(&gateway);
        gateway.lasting.issuers().forget_refusals();
        Ok(gateway)
    }

    /// Ends the sessions of local users who are gone, disabled, or have another password under the successor.
    fn end_sessions(&self, successor: &Self) {
        let (before, after) = (self.lasting.verifier.issuers(), successor.lasting.verifier.issuers());
        let ended = after.end_sessions(before);
        // Not before: that has waited for the disk.
        let now = Now::of(&self.clock);
        for EndedSession { issuer, name, subject, sid, lifetime } in ended {
            audit::signed_out_by_administrator(successor, &name, &subject);
            // Requests under the successor find that out by themselves. This is for what is under way.
            self.lasting.denied.deny_sid(SidHash::of(&issuer, &sid), now.wall.after(lifetime), now);
        }
    }

    fn build(config: Arc<Config>, inheritance: Inheritance) -> Result<Arc<Self>, BuildError> {
        let Inheritance { lasting, upstreams, assertions, clock, readiness, counts, rate_limits, renewals } =
            inheritance;
        let (verifier, denied) = (Arc::clone(&lasting.verifier), Arc::clone(&lasting.denied));
        let renewals = Renewals::new(
            IssuerAuthority::new(Arc::clone(verifier.issuers()), Arc::clone(&verifier), clock.clone()),
            lasting.tasks.clone(),
            (Arc::clone(&lasting.store), Arc::clone(&denied)),
            renewals,
            clock.clone(),
        );
        let stripper = Arc::new(Stripper::new(&config.reserved_headers));
        let cookies = SessionCookies::new(&config, &lasting.sessions)?;
        let denials = (denied, lasting.keeper(&config.session));
        let authenticator = Authenticator::new(&config.session, cookies, verifier, renewals, denials, clock.clone());
        let (verifier, spent) = (Arc::clone(&lasting.verifier), Arc::clone(&lasting.spent_states));
        let sign_ins = SignIns::new(&config.session, verifier, spent, clock.clone())?;
        let mut process = [0; 8];
        rand::fill(&mut process).map_err(|_| BuildError::Randomness)?;
        let gateway = Self {
            router: Router::new(&config.sites),
            trailer_filter: trailer_filter(Arc::clone(&stripper)),
            stripper,
            authenticator,
            sign_ins,
            upstreams,
            assertions,
            pages: Pages::load(config.pages.as_deref(), &config.translations)?,
            unsent_forms: Room::new(),
            rate_limits,
            access_log: AccessLog::new(config.log.subject, config.session.secrets.first()),
            counts,
            request_ids: RequestIds::new(u64::from_be_bytes(process)),
            readiness,
            lasting,
            config,
            clock,
        };
        gateway.readiness.watch(Arc::clone(gateway.lasting.verifier.issuers()));
        Ok(Arc::new(gateway))
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
    (denied, tasks, clock): (&Arc<Denied>, &Tasks, &Clock),
) -> Result<Option<Arc<SharedDenials>>, BuildError> {
    let (SessionStore::Redis(redis), Some(connection)) = (&session.store, connection) else { return Ok(None) };
    let bounds = (session.max_records, session.absolute_timeout);
    let (server, sealer) = (connection.clone(), Sealer::new(&session.secrets)?);
    let shared = SharedDenials::new(server, &redis.prefix, sealer, Arc::clone(denied), (bounds, clock.clone()));
    let shared = shared.map_err(|_| BuildError::Randomness)?;
    shared.start(tasks);
    Ok(Some(shared))
}

/// What was denied before this start. A shared store has that itself, and without issuers there is nobody to deny.
fn keep_denials(
    config: &Config,
    (denied, tasks, clock): (&Arc<Denied>, &Tasks, &Clock),
) -> Result<Option<Arc<DenialJournal>>, DatabaseError> {
    match (&config.session.store, &config.state_directory) {
        (SessionStore::Memory, Some(directory)) if !config.issuers.is_empty() => {
            DenialJournal::open(&directory.join("denials"), denied, clock, tasks).map(Some)
        }
        _ => Ok(None),
    }
}

/// Trailers are headers that come late: the same law holds for them, and nobody vouches for them.
fn trailer_filter(stripper: Arc<Stripper>) -> TrailerFilter {
    Arc::new(move |trailers| stripper.strip(trailers, false))
}
