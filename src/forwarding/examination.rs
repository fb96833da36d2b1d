//! Whether the addresses of an upstream can be connected to, for whoever looks for what is wrong with them.
//!
//! They are resolved and dialled by what forwards, certificates verified, and each connection is closed as soon as it stands:
//! the application gets no request. What to do about it is not known here.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::forwarding::connect::{Dialler, Offer};
use crate::forwarding::error::ConnectError;
use crate::forwarding::upstreams::{Address, Endpoint, Security, Upstreams};

/// What became of one configured address.
#[derive(Debug)]
pub struct Examination {
    address: Arc<Address>,
    /// Each place that it leads to, or that it leads to none.
    pub found: Result<Vec<Tried>, ConnectError>,
}

/// An attempt at one place.
#[derive(Debug)]
pub struct Tried {
    /// Where; `None` of a Unix socket.
    pub at: Option<SocketAddr>,
    /// Whether it speaks HTTP/2, as far as connecting tells.
    pub outcome: Result<bool, ConnectError>,
}

impl Examination {
    /// The name that has to be resolved, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.address.endpoint {
            Endpoint::Tcp { host, .. } if host.parse::<std::net::IpAddr>().is_err() => Some(host),
            Endpoint::Tcp { .. } | Endpoint::Unix(_) => None,
        }
    }

    /// Whether connecting includes TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.address.security, Security::Tls(_))
    }
}

/// The address as the configuration has it, without its scheme.
impl fmt::Display for Examination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(formatter)
    }
}

impl Upstreams {
    /// Tries every place that every address leads to, all at once, each for so long at most. Resolving has the same bound.
    pub async fn examine(&self, limit: Duration) -> Vec<Examination> {
        let addresses = self.pools().iter().flat_map(|pool| &pool.addresses);
        join_all(addresses.map(|address| examine(Arc::clone(address), limit))).await
    }
}

async fn examine(address: Arc<Address>, limit: Duration) -> Examination {
    let dialler = Dialler::new(Arc::clone(&address));
    let Endpoint::Tcp { host, port } = &address.endpoint else {
        let outcome = dialler.connect(Offer::Any, limit).await.map(|stream| stream.negotiated_http2());
        return Examination { address, found: Ok(vec![Tried { at: None, outcome }]) };
    };
    let resolved = timeout(limit, dialler.resolve(host, *port, limit)).await.unwrap_or(Err(ConnectError::TimedOut));
    let found = match resolved {
        Ok(places) => Ok(join_all(places.into_iter().map(|at| attempt(&dialler, at, limit))).await),
        Err(error) => Err(error),
    };
    Examination { address, found }
}

async fn attempt(dialler: &Dialler, at: SocketAddr, limit: Duration) -> Tried {
    let stream = timeout(limit, dialler.dial(&[at], Offer::Any)).await.unwrap_or(Err(ConnectError::TimedOut));
    let has_prior_knowledge = matches!(dialler.address().security, Security::Http2);
    Tried { at: Some(at), outcome: stream.map(|stream| has_prior_knowledge || stream.negotiated_http2()) }
}
