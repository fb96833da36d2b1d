//! `rate_limit` of a site or a route.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Check, KeyPath, Mistake};
use super::layer::{Layer, Written};
use super::{CheckedSites, position_or_push};
use crate::config::file::{self, OneOrMany};
use crate::config::{Access, LimitedBy, RateLimit, RateLimitId};

/// Counts are in memory and end with the process: what takes longer than this promises too much.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Until whoever has used up everything has everything again.
const LONGEST_RECOVERY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// More than one in a microsecond: no machine gets so many, and the time between two is no time.
const SHORTEST_INTERVAL: Duration = Duration::from_micros(1);

impl Check<'_> {
    /// Limits that are not said yet to be of a site or of a route. An empty list lifts those of the site.
    pub(super) fn rate_limits(&mut self, at: &KeyPath, given: &OneOrMany<file::RateLimit>) -> Vec<RateLimit> {
        let mut limits: Vec<RateLimit> = Vec::new();
        for (index, mirror) in given.values.iter().enumerate() {
            let at = if given.is_list { at.index(index) } else { at.clone() };
            let Some(limit) = self.rate_limit(&at, mirror) else { continue };
            if limits.iter().any(|other| (other.by, other.per) == (limit.by, limit.per)) {
                let message = "counts the same as another one of this list, in the same time";
                self.report.problem(&at, message, "keep the smaller one of the two");
            }
            let alike = limits.iter().filter(|other| other.by == limit.by).count();
            let name = if alike == 0 { limit.by.to_string() } else { format!("{}-{}", limit.by, alike + 1) };
            limits.push(RateLimit { name: name.into(), ..limit });
        }
        limits
    }

    fn rate_limit(&mut self, at: &KeyPath, mirror: &file::RateLimit) -> Option<RateLimit> {
        for (key, is_given, example) in [
            ("by", mirror.by.is_some(), "by: address"),
            ("requests", mirror.requests.is_some(), "requests: 100"),
            ("per", mirror.per.is_some(), "per: 1m"),
        ] {
            if !is_given {
                self.report.absent(&at.key(key), "is missing", format!("add it, as in {example}"));
            }
        }
        let requests = self.accept(&at.key("requests"), number(mirror.requests?, "nobody could send anything"))?;
        let per = self.accept(&at.key("per"), window(mirror.per?.0))?;
        let burst = match mirror.burst {
            Some(burst) => self.accept(&at.key("burst"), number(burst, "not even one request could come at once"))?,
            None => requests,
        };
        let limit = RateLimit { name: "".into(), scope: "".into(), by: mirror.by?, requests, per, burst };
        if limit.interval() < SHORTEST_INTERVAL {
            let remedy = "write fewer, or take the limit out";
            self.report.problem(
                &at.key("requests"),
                "are more than a million in a second, which limits nothing",
                remedy,
            );
            return None;
        }
        if limit.interval().saturating_mul(burst) > LONGEST_RECOVERY {
            let message = "takes more than 7d to come back at this rate";
            self.report.problem(&at.key("burst"), message, "write a smaller burst, or more requests");
            return None;
        }
        Some(limit)
    }

    /// Those of a route, of which some are its own.
    pub(super) fn limits_of_route(
        &mut self,
        at: &KeyPath,
        (name, access): (&Arc<str>, Access),
        limits: Option<Written<Vec<RateLimit>>>,
        checked: &mut CheckedSites,
    ) -> Vec<RateLimitId> {
        let Some(Written { value: limits, at: written }) = limits else { return Vec::new() };
        let by_identity = limits.iter().any(|limit| limit.by != LimitedBy::Address);
        if access == Access::Public && by_identity && written == at.key("rate_limit") {
            self.report.note(&written, "counts by address: where access is public, nobody is asked who they are");
        }
        let scoped = |limit: RateLimit| match &*limit.scope {
            "" => RateLimit { scope: Arc::clone(name), ..limit },
            _ => limit,
        };
        limits.into_iter().map(|limit| RateLimitId(position_or_push(&mut checked.rate_limits, scoped(limit)))).collect()
    }
}

impl Layer {
    /// The same, with limits that are counted together for everything on this host.
    pub(super) fn limited_together(mut self, host: &str) -> Self {
        for limit in self.rate_limit.iter_mut().flat_map(|limits| &mut limits.value) {
            limit.scope = host.into();
        }
        self
    }
}

fn number(given: u64, otherwise: &str) -> Result<u32, Mistake> {
    match u32::try_from(given) {
        Ok(0) => {
            Err(Mistake::new(format!("must be at least 1: {otherwise}"), "write at least 1, or take the limit out"))
        }
        Ok(number) => Ok(number),
        Err(_) => Err(Mistake::new("is too large to limit anything", "write a smaller number, or take the limit out")),
    }
}

fn window(per: Duration) -> Result<Duration, Mistake> {
    if per.is_zero() || per.subsec_nanos() > 0 {
        return Err(Mistake::new("must be whole seconds, at least 1s", "write 1s, 1m or 1h"));
    }
    if per > LONGEST {
        let remedy = "write at most 24h: what was counted is forgotten at a restart";
        return Err(Mistake::new("is longer than anything is counted", remedy));
    }
    Ok(per)
}
