//! Rate limits: how many requests somebody may send in how long.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Index of a rate limit in [`Config::rate_limits`](super::Config::rate_limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimitId(pub usize);

/// One rate limit. Routes that inherit it from their site share what it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What clients are told that it is called. No other limit of the same place has this name.
    pub name: Arc<str>,
    /// Where it was written: the host of a site, or the name of a route.
    pub scope: Arc<str>,
    /// Who is counted.
    pub by: LimitedBy,
    /// So many requests, at least one,
    pub requests: u32,
    /// in so long: whole seconds, at least one.
    pub per: Duration,
    /// So many may come at once, at least one.
    pub burst: u32,
}

/// Who is counted by a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitedBy {
    /// The address of the client: an IPv4 address, or an IPv6 network of 64 bits.
    Address,
    /// Who is signed in; the address of whoever is not.
    Subject,
    /// The session; the subject where there is none, as with a bearer token.
    Session,
}

impl RateLimit {
    /// How long it takes until one more request may come.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.per / self.requests.max(1)
    }
}
