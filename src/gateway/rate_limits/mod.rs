//! How many requests a route takes of one address, subject or session, and what clients are told about that: `RateLimit-Policy`
//! and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
//!
//! Limits by address count right after the route is found, before a token or cookie is looked at, so that a flood of bad ones
//! costs little. The others count once it is known who it is. A refused request is not counted: who waits as told gets in.
//! Counts are in memory, of this process alone. A reload keeps those of a limit that stays as it is.

mod buckets;
mod fields;

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Rejection;
use super::exchange::Exchange;
use crate::auth::authenticate::Identity;
use crate::config::{LimitedBy, RateLimit, RateLimitId, Route};
use crate::forwarding::network;

use self::buckets::{Buckets, Level};

pub(super) use self::fields::add;

/// The buckets of every limit.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    /// By [`RateLimitId`].
    buckets: Vec<Arc<Buckets>>,
}

/// One request more than a limit allows.
#[derive(Debug, thiserror::Error)]
#[error("more than the rate limit allows: {limit}")]
pub struct RateExceeded {
    limit: RateLimit,
    /// When the next may come.
    pub(super) retry_after: Duration,
}

/// How a request stands with the limits that it has come to.
#[derive(Debug, Default)]
pub(super) struct Standings {
    each: Vec<(RateLimitId, Level)>,
    /// It takes nothing, for it was asked about before.
    pub(super) is_repeated: bool,
}

impl Standings {
    /// Whether it has come to none.
    pub(super) const fn is_empty(&self) -> bool {
        self.each.is_empty()
    }
}

impl RateLimits {
    pub(super) fn new(limits: &[RateLimit], now: Instant) -> Self {
        Self::default().succeeded_by(&[], limits, now)
    }

    /// The same for the limits `after` those `before`. What stays as it is goes on counting.
    pub(super) fn succeeded_by(&self, before: &[RateLimit], after: &[RateLimit], now: Instant) -> Self {
        let buckets = after.iter().map(|limit| {
            let known = before.iter().position(|other| other == limit).and_then(|at| self.buckets.get(at));
            known.map_or_else(|| Arc::new(Buckets::new(limit, now)), Arc::clone)
        });
        Self { buckets: buckets.collect() }
    }
}

/// Counts a request by its address, where the route has limits by that.
pub(super) fn count_address(route: &Route, exchange: &mut Exchange<'_>) -> Result<(), Rejection> {
    if route.rate_limits.is_empty() {
        return Ok(());
    }
    let address = network(exchange.client);
    count(route, exchange, |by| (by == LimitedBy::Address).then_some(Counted::Address(address)))
}

/// Counts a request by whose it is. A preflight is nobody's: it would take from what everybody behind an address has who is
/// not signed in.
pub(super) fn count_identity(
    route: &Route,
    identity: Option<&Identity>,
    exchange: &mut Exchange<'_>,
) -> Result<(), Rejection> {
    if route.rate_limits.is_empty() || exchange.is_preflight(route) {
        return Ok(());
    }
    let (gateway, address) = (exchange.gateway(), network(exchange.client));
    let subject = || {
        let token = &identity?.token;
        let issuer = gateway.issuer_name(token)?;
        Some(Counted::Subject(issuer, token.claims.subject()?))
    };
    // A session that has moved into the store is the one that it was.
    let session = || identity?.session.map(|session| Counted::Session(session.before.unwrap_or(session.id).0));
    count(route, exchange, |by| match by {
        LimitedBy::Address => None,
        LimitedBy::Subject => subject().or(Some(Counted::Address(address))),
        LimitedBy::Session => session().or_else(subject).or(Some(Counted::Address(address))),
    })
}

/// What a bucket is for.
#[derive(Hash)]
enum Counted<'a> {
    Address(std::net::IpAddr),
    /// By its issuer: two may know the same name.
    Subject(&'a str, &'a str),
    Session([u8; 16]),
}

/// Counts by those limits of the route for which there is a key. What one has let in counts there even where the next refuses.
fn count<K: Hash>(
    route: &Route,
    exchange: &mut Exchange<'_>,
    key: impl Fn(LimitedBy) -> Option<K>,
) -> Result<(), Rejection> {
    let gateway = exchange.gateway();
    for id in &route.rate_limits {
        let (limit, buckets) = (gateway.config.rate_limits.get(id.0), gateway.rate_limits.buckets.get(id.0));
        let Some((limit, buckets)) = limit.zip(buckets) else { continue };
        let Some(key) = key(limit.by) else { continue };
        let level = buckets.take(&key, gateway.clock.instant(), !exchange.standings.is_repeated);
        exchange.standings.each.push((*id, level));
        if let Some(retry_after) = level.refused_for {
            exchange.record.limited = true;
            return Err(RateExceeded { limit: limit.clone(), retry_after }.into());
        }
    }
    Ok(())
}
