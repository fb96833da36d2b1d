//! Making a connection: name, socket, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::forwarding::error::ConnectError;
use crate::forwarding::http2;
use crate::forwarding::resolution::Resolution;
use crate::forwarding::stream::{Stream, Transport};
use crate::forwarding::tls::TlsClient;
use crate::forwarding::upstreams::{Address, Endpoint, Security};

/// How long one of several addresses of a name has the field to itself (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Which protocols TLS offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 and HTTP/1.1.
    Any,
    /// HTTP/1.1 only.
    Http1,
}

/// Dials one address.
#[derive(Debug)]
pub(super) struct Dialler {
    address: Arc<Address>,
}

/// What connections have told of an address, for everybody who dials it, and after a reload.
#[derive(Debug)]
pub(super) struct Learnt {
    resolution: Resolution,
    /// So many requests at a time it takes on one HTTP/2 connection, where that is fewer than it would get.
    pub(super) streams: AtomicUsize,
}

impl Default for Learnt {
    fn default() -> Self {
        Self { resolution: Resolution::default(), streams: AtomicUsize::new(http2::STREAMS) }
    }
}

impl Dialler {
    pub(super) fn new(address: Arc<Address>) -> Self {
        Self { address }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Connects, TLS included, within `limit`.
    pub(super) async fn connect(&self, offer: Offer, limit: Duration) -> Result<Stream, ConnectError> {
        timeout(limit, self.attempt(offer, limit)).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn attempt(&self, offer: Offer, limit: Duration) -> Result<Stream, ConnectError> {
        let (host, port) = match &self.address.endpoint {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|cause| ConnectError::Socket(Arc::new(cause)))?;
                return Ok(Stream::new(Transport::Unix(stream)));
            }
            Endpoint::Tcp { host, port } => (host, *port),
        };
        let candidates = self.resolve(host, port, limit / 4).await?;
        self.dial(&candidates, offer).await
    }

    /// Connects to one of these, TLS included.
    pub(super) async fn dial(&self, candidates: &[SocketAddr], offer: Offer) -> Result<Stream, ConnectError> {
        let tcp = connect_any(candidates).await.map_err(|cause| ConnectError::Socket(Arc::new(cause)))?;
        // Small writes must leave at once; that it might fail is no reason to refuse the connection.
        let _ = tcp.set_nodelay(true);
        match &self.address.security {
            Security::Http1 | Security::Http2 => Ok(Stream::new(Transport::Tcp(tcp))),
            Security::Tls(tls) => handshake(tls, offer, tcp).await,
        }
    }

    /// Where a name leads to. What is known already waits no longer than `patience` for its name server.
    pub(super) async fn resolve(
        &self,
        host: &str,
        port: u16,
        patience: Duration,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        self.address.learnt.resolution.find(lookup_host((host.to_owned(), port)), patience).await
    }
}

/// The first of several addresses that answers; each gets a head start over the next (RFC 8305).
async fn connect_any(candidates: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = candidates {
        return TcpStream::connect(only).await;
    }
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut waiting = candidates.iter();
    loop {
        match waiting.next() {
            Some(candidate) => attempts.push(TcpStream::connect(candidate)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        let head_start = if waiting.len() == 0 { Duration::MAX } else { ATTEMPT_DELAY };
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(cause) => failure = cause,
            },
            () = sleep(head_start) => {}
        }
    }
}

async fn handshake(tls: &TlsClient, offer: Offer, tcp: TcpStream) -> Result<Stream, ConnectError> {
    let config = match offer {
        Offer::Any => &tls.any,
        Offer::Http1 => &tls.http1,
    };
    let stream = TlsConnector::from(Arc::clone(config))
        .connect(tls.server_name.clone(), tcp)
        .await
        .map_err(|cause| ConnectError::Tls(Arc::new(cause)))?;
    Ok(Stream::new(Transport::Tls(Box::new(stream))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::{Upstream, UpstreamAddress, UpstreamCare, UpstreamTls};
    use crate::forwarding::upstreams::Upstreams;

    #[test]
    fn what_is_learnt_of_an_address_outlives_a_reload() {
        let addresses = vec![UpstreamAddress::Http { host: "app".into(), port: 80 }];
        let upstream = [Upstream { addresses, tls: UpstreamTls::default(), care: UpstreamCare::default() }];
        let upstreams = Upstreams::new(&upstream, &Clock::stopped()).unwrap();
        let reloaded = upstreams.succeeded_by(&upstream).unwrap();
        let [before, after] = [&upstreams, &reloaded].map(|upstreams| &upstreams.pools()[0].addresses[0].learnt);
        assert!(Arc::ptr_eq(before, after));
    }
}
