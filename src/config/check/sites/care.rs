//! `balance`, `health`, `ejection` and `circuit` of an `upstream`.

use super::super::values::{canonical_path, host_value};
use super::super::{Check, KeyPath};
use crate::config::file::{self, HumanDuration, UpstreamKeys};
use crate::config::{Circuit, Ejection, HealthCheck, UpstreamCare, defaults};

impl Check<'_> {
    pub(super) fn care(&mut self, at: &KeyPath, keys: &UpstreamKeys) -> UpstreamCare {
        let default = defaults::UPSTREAM_CARE;
        UpstreamCare {
            balance: keys.balance.unwrap_or(default.balance),
            health: keys.health.as_ref().and_then(|health| self.health(&at.key("health"), health)),
            ejection: self.ejection(&at.key("ejection"), keys.ejection.as_ref(), default.ejection),
            circuit: self.circuit(&at.key("circuit"), keys.circuit.as_ref(), default.circuit),
        }
    }

    fn health(&mut self, at: &KeyPath, mirror: &file::HealthCheck) -> Option<HealthCheck> {
        let remedy = "add what the application answers when it is well, as in path: /healthz";
        let path = self.needed(&at.key("path"), mirror.path.as_deref(), canonical_path, remedy);
        let host = mirror.host.as_deref().and_then(|host| self.accept(&at.key("host"), host_value(host)));
        let interval = self.time(&at.key("interval"), mirror.interval, defaults::CHECK_INTERVAL);
        let timeout = self.time(&at.key("timeout"), mirror.timeout, defaults::CHECK_TIMEOUT.min(interval));
        if timeout > interval {
            let remedy = "write at most the interval: checks follow one another";
            self.report.problem(&at.key("timeout"), "is longer than the interval", remedy);
        }
        Some(HealthCheck {
            path: path?,
            host,
            interval,
            timeout,
            healthy_after: self.count(&at.key("healthy_after"), mirror.healthy_after, defaults::HEALTHY_AFTER),
            unhealthy_after: self.count(&at.key("unhealthy_after"), mirror.unhealthy_after, defaults::UNHEALTHY_AFTER),
            status: mirror.status.as_ref().map_or(defaults::GOOD_STATUSES, |range| range.0.clone()),
        })
    }

    fn ejection(&mut self, at: &KeyPath, mirror: Option<&file::Ejection>, default: Ejection) -> Ejection {
        let Some(mirror) = mirror else { return default };
        let first = self.time(&at.key("first"), mirror.first, default.first);
        let longest = self.time(&at.key("longest"), mirror.longest, default.longest.max(first));
        if longest < first {
            self.report.problem(&at.key("longest"), "is shorter than first", "write at least as much as first");
        }
        let max_percent = mirror.max_percent.unwrap_or(default.max_percent);
        if max_percent > 100 {
            self.report.problem(&at.key("max_percent"), "is more than all", "write at most 100");
        }
        Ejection {
            faults: self.count(&at.key("faults"), mirror.faults, default.faults),
            server_errors: mirror.server_errors.map(|many| self.count(&at.key("server_errors"), Some(many), 1)),
            first,
            longest,
            max_percent,
            slow_start: mirror.slow_start.map_or(default.slow_start, |HumanDuration(time)| time),
        }
    }

    fn circuit(&mut self, at: &KeyPath, mirror: Option<&file::Circuit>, default: Circuit) -> Circuit {
        let Some(mirror) = mirror else { return default };
        let retry_percent = mirror.retry_percent.unwrap_or(default.retry_percent);
        if retry_percent > 100 {
            self.report.problem(&at.key("retry_percent"), "is more than all", "write at most 100");
        }
        let mut bound = |key: &str, given: Option<usize>| given.map(|many| self.count(&at.key(key), Some(many), 1));
        Circuit {
            max_requests: bound("max_requests", mirror.max_requests),
            max_connects: bound("max_connects", mirror.max_connects),
            retry_percent,
        }
    }
}
