//! Certificates that clients show, held against the site that each request is for.
//!
//! The name of the handshake (SNI) says what was asked for and verified; the request says whose it is, and the two need not
//! agree: HTTP/2 clients coalesce sites on one connection (RFC 9113 §9.1.1), and an attacker shakes hands under the name of
//! a site that asks for nothing. So a request passes only on a connection whose handshake was under the very terms of its
//! site, and is else refused with 421: an honest client opens another connection.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::admit::Target;
use super::{Connection, Gateway, Rejection};
use crate::auth::certificate::ClientCertificate;
use crate::config::ClientCertificates;
use crate::routing;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// What came of a handshake that asked for a certificate.
#[derive(Clone, Debug)]
pub struct Asked {
    terms: Arc<ClientCertificates>,
    /// What was shown; `None`: nothing.
    shown: Option<Arc<Shown>>,
}

#[derive(Debug)]
struct Shown {
    /// What the application is told of the certificate.
    field: Option<HeaderValue>,
    certificate: Arc<ClientCertificate>,
}

impl Asked {
    /// `shown` is the verified certificate in DER.
    #[must_use]
    pub fn new(terms: Arc<ClientCertificates>, shown: Option<&[u8]>) -> Self {
        let shown = shown.map(|der| {
            // RFC 9440 §2.2: a byte sequence of structured fields. Base64 is always a valid value.
            let field = HeaderValue::try_from(format!(":{}:", STANDARD.encode(der))).ok();
            Arc::new(Shown { field, certificate: Arc::new(ClientCertificate::new(&terms, der)) })
        });
        Self { terms, shown }
    }
}

/// Refuses a request whose site asks for something else than the handshake did, or did when the certificate was in its time.
pub(super) fn check(gateway: &Gateway, connection: &Connection, target: &Target) -> Result<(), Rejection> {
    let (asking, asked) = (&gateway.config.client_certificates, &connection.asked);
    if asking.is_empty() && asked.is_none() {
        return Ok(());
    }
    let site = gateway.router.site(&target.host).ok_or(Rejection::UnknownHost)?;
    if gateway.config.client_certificates_of(&site.host) != asked.as_ref().map(|asked| &*asked.terms) {
        return Err(Rejection::OtherHandshake);
    }
    refuse_expired(gateway, connection)
}

/// Refuses what comes on a connection after its certificate has expired.
pub(super) fn refuse_expired(gateway: &Gateway, connection: &Connection) -> Result<(), Rejection> {
    if shown(connection).is_some_and(|certificate| certificate.is_expired(gateway.clock.now())) {
        return Err(Rejection::CertificateExpired);
    }
    Ok(())
}

/// The certificate that was shown, where one was asked for.
pub(super) fn shown(connection: &Connection) -> Option<&Arc<ClientCertificate>> {
    Some(&connection.asked.as_ref()?.shown.as_ref()?.certificate)
}

/// The certificate that says who it is, where the site takes it for that.
pub(super) fn identity(connection: &Connection) -> Option<Arc<ClientCertificate>> {
    let asked = connection.asked.as_ref().filter(|asked| asked.terms.identify())?;
    Some(Arc::clone(&asked.shown.as_ref()?.certificate))
}

/// What the site of a host asks for.
pub(super) fn terms<'g>(gateway: &'g Gateway, host: &str) -> Option<&'g ClientCertificates> {
    let site = gateway.router.site(host)?;
    gateway.config.client_certificates_of(&site.host)
}

impl Gateway {
    /// What the site of this host asks its clients for in the handshake, if anything.
    #[must_use]
    pub fn client_certificates_of(&self, host: &str) -> Option<&ClientCertificates> {
        terms(self, &routing::canonical_host(host).ok()?)
    }

    /// The same connection as if its handshake, for this host, had verified this certificate in DER. A site that asks for none
    /// looks at none.
    #[must_use]
    pub fn showing(&self, connection: Connection, host: &str, der: &[u8]) -> Connection {
        let terms = self.client_certificates_of(host).cloned();
        connection.having_asked(terms.map(|terms| Asked::new(Arc::new(terms), Some(der))))
    }
}

/// Tells the application which certificate was shown. On a site that asks, nobody else says so.
pub(super) fn write(connection: &Connection, headers: &mut HeaderMap) {
    let Some(asked) = &connection.asked else { return };
    headers.remove(CLIENT_CERT_CHAIN);
    match asked.shown.as_ref().and_then(|shown| shown.field.as_ref()) {
        Some(field) => drop(headers.insert(CLIENT_CERT, field.clone())),
        None => drop(headers.remove(CLIENT_CERT)),
    }
}
