//! What clients are told about limits: every limit of the route in `RateLimit-Policy`, and how they stand with those that were
//! come to in `RateLimit`. Both are lists (RFC 9651 §3.1), so what an application says of its own stays beside them.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::exchange::Exchange;
use super::buckets::Level;
use crate::config::{RateLimit, RateLimitId};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// Adds both fields to the head of an answer.
pub(in crate::gateway) fn add(exchange: &Exchange<'_>, headers: &mut HeaderMap) {
    let Some(route) = exchange.route() else { return };
    let limits = &exchange.gateway().config.rate_limits;
    let policies = list(route.rate_limits.iter().filter_map(|id| limits.get(id.0)), policy);
    let known = |(id, level): &(RateLimitId, Level)| Some((limits.get(id.0)?, *level));
    let standings = list(exchange.standings.each.iter().filter_map(known), standing);
    for (name, value) in [(POLICY, policies), (STANDING, standings)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append(name, value);
        }
    }
}

fn list<T>(items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push_str(", ");
        }
        write(&mut text, item);
    }
    text
}

fn policy(text: &mut String, limit: &RateLimit) {
    // Writing to a text cannot fail.
    let _ = write!(text, "\"{}\";q={};w={}", limit.name, limit.requests, limit.per.as_secs());
}

fn standing(text: &mut String, (limit, level): (&RateLimit, Level)) {
    // Nobody who is refused is to read two times that contradict each other: this is `Retry-After` then.
    let free_after = level.refused_for.unwrap_or(level.free_after);
    let seconds = free_after.as_secs() + u64::from(free_after.subsec_nanos() > 0);
    let _ = write!(text, "\"{}\";r={};t={seconds}", limit.name, level.remaining);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::LimitedBy;

    #[test]
    fn who_is_refused_is_told_one_time() {
        let limit = RateLimit {
            name: "address".into(),
            scope: "app.test".into(),
            by: LimitedBy::Address,
            requests: 3,
            per: Duration::from_secs(60),
            burst: 3,
        };
        let told = |refused_for| {
            let mut text = String::new();
            standing(&mut text, (&limit, Level { remaining: 0, free_after: Duration::from_secs(60), refused_for }));
            text
        };
        assert_eq!(told(None), "\"address\";r=0;t=60");
        assert_eq!(told(Some(Duration::from_millis(19_001))), "\"address\";r=0;t=20");
    }
}
