//! What a gateway can say of itself in numbers. How that is named and shown is not its business.

use std::sync::Arc;
use std::time::Duration;

use super::Gateway;
use super::counts::Counts;
use crate::auth::refresh::RenewalCounts;
use crate::auth::verify::CacheCounts;
use crate::config::{Config, Cookies};
use crate::forwarding::{AddressHealth, chain};
use crate::issuer::{Issuer, KeyName};
use crate::traces::{SpanCounts, Spans};

/// How an issuer is, at the moment.
#[derive(Clone, Debug)]
pub struct IssuerHealth {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Whether its tokens can be verified by something that was had lately.
    pub up: bool,
    /// How long ago the keys that count were fetched. `None` where they are not fetched, or were not yet.
    pub key_set_age: Option<Duration>,
    /// Sessions that it keeps, where it is Usher itself.
    pub sessions: Option<usize>,
    /// The keys that count at the moment.
    pub keys: Vec<KeyName>,
    /// Why its keys could not be had when they were last fetched.
    pub last_error: Option<String>,
}

impl Gateway {
    /// What is counted of requests.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What is counted of renewals, by the name of the issuer.
    pub fn renewals(&self) -> impl Iterator<Item = (&str, &RenewalCounts)> {
        self.lasting.renewals.iter().map(|(name, counts)| (&**name, &**counts))
    }

    /// What is counted of the cache of verified tokens.
    #[must_use]
    pub fn token_cache(&self) -> &CacheCounts {
        self.lasting.verifier.counts()
    }

    /// How each issuer is. Starts another attempt at keys that could not be had, when it is time.
    pub fn issuer_health(&self) -> impl Iterator<Item = IssuerHealth> {
        self.lasting.issuers().iter().map(|issuer: &Issuer| IssuerHealth {
            name: Arc::clone(&issuer.config().name),
            up: !issuer.is_failing(),
            key_set_age: issuer.key_set_age(),
            sessions: issuer.local().map(crate::issuer::local::Local::sessions),
            keys: issuer.key_names(),
            last_error: issuer.last_error().map(|error| chain(&*error)),
        })
    }

    /// How each address of the applications is.
    #[must_use]
    pub fn address_health(&self) -> Vec<AddressHealth> {
        self.upstreams.health()
    }

    /// The configuration that it was built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What became of spans; `None` where they go nowhere.
    #[must_use]
    pub fn spans(&self) -> Option<&SpanCounts> {
        self.lasting.spans.as_ref().map(Spans::counts)
    }

    /// Whether the store that instances share can be reached; `None` where there is none.
    #[must_use]
    pub fn is_store_up(&self) -> Option<bool> {
        self.readiness.is_store_up()
    }

    /// How many records of renewals this process keeps; `None` where they are in a shared store.
    #[must_use]
    pub fn renewal_records(&self) -> Option<usize> {
        self.lasting.store.records()
    }

    /// How many sessions this process keeps that have not ended; `None` where browsers keep them, or a shared store does.
    #[must_use]
    pub fn stored_sessions(&self) -> Option<usize> {
        let is_stored = self.config.session.cookies == Cookies::Stored;
        is_stored.then(|| self.lasting.sessions.living(self.clock.now())).flatten()
    }
}
