//! A client's certificate as an identity: what it says of whoever shows it, as claims.
//!
//! The handshake has verified it, and for which site; nothing of that is looked at here. A certificate is refused as an identity
//! rather than read with good will: what is there twice, is empty, or could be misread by whoever gets it names nobody.

mod fields;

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub use self::fields::distinguished_name;
use super::verify::{VerifiedToken, Verifier};
use crate::clock::Timestamp;
use crate::config::{CertificateField, ClientCertificates, IssuerId};
use crate::oauth::{AccessToken, Claims};

/// The certificate of a connection, verified under the terms of its site.
#[derive(Debug)]
pub struct ClientCertificate {
    /// From then on it is expired. `None` where that cannot be read.
    pub expires_at: Option<Timestamp>,
    /// What stands for it where a token is kept in mind by its hash.
    fingerprint: String,
    claims: Result<Claims, UnusableCertificate>,
    made: ArcSwapOption<Made>,
}

/// What was made of a certificate for the verifier of one configuration: another may have other identity headers.
#[derive(Debug)]
struct Made(Weak<Verifier>, Arc<VerifiedToken>);

/// Why a certificate names nobody. The fault of whoever issued it, or the operator's who asks for what it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableCertificate {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable,
    /// What names its subject is not there.
    #[error("it has no {0}")]
    Absent(FieldName),
    /// There is more than one: which one is meant?
    #[error("it has more than one {0}")]
    Several(FieldName),
    /// A value is empty, too long, or has characters that somebody could misread.
    #[error("its {0} is empty, too long, or has characters that could be misread")]
    Unfit(FieldName),
}

/// A field in the words of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldName(CertificateField);

impl std::fmt::Display for FieldName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self.0 {
            CertificateField::SubjectDn => "subject",
            CertificateField::CommonName => "common name",
            CertificateField::SanEmail => "e-mail address",
            CertificateField::SanDns => "DNS name",
            CertificateField::SanUri => "URI",
        })
    }
}

impl ClientCertificate {
    /// Reads a certificate in DER that the handshake has verified under these terms.
    #[must_use]
    pub fn new(terms: &ClientCertificates, der: &[u8]) -> Self {
        let read = X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty());
        let read = read.as_ref().map(|(_, certificate)| certificate);
        // It is valid to the end of that second (RFC 5280 §4.1.2.5).
        let ends = read.and_then(|read| u64::try_from(read.validity().not_after.timestamp()).ok());
        Self {
            expires_at: ends.map(|ends| Timestamp(ends.saturating_add(1))),
            fingerprint: STANDARD.encode(digest(&SHA256, der)),
            claims: read.ok_or(UnusableCertificate::Unreadable).and_then(|read| claims(terms, read)),
            made: ArcSwapOption::empty(),
        }
    }

    /// Whether its time is up.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|ends| ends <= now)
    }

    /// What it says of whoever shows it.
    ///
    /// # Errors
    /// [`UnusableCertificate`]: nothing that names somebody.
    pub fn said(&self) -> Result<&Claims, UnusableCertificate> {
        self.claims.as_ref().map_err(|error| *error)
    }

    /// What takes the place of a verified token in what is decided about a request.
    pub(super) fn as_token(&self, verifier: &Arc<Verifier>) -> Result<Arc<VerifiedToken>, UnusableCertificate> {
        let claims = self.said()?;
        let expires_at = self.expires_at.ok_or(UnusableCertificate::Unreadable)?;
        if let Some(made) = &*self.made.load()
            && std::ptr::eq(made.0.as_ptr(), Arc::as_ptr(verifier))
        {
            return Ok(Arc::clone(&made.1));
        }
        let text = AccessToken::new(&self.fingerprint);
        let token = VerifiedToken::new(text, IssuerId::CERTIFICATES, claims.clone(), expires_at);
        let token = Arc::new(token);
        self.made.store(Some(Arc::new(Made(Arc::downgrade(verifier), Arc::clone(&token)))));
        Ok(token)
    }
}

/// The claims. What names the subject must be there; without another one, its claim is absent.
fn claims(terms: &ClientCertificates, read: &X509Certificate<'_>) -> Result<Claims, UnusableCertificate> {
    let mut claims = Map::new();
    for (claim, field) in &terms.identity {
        match fields::value(read, *field)? {
            Some(value) => drop(claims.insert(claim.to_string(), Value::String(value))),
            None if &**claim == "sub" => return Err(UnusableCertificate::Absent(FieldName(*field))),
            None => {}
        }
    }
    claims.insert("iss".to_owned(), Value::String(terms.issuer_name()));
    Ok(Claims(claims))
}
