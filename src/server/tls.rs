//! TLS 1.2 and 1.3 with aws-lc-rs, the only provider.

use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::{ConfigBuilder, ServerConfig, WantsVerifier, version};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::arrival::Turned;
use super::certificates::Certificates;
use super::client_certificates::Asking;
use super::client_refusals::{ClientRefusal, Refused};
use super::refused_certificates::{self, Whose};
use crate::acme::Challenges;
use crate::config::ClientCertificates;

/// The ALPN identifier of HTTP/2 (RFC 9113 §3.1).
pub(super) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
/// That of an authority that looks at a name (RFC 8737 §3), on whose connection nothing else is spoken.
pub(super) const ACME: &[u8] = b"acme-tls/1";

/// What hands are shaken with.
#[derive(Clone, Debug)]
pub(super) struct Handshakes {
    /// For clients.
    usual: Arc<ServerConfig>,
    /// For an authority that looks at a name.
    challenge: Arc<ServerConfig>,
    pub(super) challenges: Arc<Challenges>,
    /// For clients of sites that ask them for a certificate.
    asking: Option<Arc<Asking>>,
}

/// What came of a handshake.
pub(super) struct Shaken {
    pub(super) stream: TlsStream<TcpStream>,
    /// What the client was asked for.
    pub(super) asked: Option<Arc<ClientCertificates>>,
}

impl Handshakes {
    /// What all workers shake hands with. They share the ticket keys, so a session is resumed on whichever core its next
    /// connection lands.
    pub(super) fn new(certificates: Arc<Certificates>, challenges: Arc<Challenges>) -> Result<Self, rustls::Error> {
        let mut usual = builder()?.with_no_client_auth().with_cert_resolver(certificates);
        usual.alpn_protocols = http();
        // Tickets hold the state at the client, under keys that rotate; nothing is stored for connections that are gone.
        usual.ticketer = aws_lc_rs::Ticketer::new()?;
        usual.session_storage = Arc::new(NoServerSessionStorage {});
        // Early data can be replayed by whoever recorded it (RFC 8446 §8), and a gateway cannot know what is safe to
        // repeat.
        usual.max_early_data_size = 0;

        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Challenges>::clone(&challenges);
        let mut challenge = builder()?.with_no_client_auth().with_cert_resolver(resolver);
        challenge.alpn_protocols = vec![ACME.to_vec()];
        challenge.session_storage = Arc::new(NoServerSessionStorage {});
        challenge.send_tls13_tickets = 0;
        Ok(Self { usual: Arc::new(usual), challenge: Arc::new(challenge), challenges, asking: None })
    }

    /// The same, with these sites that ask for certificates.
    pub(super) fn with(&self, asking: Option<Asking>) -> Self {
        Self { asking: asking.map(Arc::new), ..self.clone() }
    }

    /// Shakes hands with whoever has connected.
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<Shaken, Turned> {
        if self.asking.is_none() && !self.challenges.has_certificates() {
            let stream = TlsAcceptor::from(Arc::clone(&self.usual)).accept(stream).await?;
            return Ok(Shaken { stream, asked: None });
        }
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let (config, asked) = self.choose(&begun.client_hello());
        let (shaken, whose) = refused_certificates::noted(begun.into_stream(config).into_fallible()).await;
        match (shaken, asked) {
            (Ok(stream), asked) => Ok(Shaken { stream, asked }),
            (Err((error, stream)), Some(asked)) => Err(turned(error, stream, &asked, whose)),
            (Err((error, _)), None) => Err(error.into()),
        }
    }

    fn choose(&self, hello: &ClientHello<'_>) -> (Arc<ServerConfig>, Option<Arc<ClientCertificates>>) {
        if is_challenge(hello) {
            return (Arc::clone(&self.challenge), None);
        }
        match self.asking.as_ref().and_then(|asking| asking.of(hello)) {
            Some((config, asked)) => (config, Some(asked)),
            None => (Arc::clone(&self.usual), None),
        }
    }
}

/// What became of a handshake that asked for a certificate.
fn turned(error: io::Error, stream: TcpStream, asked: &ClientCertificates, whose: Whose) -> Turned {
    let Some(refusal) = ClientRefusal::of(&error) else { return error.into() };
    Turned::ClientCertificate(Box::new(Refused { refusal, site: asked.host.clone(), whose, error }), stream)
}

/// Whether it is an authority that looks: it offers that protocol and no other.
fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut offered| offered.next() == Some(ACME) && offered.next().is_none())
}

/// What is spoken with clients.
pub(super) fn http() -> Vec<Vec<u8>> {
    vec![H2.to_vec(), HTTP_1_1.to_vec()]
}

pub(super) fn builder() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
}
