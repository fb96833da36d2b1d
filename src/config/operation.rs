//! What an operator sets beside all that: limits, the log, the drain.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds on what a client may do. A figure that is exceeded is answered with the status in its comment where HTTP is
/// spoken already, else by closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head (431).
    pub header_bytes: u32,
    /// Header fields of a request (431).
    pub header_count: usize,
    /// Connections at once, over all listeners but admin.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_address: usize,
    /// Concurrent streams on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// Until the TLS handshake (and the PROXY header before it) is complete.
    pub handshake_timeout: Duration,
    /// Until a request's head is complete (408).
    pub header_timeout: Duration,
    /// Silence on a connection between requests.
    pub idle_timeout: Duration,
    /// Silence while a client sends a request body or reads an answer.
    pub body_timeout: Duration,
    /// A connection older than this is closed gracefully after the request at hand.
    pub connection_age: Duration,
    /// Bytes of verified tokens that are kept in memory, and of sessions that are remembered from a server.
    pub token_cache_bytes: u64,
}

/// Format and level of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// A filter directive of `tracing`: `info`, `usher=debug,info`.
    pub level: String,
    /// How the subject stands in the access log.
    pub subject: LogSubject,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How the subject stands in the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogSubject {
    /// As it is.
    Plain,
    /// The first 16 hexadecimal digits of its SHA-256 under the session secret: one person stays one person.
    Hash,
    /// Not at all.
    Omit,
}

/// How a drain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Between `/readyz` turning 503 and the listeners closing: time for a load balancer to notice.
    pub delay: Duration,
    /// How long requests at hand may take after that.
    pub deadline: Duration,
}
