//! How many requests a route takes of one address, subject or session, and what clients are told about that: `RateLimit-Policy`
//! and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
//!
//! Limits by address count right after the route is found, before a token or cookie is looked at, so that a flood of bad ones
//! costs little. The others count once it is known who it is. A refused request is not counted: who waits as told gets in.
//! Counts are in memory, of this process alone. A reload keeps those of a limit that stays as it is.

mod buckets;
mod fields;

use std::net::{IpAddr, Ipv6Addr};
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
    tables: Vec<Arc<Tables>>,
}

/// The buckets of one limit. Those whom nobody knows can be as many as they like, and take no room from those who are known.
#[derive(Debug)]
struct Tables {
    addresses: Buckets,
    people: Buckets,
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
    takes: Takes,
}

/// What a request takes of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Takes {
    #[default]
    Its,
    /// It was counted when it was asked about before.
    Nothing,
    /// It is only talked about, and comes to none.
    Unlimited,
}

impl Standings {
    /// Of a request that was asked about before: it is held to the limits, and takes nothing of them.
    pub(super) const fn of_repeated() -> Self {
        Self { each: Vec::new(), takes: Takes::Nothing }
    }

    /// Of a request that is only talked about: how many there were is no property of it.
    pub(super) const fn of_hypothetical() -> Self {
        Self { each: Vec::new(), takes: Takes::Unlimited }
    }

    /// Whether it has come to none.
    pub(super) const fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    fn come_to(&self, route: &Route) -> bool {
        !route.rate_limits.is_empty() && self.takes != Takes::Unlimited
    }
}

impl RateLimits {
    pub(super) fn new(limits: &[RateLimit], now: Instant) -> Self {
        Self::default().succeeded_by(&[], limits, now)
    }

    /// The same for the limits `after` those `before`. What stays as it is goes on counting.
    pub(super) fn succeeded_by(&self, before: &[RateLimit], after: &[RateLimit], now: Instant) -> Self {
        let tables = after.iter().map(|limit| {
            let known = before.iter().position(|other| other == limit).and_then(|at| self.tables.get(at));
            let begin = || Tables { addresses: Buckets::new(limit, now), people: Buckets::new(limit, now) };
            known.map_or_else(|| Arc::new(begin()), Arc::clone)
        });
        Self { tables: tables.collect() }
    }
}

/// Counts a request by its address, where the route has limits by that.
pub(super) fn count_address(route: &Route, exchange: &mut Exchange<'_>) -> Result<(), Rejection> {
    if !exchange.standings.come_to(route) {
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
    if !exchange.standings.come_to(route) || exchange.cors.is_preflight(route) {
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
#[derive(Clone, Copy, Hash)]
enum Counted<'a> {
    Address(IpAddr),
    /// An IPv6 network of 48 bits, of which a customer has one at most places.
    Wider(Ipv6Addr),
    /// By its issuer: two may know the same name.
    Subject(&'a str, &'a str),
    Session([u8; 16]),
}

impl Counted<'_> {
    fn wider(&self) -> Option<Self> {
        let Self::Address(IpAddr::V6(address)) = self else { return None };
        Some(Self::Wider(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80)))
    }
}

impl Tables {
    fn take(&self, key: &Counted<'_>, now: Instant, counts: bool) -> Level {
        let buckets = match key {
            Counted::Address(_) | Counted::Wider(_) => &self.addresses,
            Counted::Subject(..) | Counted::Session(_) => &self.people,
        };
        buckets.take((key, key.wider().as_ref()), now, counts)
    }
}

/// Counts by those limits of the route for which there is a key. What one has let in counts there even where the next refuses.
fn count<'k>(
    route: &Route,
    exchange: &mut Exchange<'_>,
    key: impl Fn(LimitedBy) -> Option<Counted<'k>>,
) -> Result<(), Rejection> {
    let gateway = exchange.gateway();
    for id in &route.rate_limits {
        let (limit, tables) = (gateway.config.rate_limits.get(id.0), gateway.rate_limits.tables.get(id.0));
        let Some((limit, tables)) = limit.zip(tables) else { continue };
        let Some(key) = key(limit.by) else { continue };
        let level = tables.take(&key, gateway.clock.instant(), exchange.standings.takes == Takes::Its);
        exchange.standings.each.push((*id, level));
        if let Some(retry_after) = level.refused_for {
            return Err(RateExceeded { limit: limit.clone(), retry_after }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn addresses_take_no_room_from_those_who_are_known_and_a_network_of_48_bits_none_from_others() {
        let limit = RateLimit {
            name: "subject".into(),
            scope: "app.test".into(),
            by: LimitedBy::Subject,
            requests: 2,
            per: Duration::from_secs(60),
            burst: 2,
        };
        let clock = Clock::stopped();
        let limits = RateLimits::new(&[limit], clock.instant());
        let passes = |key: Counted<'_>| limits.tables[0].take(&key, clock.instant(), true).refused_for.is_none();
        let of_network = |number: u32| {
            let network = Ipv6Addr::from_bits((0x2001_0db8_0001 << 80) | (u128::from(number % 65_536) << 64));
            passes(Counted::Address(network.into()))
        };
        let let_in = (0..200_000).filter(|number| of_network(*number)).count();
        assert!(let_in < 1_000, "{let_in}");
        let strangers =
            |first: u32| (first..first + 2_000).map(|number| Counted::Address(Ipv4Addr::from(number).into()));
        assert!(strangers(1 << 24).all(passes), "nobody begins with less for the many of one network");
        // The addresses of very many networks do that to each other, and to nobody else.
        for number in 0..300_000_u32 {
            passes(Counted::Address(Ipv4Addr::from(number + (2 << 24)).into()));
            passes(Counted::Address(Ipv4Addr::from(number + (2 << 24)).into()));
        }
        assert!(!strangers(9 << 24).all(passes));
        let people: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
        assert!(people.iter().all(|name| passes(Counted::Subject("main", name))));
    }
}
