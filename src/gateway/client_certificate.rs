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
use crate::config::ClientCertificates;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// What came of a handshake that asked for a certificate.
#[derive(Clone, Debug)]
pub struct Asked {
    terms: Arc<ClientCertificates>,
    /// What the application is told of the certificate; `None`: none was shown.
    field: Option<HeaderValue>,
}

impl Asked {
    /// `shown` is the verified certificate in DER.
    #[must_use]
    pub fn new(terms: Arc<ClientCertificates>, shown: Option<&[u8]>) -> Self {
        // RFC 9440 §2.2: a byte sequence of structured fields. Base64 is always a valid value.
        let field = shown.and_then(|der| HeaderValue::try_from(format!(":{}:", STANDARD.encode(der))).ok());
        Self { terms, field }
    }
}

/// Refuses a request whose site asks for something else than the handshake did.
pub(super) fn check(gateway: &Gateway, connection: &Connection, target: &Target) -> Result<(), Rejection> {
    let (asking, asked) = (&gateway.config.client_certificates, &connection.asked);
    if asking.is_empty() && asked.is_none() {
        return Ok(());
    }
    let site = gateway.router.site(&target.host).ok_or(Rejection::UnknownHost)?;
    let terms = asking.iter().find(|terms| terms.host == site.host);
    if terms == asked.as_ref().map(|asked| &*asked.terms) { Ok(()) } else { Err(Rejection::OtherHandshake) }
}

/// What is asked for at a host, in words.
pub(super) fn asked_at(gateway: &Gateway, target: &Target) -> Option<&'static str> {
    let site = gateway.router.site(&target.host)?;
    gateway.config.client_certificates.iter().find(|terms| terms.host == site.host).map(ClientCertificates::asks)
}

/// Tells the application which certificate was shown. On a site that asks, nobody else says so.
pub(super) fn write(connection: &Connection, headers: &mut HeaderMap) {
    let Some(asked) = &connection.asked else { return };
    headers.remove(CLIENT_CERT_CHAIN);
    match &asked.field {
        Some(field) => drop(headers.insert(CLIENT_CERT, field.clone())),
        None => drop(headers.remove(CLIENT_CERT)),
    }
}
