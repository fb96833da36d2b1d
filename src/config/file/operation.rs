//! `limits`, `log` and `shutdown`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ByteSize, HumanDuration};
use crate::config::{LogFormat, LogSubject, TraceSource};

/// Bounds on what a client may do.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Limits {
    /// Size of a request head. Default: 64KiB.
    pub header_bytes: Option<ByteSize>,
    /// Header fields of a request. Default: 100.
    pub header_count: Option<usize>,
    /// Connections at once, over all listeners but admin. Default: 10000.
    pub connections: Option<usize>,
    /// Connections at once from one address. Default: 2000.
    pub connections_per_address: Option<usize>,
    /// Concurrent streams on one HTTP/2 connection. Default: 256.
    pub streams_per_connection: Option<u32>,
    /// Until the TLS handshake is complete. Default: 10s.
    pub handshake_timeout: Option<HumanDuration>,
    /// Until a request's head is complete. Default: 10s.
    pub header_timeout: Option<HumanDuration>,
    /// Silence on a connection between requests. Default: 75s.
    pub idle_timeout: Option<HumanDuration>,
    /// Silence while a client sends a body or reads an answer. Default: 60s.
    pub body_timeout: Option<HumanDuration>,
    /// A connection older than this is closed after the request at hand. Default: 1h.
    pub connection_age: Option<HumanDuration>,
    /// Memory for tokens that were verified already, and as much for sessions that are in Redis. Default: 32MiB.
    pub token_cache_bytes: Option<ByteSize>,
}

/// Format and level of the log.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Log {
    /// Lines for people or JSON for machines. Default: text.
    pub format: Option<LogFormat>,
    /// What is logged: `info`, or finer, `usher=debug,info`. Default: info.
    pub level: Option<String>,
    /// How the subject of a token stands in the access log. Default: plain.
    pub subject: Option<LogSubject>,
}

/// How Usher takes part in distributed traces. The application and the access log get the trace of every request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Tracing {
    /// Whose `traceparent` is continued. Default: that of whoever connects as one of `trusted_proxies`.
    pub accept_from: Option<TraceSource>,
    /// What part of the traces that begin here is marked as to be recorded, from 0 to 1. Default: 1.
    pub sample: Option<f64>,
    /// Where Usher's own spans go, by OTLP over HTTP. Default: nowhere.
    pub otlp: Option<Otlp>,
}

/// A collector of spans.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Otlp {
    /// Where it listens for OTLP over HTTP, as in `http://collector:4318`; `/v1/traces` is added.
    pub endpoint: Option<String>,
    /// A file with headers that it wants to see, one in a line: `Authorization: Bearer …`.
    pub headers_file: Option<PathBuf>,
    /// Authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Until it has answered. Default: 10s.
    pub timeout: Option<HumanDuration>,
    /// The name under which Usher stands in the traces. Default: usher.
    pub service_name: Option<String>,
}

/// What happens between the signal to stop and the end.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Shutdown {
    /// How long `/readyz` says no before the listeners close, for load balancers to notice. Default: 0s.
    pub delay: Option<HumanDuration>,
    /// How long requests at hand may take after that. Default: 30s.
    pub deadline: Option<HumanDuration>,
}
