//! Making a connection: name, socket, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::forwarding::error::ConnectError;
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
    /// What the name resolved to last: a name server that fails for a while takes nothing down.
    resolved: Mutex<Vec<SocketAddr>>,
}

impl Dialler {
    pub(super) fn new(address: Arc<Address>) -> Self {
        Self { address, resolved: Mutex::default() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Connects, TLS included, within `limit`.
    pub(super) async fn connect(&self, offer: Offer, limit: Duration) -> Result<Stream, ConnectError> {
        timeout(limit, self.attempt(offer)).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn attempt(&self, offer: Offer) -> Result<Stream, ConnectError> {
        let (host, port) = match &self.address.endpoint {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|cause| ConnectError::Socket(Arc::new(cause)))?;
                return Ok(Stream::new(Transport::Unix(stream)));
            }
            Endpoint::Tcp { host, port } => (host, *port),
        };
        let candidates = self.resolve(host, port).await?;
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

    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let found = match lookup_host((host, port)).await {
            Ok(found) => Ok(found.collect::<Vec<_>>()),
            Err(cause) => Err(cause),
        };
        let mut last = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(found) if !found.is_empty() => {
                last.clone_from(&found);
                Ok(found)
            }
            _ if !last.is_empty() => Ok(last.clone()),
            Ok(_) => Err(ConnectError::Resolve(Arc::new(io::Error::from(io::ErrorKind::NotFound)))),
            Err(cause) => Err(ConnectError::Resolve(Arc::new(cause))),
        }
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
