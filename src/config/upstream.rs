//! Where the applications are.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{CertificateFiles, defaults};

/// Index of an upstream in [`Config::upstreams`](super::Config::upstreams).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub usize);

/// One or more equivalent addresses of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Never empty.
    pub addresses: Vec<UpstreamAddress>,
    /// For `https` addresses.
    pub tls: UpstreamTls,
    /// How its addresses are chosen, watched and spared.
    pub care: UpstreamCare,
}

/// How the addresses of an application are chosen, watched and spared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamCare {
    /// Which address gets the next request.
    pub balance: Balance,
    /// What each address is asked from time to time. `None`: nothing; requests alone tell how it is.
    pub health: Option<HealthCheck>,
    /// When an address is passed over for what became of requests.
    pub ejection: Ejection,
    /// What the application is spared.
    pub circuit: Circuit,
}

impl Default for UpstreamCare {
    fn default() -> Self {
        defaults::UPSTREAM_CARE
    }
}

/// Which address gets the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The one with the fewest requests on their way.
    LeastRequests,
    /// The same for all requests of one user, or of one client address where nobody is signed in.
    Session,
}

/// What an address is asked to see whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for: a canonical path.
    pub path: String,
    /// `Host`, where it is not the address itself.
    pub host: Option<HeaderValue>,
    /// Between the beginnings of two checks.
    pub interval: Duration,
    /// For one check, connecting included. Not longer than `interval`.
    pub timeout: Duration,
    /// So many good answers in a row, and an address that was ill takes part again.
    pub healthy_after: u32,
    /// So many bad ones, and it is passed over.
    pub unhealthy_after: u32,
    /// Which statuses are good.
    pub status: RangeInclusive<u16>,
}

/// When an address is passed over for what became of requests, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// After so many faults in a row. A connection that cannot be made is enough by itself.
    pub faults: u32,
    /// After so many answers in a row whose status is 500 or more. `None`: those say nothing.
    pub server_errors: Option<u32>,
    /// For how long at first. It doubles each time that the address is no better then.
    pub first: Duration,
    /// For how long at most.
    pub longest: Duration,
    /// At most so many of a hundred addresses, and one of two in any case, for answers that were bad.
    pub max_percent: u8,
    /// How long an address that takes part again gets fewer requests than the others.
    pub slow_start: Duration,
}

/// What the application is spared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// Requests at each address at a time, streams and WebSockets included. `None`: no bound.
    pub max_requests: Option<usize>,
    /// Connections to each address that are being made at a time. `None`: no bound.
    pub max_connects: Option<usize>,
    /// Requests that are sent once more, of a hundred.
    pub retry_percent: u32,
}

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// `http://host:port`: HTTP/1.1.
    Http {
        /// Name or address, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `https://host:port`: HTTP/2 or HTTP/1.1 by ALPN.
    Https {
        /// Name or address, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `h2c://host:port`: HTTP/2 with prior knowledge, without TLS.
    H2c {
        /// Name or address, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path/to/socket`: HTTP/1.1.
    Unix(PathBuf),
}

/// TLS towards an application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The roots to trust instead of the system's: PEM, checked to parse.
    pub ca: Option<Vec<u8>>,
    /// The certificate that Usher presents.
    pub client_certificate: Option<CertificateFiles>,
    /// The name that the certificate must have, when it is not the host of the address.
    pub server_name: Option<String>,
}
