//! Putting a gateway together from a checked configuration. Nothing is dialled: an issuer or application that is down does
//! not keep Usher from starting.

use std::sync::Arc;

use aws_lc_rs::rand;

use super::Gateway;
use super::access_log::AccessLog;
use super::assertions::Assertions;
use super::pages::{Pages, PagesError};
use super::readiness::Readiness;
use super::request_id::RequestIds;
use super::strip::Stripper;
use crate::auth::assertion::AssertionKeyError;
use crate::auth::authenticate::{Authenticator, Renewals};
use crate::auth::authority::IssuerAuthority;
use crate::auth::refresh;
use crate::auth::session_cookies::SessionCookies;
use crate::auth::verify::Verifier;
use crate::clock::Clock;
use crate::config::Config;
use crate::forwarding::{TrailerFilter, UpstreamTlsError, Upstreams};
use crate::issuer::{Issuers, IssuersError};
use crate::routing::Router;
use crate::session::store::MemoryStore;
use crate::session::{Denied, Policy, SealError, Store};
use crate::tasks::Tasks;

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
    /// Ours.
    #[error("the session secrets cannot be used")]
    Sealing(#[from] SealError),
    /// The system's.
    #[error("the system has no randomness to give")]
    Randomness,
}

impl Gateway {
    /// Builds a gateway. `readiness` tells it when a drain begins.
    ///
    /// # Errors
    /// [`BuildError`], before anything is served.
    pub fn new(config: Arc<Config>, tasks: Tasks, clock: Clock, readiness: Readiness) -> Result<Arc<Self>, BuildError> {
        let issuers = Issuers::new(&config.issuers, &tasks, &clock)?;
        let verifier = Arc::new(Verifier::new(Arc::clone(&issuers), config.limits.token_cache_bytes));
        let denied = Arc::new(Denied::new(config.session.max_records));
        let store = Arc::new(Store::Memory(MemoryStore::new(Policy::new(&config.session), clock.clone())));
        let renewals = Renewals::new(
            IssuerAuthority::new(Arc::clone(&issuers), Arc::clone(&verifier), clock.clone()),
            tasks,
            (store, Arc::clone(&denied)),
            refresh::Settings::new(&config.issuers, &config.session),
            clock.clone(),
        );
        let stripper = Arc::new(Stripper::new(&config.reserved_headers));
        let cookies = SessionCookies::new(&config)?;
        let authenticator = Authenticator::new(&config.session, cookies, verifier, renewals, denied, clock.clone());
        let mut process = [0; 8];
        rand::fill(&mut process).map_err(|_| BuildError::Randomness)?;
        let gateway = Self {
            router: Router::new(&config.sites),
            trailer_filter: trailer_filter(Arc::clone(&stripper)),
            stripper,
            authenticator,
            upstreams: Upstreams::new(&config.upstreams)?,
            assertions: Assertions::load_or_create(config.state_directory.as_deref())?,
            pages: Pages::load(config.pages.as_deref())?,
            access_log: AccessLog::new(config.log.subject, config.session.secrets.first()),
            request_ids: RequestIds::new(u64::from_be_bytes(process)),
            readiness,
            config,
            clock,
        };
        gateway.readiness.watch(issuers);
        Ok(Arc::new(gateway))
    }
}

/// Trailers are headers that come late: the same law holds for them, and nobody vouches for them.
fn trailer_filter(stripper: Arc<Stripper>) -> TrailerFilter {
    Arc::new(move |trailers| stripper.strip(trailers, false))
}
