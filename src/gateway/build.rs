//! Putting a gateway together from a checked configuration. Nothing is dialled: an issuer or application that is down does
//! not keep Usher from starting.

use std::sync::Arc;

use aws_lc_rs::rand;

use super::Gateway;
use super::access_log::AccessLog;
use super::assertions::Assertions;
use super::audit;
use super::build_error::BuildError;
use super::counts::Counts;
use super::lasting::Lasting;
use super::pages::Pages;
use super::rate_limits::RateLimits;
use super::readiness::Readiness;
use super::request_id::RequestIds;
use super::strip::Stripper;
use super::unsent_form::Room;
use crate::auth::authenticate::{Authenticator, Renewals};
use crate::auth::authority::IssuerAuthority;
use crate::auth::refresh;
use crate::auth::session_cookies::SessionCookies;
use crate::auth::sign_in::SignIns;
use crate::clock::{Clock, Now};
use crate::config::{Config, SessionStore};
use crate::forwarding::{TrailerFilter, Upstreams};
use crate::issuer::local::EndedSession;
use crate::routing::Router;
use crate::session::SidHash;
use crate::tasks::Tasks;

/// Other instances' denials are waited for as long as so many operations of the shared store may take: connecting, which is
/// four of them, and reading.
const OPERATIONS_TO_CATCH_UP: u32 = 8;

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
        let renewals = refresh::Settings::new(&config.issuers, &config.session);
        let lasting = Lasting::begin(&config, tasks, &clock, renewals.counts())?;
        readiness.watch_store(lasting.connection.clone());
        let assertions = Assertions::load_or_create(config.state_directory.as_deref())?;
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
        let mut renewals = refresh::Settings::new(&config.issuers, &config.session);
        renewals.count_on_from(&self.lasting.renewals);
        let (lasting, terms) = self.lasting.under(&config, &self.config, &self.clock, renewals.counts())?;
        let counts = self.counts.succeeded_by(&config.sites);
        let (before, after, now) = (&self.config.rate_limits, &config.rate_limits, self.clock.instant());
        let rate_limits = self.rate_limits.succeeded_by(before, after, now);
        let (assertions, clock, readiness) = (self.assertions.anew(), self.clock.clone(), self.readiness.clone());
        let upstreams = self.upstreams.succeeded_by(&config.upstreams)?;
        let inheritance =
            Inheritance { lasting, upstreams, assertions, clock, readiness, counts, rate_limits, renewals };
        let gateway = Self::build(config, inheritance)?;
        gateway.lasting.adopt(terms, &gateway.config.session);
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

/// Trailers are headers that come late: the same law holds for them, and nobody vouches for them.
fn trailer_filter(stripper: Arc<Stripper>) -> TrailerFilter {
    Arc::new(move |trailers| stripper.strip(trailers, false))
}
