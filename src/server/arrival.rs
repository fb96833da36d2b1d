//! From an accepted socket to a connection that HTTP can be spoken on.
//!
//! Whom a peer is believed to speak for is decided here, once. A peer in `trusted_proxies` may announce a client with a
//! PROXY header when `listen.proxy_protocol` says that it does; that client is then the one that is counted, and the one
//! whose `X-Forwarded-*` would have to be trusted: a load balancer that passes bytes through has not looked at them. The
//! bytes of any other peer are never parsed as such a header.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::client_refusals::Refused;
use super::connection::{Arrived, Protocol};
use super::last_words;
use super::limits::Permit;
use super::plain_http;
use super::proxy_protocol::{self, Announced, ProxyHeaderError};
use super::socket::Role;
use super::tls::{self, Handshakes, Shaken};
use super::wire::Transport;
use crate::config::Config;
use crate::gateway::{Asked, Connection};

/// What every arrival is measured by.
#[derive(Debug)]
pub(super) struct Reception {
    trusted: Vec<IpNet>,
    proxy_protocol: bool,
    tls: Option<Arc<Handshakes>>,
    handshake_timeout: std::time::Duration,
}

/// An accepted socket.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) permit: Permit,
}

/// Why an arrival comes to nothing. Each is the peer's affair, and most are told in the log's debug level only.
#[derive(Debug, thiserror::Error)]
pub(super) enum Turned {
    /// The peer: one address has too many connections.
    #[error("too many connections from one address")]
    TooMany,
    /// The peer: not a trusted proxy, on a listener that serves nobody else.
    #[error("the peer is not in trusted_proxies")]
    Untrusted,
    /// The load balancer: its PROXY header is missing or malformed.
    #[error("no PROXY header that could be read")]
    ProxyHeader(#[from] ProxyHeaderError),
    /// The peer: it speaks HTTP without TLS, and is told.
    #[error("plain HTTP at a port that speaks HTTPS")]
    PlainHttp(TcpStream),
    /// The peer: the TLS handshake failed; or the connection broke.
    #[error("no handshake")]
    Handshake(#[from] std::io::Error),
    /// The peer: its certificate does not count at the site that asks for one.
    #[error("a client certificate that does not count: {}", .0.refusal.name())]
    ClientCertificate(Box<Refused>, TcpStream),
    /// Nobody: an authority that looks whether a name is ours has seen it.
    #[error("a certificate authority has looked at a name")]
    Challenge,
    /// The peer: it took too long over all that.
    #[error("the handshake took too long")]
    TooSlow,
}

impl Turned {
    /// Lets the client read what it is told, where it is told anything.
    async fn part(&mut self) {
        match self {
            Self::PlainHttp(stream) => plain_http::answer(stream).await,
            // By TLS 1.3 the client is through with its handshake, and may be sending already: what tells it why it is refused is
            // the alert (RFC 8446 §6.2), which is on its way.
            Self::ClientCertificate(_, stream) => last_words::part(stream, &[]).await,
            _ => {}
        }
    }
}

/// Whom a connection is from.
struct Origin {
    client: SocketAddr,
    local: SocketAddr,
    trusted: bool,
}

impl Reception {
    pub(super) fn new(config: &Config, tls: Option<Arc<Handshakes>>) -> Self {
        Self {
            trusted: config.trusted_proxies.clone(),
            proxy_protocol: config.listen.proxy_protocol,
            tls,
            handshake_timeout: config.limits.handshake_timeout,
        }
    }

    /// Does what comes before HTTP, within the handshake's time-out. Whoever is turned away keeps the place for the last words'
    /// time beyond that: why is known by then, and must not be lost to the time-out.
    pub(super) async fn receive(
        &self,
        accepted: Accepted,
        role: Role,
        connections: &TaskTracker,
    ) -> Result<Arrived, Turned> {
        let Accepted { stream, peer, mut permit } = accepted;
        let shaken = timeout(self.handshake_timeout, self.shake_hands(stream, peer, role, &mut permit)).await;
        match shaken.unwrap_or(Err(Turned::TooSlow)) {
            Ok((transport, protocol, connection)) => {
                Ok(Arrived { protocol, transport, connection, permit, alive: connections.token() })
            }
            Err(mut turned) => {
                turned.part().await;
                Err(turned)
            }
        }
    }

    async fn shake_hands(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        role: Role,
        permit: &mut Permit,
    ) -> Result<(Transport, Protocol, Connection), Turned> {
        stream.set_nodelay(true)?;
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if role == Role::Plain && !self.trusts(peer.ip()) {
            return Err(Turned::Untrusted);
        }
        let origin = self.origin(&mut stream, peer, role).await?;
        // A trusted proxy speaks for many clients: its own connections are bounded by the sum only.
        if !self.trusts(origin.client.ip()) && !permit.count_for(origin.client.ip()) {
            return Err(Turned::TooMany);
        }
        let (transport, protocol, server_name, asked) = match (&self.tls, role) {
            (Some(tls), Role::Https) => secure(stream, tls).await?,
            _ => (Transport::Plain(stream), Protocol::Http1, None, None),
        };
        let connection = Connection::new(origin.client, origin.trusted, origin.local, role == Role::Https, server_name);
        let connection = connection.having_asked(asked);
        let connection = if role == Role::Verify { connection.for_questions() } else { connection };
        Ok((transport, protocol, connection))
    }

    async fn origin(&self, stream: &mut TcpStream, peer: SocketAddr, role: Role) -> Result<Origin, Turned> {
        let local = stream.local_addr()?;
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let trusted = self.trusts(peer.ip());
        // A question is the proxy's own: it has no other client to announce.
        if !(self.proxy_protocol && trusted) || role == Role::Verify {
            return Ok(Origin { client: peer, local, trusted });
        }
        Ok(match proxy_protocol::read(stream).await? {
            Announced::Client { client, local } => Origin { client, local, trusted: self.trusts(client.ip()) },
            Announced::Nobody => Origin { client: peer, local, trusted: false },
        })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

type Secured = (Transport, Protocol, Option<Box<str>>, Option<Asked>);

async fn secure(stream: TcpStream, tls: &Handshakes) -> Result<Secured, Turned> {
    if plain_http::is_begun(&stream).await? {
        return Err(Turned::PlainHttp(stream));
    }
    let Shaken { stream, asked } = tls.accept(stream).await?;
    let (_, session) = stream.get_ref();
    let protocol = match session.alpn_protocol() {
        // The authority has seen what it came for. Nothing is spoken with it (RFC 8737 §3).
        Some(tls::ACME) => return Err(Turned::Challenge),
        Some(tls::H2) => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let server_name = session.server_name().map(Box::from);
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let asked = asked.map(|terms| Asked::new(terms, shown.map(AsRef::as_ref)));
    Ok((Transport::Tls(Box::new(stream)), protocol, server_name, asked))
}
