//! What is known of a connection before the first request comes on it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::client_certificate::{self, Asked};
use crate::clock::Timestamp;
use crate::forwarding::forwarded::ForwardingHeaders;

/// What the server knows of a connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Who connects; from the PROXY protocol where that is believed.
    pub client: SocketAddr,
    /// Whether the peer is one of the `trusted_proxies`, so that its `X-Forwarded-*` are believed.
    pub peer_trusted: bool,
    /// The address that was connected to.
    pub local: SocketAddr,
    /// Whether TLS is spoken on this connection.
    pub secure: bool,
    /// Whether other proxies ask here about requests of theirs, and nothing is forwarded.
    pub questions: bool,
    /// The name of the TLS handshake (SNI), if there was one.
    pub server_name: Option<Box<str>>,
    /// The client as the access log names it, unless a trusted proxy says better.
    pub(super) client_name: Arc<str>,
    pub(super) forwarding: ForwardingHeaders,
    /// What the handshake asked for, where it asked for a certificate.
    pub(super) asked: Option<Asked>,
}

impl Connection {
    /// What the server knows of a connection.
    #[must_use]
    pub fn new(
        client: SocketAddr,
        peer_trusted: bool,
        local: SocketAddr,
        secure: bool,
        server_name: Option<Box<str>>,
    ) -> Self {
        let forwarding = ForwardingHeaders::new(client, peer_trusted, secure);
        let client_name = client.ip().to_canonical().to_string().into();
        Self {
            client,
            peer_trusted,
            local,
            secure,
            questions: false,
            server_name,
            client_name,
            forwarding,
            asked: None,
        }
    }

    /// The same after a handshake that asked for a certificate.
    #[must_use]
    pub fn having_asked(self, asked: Option<Asked>) -> Self {
        Self { asked, ..self }
    }

    /// When the certificate that its client has shown expires: nothing is answered on it from then on but 421.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        client_certificate::shown(self)?.expires_at
    }

    /// The same on a listener where other proxies ask about requests of theirs.
    #[must_use]
    pub fn for_questions(self) -> Self {
        Self { questions: true, ..self }
    }
}
