//! `upstream` at length: addresses with settings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{HumanDuration, OneOrMany, StatusRange};
use crate::config::Balance;

/// An address of an application or a list of equivalent ones, with settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an address, or a map with url")]
pub struct UpstreamKeys {
    /// The address, or a list of equivalent ones.
    #[schemars(required)]
    pub url: Option<OneOrMany<String>>,
    /// A PEM file with the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate that Usher presents.
    pub client_certificate: Option<PathBuf>,
    /// A PEM file with the key of that certificate.
    pub client_key: Option<PathBuf>,
    /// The name that the application's certificate must have. Default: the host of the address.
    pub server_name: Option<String>,
    /// Which address gets the next request: `least_requests`, or `session` for always the same of one user. Default:
    /// `least_requests`.
    pub balance: Option<Balance>,
    /// What each address is asked to see whether it is well. Default: nothing.
    pub health: Option<HealthCheck>,
    /// When an address is passed over for what became of requests.
    pub ejection: Option<Ejection>,
    /// What the application is spared when it is slow or ill.
    pub circuit: Option<Circuit>,
}

/// What each address is asked to see whether it is well, over connections as those of requests.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with path")]
pub struct HealthCheck {
    /// What is asked for, as in `/healthz`.
    #[schemars(required)]
    pub path: Option<String>,
    /// The `Host` that is sent. Default: the address.
    pub host: Option<String>,
    /// Between two checks of one address. Default: 5s.
    pub interval: Option<HumanDuration>,
    /// For one check, connecting included. Default: 2s, or the interval where that is shorter.
    pub timeout: Option<HumanDuration>,
    /// So many good answers in a row, and an address takes part again. Default: 2.
    pub healthy_after: Option<u32>,
    /// So many bad ones in a row, and it is passed over. Default: 3.
    pub unhealthy_after: Option<u32>,
    /// Which statuses are good: one, or a range. Default: 200-399.
    pub status: Option<StatusRange>,
}

/// When an address is passed over for what became of requests, and for how long.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a map with faults, server_errors, first, longest, max_percent and slow_start"
)]
pub struct Ejection {
    /// After so many requests in a row that broke or timed out; a connection that cannot be made is enough. Default: 3.
    pub faults: Option<u32>,
    /// After so many answers in a row whose status is 500 or more. Default: those say nothing.
    pub server_errors: Option<u32>,
    /// For how long at first; it doubles each time that the address is no better then. Default: 3s.
    pub first: Option<HumanDuration>,
    /// For how long at most. Default: 30s.
    pub longest: Option<HumanDuration>,
    /// At most so many of a hundred addresses for bad answers, and one of two in any case. Default: 50.
    pub max_percent: Option<u8>,
    /// How long an address that takes part again gets fewer requests than the others. Default: 10s.
    pub slow_start: Option<HumanDuration>,
}

/// What the application is spared when it is slow or ill.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with max_requests, max_connects and retry_percent")]
pub struct Circuit {
    /// Requests at each address at a time, WebSockets included; what is more is answered 503 at once. Default: no bound.
    pub max_requests: Option<usize>,
    /// Connections to each address that are being made at a time. Default: no bound.
    pub max_connects: Option<usize>,
    /// How many of a hundred requests may be sent once more. Default: 20.
    pub retry_percent: Option<u32>,
}
