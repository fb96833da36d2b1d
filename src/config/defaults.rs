//! Every default, in one place. `config/usher.yaml` shows them, and a test compares the two.

use std::time::Duration;

use crate::oauth::Algorithm;

use super::{
    AcmeChallenge, Balance, Circuit, Ejection, Limits, Log, LogFormat, LogSubject, Shutdown, Timeouts, UpstreamCare,
};

pub(super) const ACME_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// It needs no listener but the one that the certificate is for.
pub(super) const ACME_CHALLENGE: AcmeChallenge = AcmeChallenge::TlsAlpn01;

pub(super) const CLIENT_CERTIFICATES_REQUIRED: bool = true;

pub(super) const LEEWAY: Duration = Duration::from_secs(5);
pub(super) const INTROSPECTION_CACHE: Duration = Duration::from_secs(30);
pub(super) const ISSUER_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const SCOPES: [&str; 1] = ["openid"];
pub(super) const END_SESSION: bool = true;
/// With keys from discovery or a key set; for a single key or a shared secret there is no sensible guess.
pub(super) const KEY_SET_ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

pub(super) const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);
pub(super) const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
pub(super) const SIGNING_KEY_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

pub(super) const REFRESH_FIELD: &str = "refresh_token";
pub(super) const ACCESS_TOKEN_POINTER: &str = "/access_token";
pub(super) const REFRESH_TOKEN_POINTER: &str = "/refresh_token";

pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(8 * 3600);
pub(super) const ABSOLUTE_TIMEOUT: Duration = Duration::from_secs(30 * 86_400);
pub(super) const REFRESH_AHEAD: Duration = Duration::from_secs(30);
pub(super) const REFRESH_GRACE: Duration = Duration::from_secs(60);
pub(super) const REFRESH_WAIT: Duration = Duration::from_secs(5);
pub(super) const MAX_RECORDS: usize = 100_000;

pub(super) const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const SERVICE_NAME: &str = "usher";

pub(super) const STORE_TIMEOUT: Duration = Duration::from_millis(500);
pub(super) const STORE_PREFIX: &str = "usher";

pub(super) const BODY_LIMIT: Option<u64> = Some(10 << 20);
/// Policy violation (RFC 6455 §7.4.1).
pub(super) const WEBSOCKET_CLOSE_CODE: u16 = 1008;
pub(super) const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(5), response: Duration::from_secs(60), idle: Duration::from_secs(5 * 60) };

pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Or the interval, where that is shorter.
pub(super) const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const HEALTHY_AFTER: u32 = 2;
pub(super) const UNHEALTHY_AFTER: u32 = 3;
pub(super) const GOOD_STATUSES: std::ops::RangeInclusive<u16> = 200..=399;
/// Nothing that the application could feel: bounds are the operator's to set.
pub(super) const UPSTREAM_CARE: UpstreamCare = UpstreamCare {
    balance: Balance::LeastRequests,
    health: None,
    ejection: Ejection {
        faults: 3,
        server_errors: None,
        first: Duration::from_secs(3),
        longest: Duration::from_secs(30),
        max_percent: 50,
        slow_start: Duration::from_secs(10),
    },
    circuit: Circuit { max_requests: None, max_connects: None, retry_percent: 20 },
};

/// A token of 8 KiB and more than 1,000 connections from one address pass.
pub(super) const LIMITS: Limits = Limits {
    header_bytes: 64 << 10,
    header_count: 100,
    connections: 10_000,
    connections_per_address: 2_000,
    streams_per_connection: 256,
    handshake_timeout: Duration::from_secs(10),
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    body_timeout: Duration::from_secs(60),
    connection_age: Duration::from_secs(3600),
    token_cache_bytes: 32 << 20,
};

impl Limits {
    /// Whether nobody has asked for more connections, or fewer.
    #[must_use]
    pub const fn has_default_connections(&self) -> bool {
        self.connections == LIMITS.connections
    }
}

pub(super) fn log() -> Log {
    Log { format: LogFormat::Text, level: "info".to_owned(), subject: LogSubject::Plain }
}

pub(super) const SHUTDOWN: Shutdown = Shutdown { delay: Duration::ZERO, deadline: Duration::from_secs(30) };
