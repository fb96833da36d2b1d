//! `client_certificates` of a site.

use std::collections::BTreeMap;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Check, KeyPath, Mistake, revocation_lists};
use crate::config::file;
use crate::config::{Bundle, CertificateField, ClientCertificates, HostPattern, defaults};

/// What only a token says, about itself or about a sign-in. A certificate that said it would be taken for one.
const OF_TOKENS: [&str; 12] =
    ["iss", "aud", "azp", "exp", "nbf", "iat", "jti", "nonce", "sid", "acr", "amr", "auth_time"];

impl Check<'_> {
    pub(super) fn client_certificates(
        &mut self,
        at: &KeyPath,
        mirror: &file::ClientCertificates,
        host: HostPattern,
    ) -> Option<ClientCertificates> {
        let Some(path) = &mirror.ca_file else {
            let remedy = "name the PEM file of the authorities whose certificates count";
            self.report.absent(&at.key("ca_file"), "is missing", remedy);
            return None;
        };
        let authorities = self.certificate_authorities(&at.key("ca_file"), path)?;
        let authorities = self.accept(&at.key("ca_file"), of_authorities(authorities))?;
        let revoked = match &mirror.crl_file {
            Some(path) => {
                let at = at.key("crl_file");
                let lists = self.read_lists(&at, path)?;
                Some(self.accept(&at, revocation_lists::of_each(&authorities, lists))?)
            }
            None => None,
        };
        let required = mirror.required.unwrap_or(defaults::CLIENT_CERTIFICATES_REQUIRED);
        let identity = mirror.identity.as_ref().map(|claims| self.certificate_claims(&at.key("identity"), claims));
        let identity = identity.unwrap_or_default();
        Some(ClientCertificates { host, authorities: Bundle::new(authorities), revoked, required, identity })
    }

    fn certificate_claims(
        &mut self,
        at: &KeyPath,
        claims: &BTreeMap<String, CertificateField>,
    ) -> Vec<(Box<str>, CertificateField)> {
        if !claims.contains_key("sub") {
            self.report.absent(&at.key("sub"), "is missing", "name a field for it, as in sub: common_name");
        }
        for name in claims.keys() {
            self.accept(&at.key(name), certificate_claim(name));
        }
        claims.iter().map(|(name, field)| (name.as_str().into(), *field)).collect()
    }

    /// Where there is no TLS, nobody could show one, and every request would be refused.
    pub(super) fn client_certificates_need_tls(&mut self, sites: &[file::Site], has_tls: bool) {
        let https = KeyPath::root().key("listen").key("https");
        for (index, _) in sites.iter().enumerate().filter(|(_, site)| site.client_certificates.is_some() && !has_tls) {
            let at = KeyPath::root().key("sites").index(index).key("client_certificates");
            let message = "are asked for on the https listener, and there is none";
            self.report.conflict(&at, std::slice::from_ref(&https), message, "add https to listen, or take them out");
        }
    }
}

/// Claims of a certificate are flat.
fn certificate_claim(name: &str) -> Result<(), Mistake> {
    if name.is_empty() || name.contains(['.', '\\']) {
        return Err(Mistake::new("is not a name for a claim of a certificate", "write one name, without dots"));
    }
    if OF_TOKENS.contains(&name) {
        return Err(Mistake::new("is what only a token can say", "take it out, or choose another name"));
    }
    Ok(())
}

/// Every certificate is one of an authority, as it says itself (RFC 5280 §4.2.1.9). TLS does not look: whoever has the key of any
/// certificate among them could issue others that count.
fn of_authorities(pem: Vec<u8>) -> Result<Vec<u8>, Mistake> {
    let is_of_authority =
        |der: &CertificateDer<'_>| X509Certificate::from_der(der).is_ok_and(|(_, parsed)| parsed.is_ca());
    let other = CertificateDer::pem_slice_iter(&pem).flatten().position(|der| !is_of_authority(&der));
    match other {
        None => Ok(pem),
        Some(index) => Err(Mistake::new(
            format!("holds a certificate (number {}) that is not of an authority: it has no CA:TRUE", index + 1),
            "name a file with those of authorities only, not with those of clients",
        )),
    }
}
