//! What all workers share about upstreams: addresses and TLS settings. Nothing here changes.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::uri::{Authority, Scheme};

use crate::config::{Upstream, UpstreamAddress};
use crate::forwarding::reachability::Reachability;
use crate::forwarding::tls::{self, TlsClient, UpstreamTlsError};

/// Every upstream, by [`UpstreamId`](crate::config::UpstreamId).
#[derive(Debug)]
pub struct Upstreams {
    upstreams: Vec<Vec<Arc<Address>>>,
}

/// One address, ready to be dialled.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) endpoint: Endpoint,
    pub(super) security: Security,
    pub(super) reachability: Reachability,
}

/// Where to connect to.
#[derive(Debug)]
pub(super) enum Endpoint {
    /// A name or an IP address (without brackets), and a port.
    Tcp { host: String, port: u16 },
    /// A Unix socket.
    Unix(PathBuf),
}

/// What is spoken on the connection.
#[derive(Debug)]
pub(super) enum Security {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP/2 with prior knowledge, in the clear.
    Http2,
    /// TLS; ALPN decides.
    Tls(Box<TlsClient>),
}

impl Upstreams {
    /// Prepares every upstream of the configuration. Nothing is connected or resolved.
    ///
    /// # Errors
    /// [`UpstreamTlsError`] when certificates, keys or names for TLS cannot be used.
    pub fn new(upstreams: &[Upstream]) -> Result<Arc<Self>, UpstreamTlsError> {
        let upstreams = upstreams.iter().map(prepare).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { upstreams }))
    }

    /// The addresses of every upstream, in the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[Arc<Address>]> {
        self.upstreams.iter().map(Vec::as_slice)
    }
}

fn prepare(upstream: &Upstream) -> Result<Vec<Arc<Address>>, UpstreamTlsError> {
    // Reading the system's roots takes a while, so it is done for upstreams that have https addresses only.
    let https = upstream.addresses.iter().any(|address| matches!(address, UpstreamAddress::Https { .. }));
    let config = if https { Some(tls::client_config(&upstream.tls)?) } else { None };
    upstream
        .addresses
        .iter()
        .map(|address| {
            let tcp = |host: &str, port| Endpoint::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port };
            let (endpoint, security) = match (address, &config) {
                (UpstreamAddress::Http { host, port }, _) => (tcp(host, *port), Security::Http1),
                (UpstreamAddress::H2c { host, port }, _) => (tcp(host, *port), Security::Http2),
                (UpstreamAddress::Unix(path), _) => (Endpoint::Unix(path.clone()), Security::Http1),
                (UpstreamAddress::Https { host, port }, config) => {
                    let config = match config {
                        Some(config) => Arc::clone(config),
                        None => tls::client_config(&upstream.tls)?,
                    };
                    (tcp(host, *port), Security::Tls(Box::new(TlsClient::new(config, &upstream.tls, host)?)))
                }
            };
            Ok(Arc::new(Address { endpoint, security, reachability: Reachability::new() }))
        })
        .collect()
}

impl Address {
    /// The scheme of requests to it.
    pub(super) fn scheme(&self) -> Scheme {
        match self.security {
            Security::Http1 | Security::Http2 => Scheme::HTTP,
            Security::Tls(_) => Scheme::HTTPS,
        }
    }

    /// What stands for the host of a request that names none.
    pub(super) fn authority(&self) -> Option<Authority> {
        match &self.endpoint {
            Endpoint::Tcp { .. } => Authority::try_from(self.to_string()).ok(),
            Endpoint::Unix(_) => Some(Authority::from_static("localhost")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Endpoint::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Endpoint::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}
