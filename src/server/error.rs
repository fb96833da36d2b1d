//! Why the server cannot start.

use std::io;
use std::net::SocketAddr;

use super::certificates::CertificateError;
use crate::config::listening_remedy;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The operator: a certificate or key that cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The operator, or whoever else has the port: an address that cannot be listened on.
    #[error("cannot listen on {address}, which {key} names{}", listening_remedy(source))]
    Bind {
        /// The key of the configuration.
        key: &'static str,
        /// As it stands in the configuration.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Us: TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The system: a worker thread cannot be started.
    #[error("cannot start a worker thread")]
    Thread(#[source] io::Error),
}

impl StartupError {
    /// Whether the operator's files are at fault rather than the world.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Certificate(error) => error.is_configuration(),
            Self::Bind { .. } | Self::Tls(_) | Self::Thread(_) => false,
        }
    }
}
