//! `limits`, `log` and `shutdown`.

use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::{Check, KeyPath, Mistake};
use crate::config::file::{self, HumanDuration};
use crate::config::{Limits, Log, Shutdown, defaults};

/// What the HTTP/1.1 parser needs at least, and what no honest client reaches.
const HEADER_BYTES: std::ops::RangeInclusive<u64> = (8 << 10)..=(1 << 20);

/// Whether every directive names a level. `tracing` takes a lone word that is none for the name of a module, and would then
/// log nothing else: a misspelt level would silence everything.
fn names_levels(filter: &str) -> bool {
    let level = |directive| str::rsplit_once(directive, '=').map_or(directive, |(_, level)| level);
    filter.split(',').map(level).all(|level| !level.is_empty() && level.parse::<LevelFilter>().is_ok())
}

impl Check<'_> {
    pub(super) fn limits(&mut self, mirror: Option<&file::Limits>) -> Limits {
        let at = KeyPath::root().key("limits");
        let mirror = mirror.cloned().unwrap_or_default();
        let default = defaults::LIMITS;
        Limits {
            header_bytes: mirror
                .header_bytes
                .and_then(|size| self.accept(&at.key("header_bytes"), header_bytes(size.0)))
                .unwrap_or(default.header_bytes),
            header_count: self.count(&at.key("header_count"), mirror.header_count, default.header_count),
            connections: self.count(&at.key("connections"), mirror.connections, default.connections),
            connections_per_address: self.count(
                &at.key("connections_per_address"),
                mirror.connections_per_address,
                default.connections_per_address,
            ),
            streams_per_connection: self.count(
                &at.key("streams_per_connection"),
                mirror.streams_per_connection,
                default.streams_per_connection,
            ),
            handshake_timeout: self.time(
                &at.key("handshake_timeout"),
                mirror.handshake_timeout,
                default.handshake_timeout,
            ),
            header_timeout: self.time(&at.key("header_timeout"), mirror.header_timeout, default.header_timeout),
            idle_timeout: self.time(&at.key("idle_timeout"), mirror.idle_timeout, default.idle_timeout),
            body_timeout: self.time(&at.key("body_timeout"), mirror.body_timeout, default.body_timeout),
            connection_age: self.time(&at.key("connection_age"), mirror.connection_age, default.connection_age),
            token_cache_bytes: mirror.token_cache_bytes.map_or(default.token_cache_bytes, |size| size.0),
        }
    }

    pub(super) fn log(&mut self, mirror: Option<&file::Log>) -> Log {
        let mirror = mirror.cloned().unwrap_or_default();
        let default = defaults::log();
        // With a blank before it, a level would be such a name as well.
        let level: String = mirror.level.unwrap_or(default.level).split_whitespace().collect();
        if level.parse::<Targets>().is_err() || !names_levels(&level) {
            let remedy = "write error, warn, info, debug or trace, or finer: usher=debug,info";
            self.report.problem(&KeyPath::root().key("log").key("level"), "is not a level", remedy);
        }
        Log {
            format: mirror.format.unwrap_or(default.format),
            level,
            subject: mirror.subject.unwrap_or(default.subject),
        }
    }

    /// A duration that cannot be zero.
    pub(super) fn time(&mut self, at: &KeyPath, given: Option<HumanDuration>, default: Duration) -> Duration {
        match given {
            Some(HumanDuration(Duration::ZERO)) => {
                self.report.problem(at, "must be longer than 0s", "take it out for the default");
                default
            }
            Some(HumanDuration(duration)) => duration,
            None => default,
        }
    }

    /// A number that cannot be zero.
    pub(super) fn count<N: Default + PartialEq>(&mut self, at: &KeyPath, given: Option<N>, default: N) -> N {
        match given {
            Some(zero) if zero == N::default() => {
                self.report.problem(at, "must be at least 1", "take it out for the default");
                default
            }
            Some(number) => number,
            None => default,
        }
    }
}

/// How a drain goes. Nothing can be wrong with it: either time may be zero.
pub(super) fn shutdown(mirror: Option<&file::Shutdown>) -> Shutdown {
    let mirror = mirror.cloned().unwrap_or_default();
    let default = defaults::SHUTDOWN;
    Shutdown {
        delay: mirror.delay.map_or(default.delay, |given| given.0),
        deadline: mirror.deadline.map_or(default.deadline, |given| given.0),
    }
}

fn header_bytes(bytes: u64) -> Result<u32, Mistake> {
    let mistake = || Mistake::new("must be between 8KiB and 1MiB", "take it out for the default");
    if HEADER_BYTES.contains(&bytes) { u32::try_from(bytes).map_err(|_| mistake()) } else { Err(mistake()) }
}
