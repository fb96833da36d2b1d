//! Sites that ask their clients for a certificate.
//!
//! Whom to ask is decided by the name of the handshake (SNI), before anything is known of a request; the gateway holds each
//! request against that (421). A handshake of such a site begins anew each time: a session that is resumed would bring along
//! what was verified under other terms.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier as _;
use rustls::server::{ClientHello, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use super::certificates::{CertificateError, Certificates};
use super::client_chains::Short;
use super::client_refusals::ClientRefusal;
use super::divided_lists::DividedLists;
use super::tls;
use crate::clock::Timestamp;
use crate::config::{ClientCertificates, Config, HostPattern};
use crate::routing::{self, Router};

/// What hands are shaken with under the names of such sites.
#[derive(Debug)]
pub(super) struct Asking {
    sites: Router,
    by_host: HashMap<HostPattern, (Arc<ServerConfig>, Arc<ClientCertificates>)>,
}

impl Asking {
    /// `None`: no site asks.
    pub(super) fn new(config: &Config, certificates: &Arc<Certificates>) -> Result<Option<Self>, CertificateError> {
        if config.client_certificates.is_empty() {
            return Ok(None);
        }
        let mut by_host = HashMap::new();
        for wanted in &config.client_certificates {
            let server_config = server_config(wanted, Arc::clone(certificates))
                .map_err(|source| CertificateError::Authorities { host: wanted.host.to_string(), source })?;
            by_host.insert(wanted.host.clone(), (Arc::new(server_config), Arc::new(wanted.clone())));
        }
        Ok(Some(Self { sites: Router::new(&config.sites), by_host }))
    }

    /// What the site of this handshake's name asks for.
    pub(super) fn of(&self, hello: &ClientHello<'_>) -> Option<(Arc<ServerConfig>, Arc<ClientCertificates>)> {
        let host = routing::canonical_host(hello.server_name()?).ok()?;
        self.by_host.get(&self.sites.site(&host)?.host).cloned()
    }
}

/// Why a handshake on these terms would be refused in which these certificates are shown, the client's own first.
///
/// # Errors
/// [`ClientRefusal`]
pub fn examine_client_certificate(
    terms: &ClientCertificates,
    shown: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<(), ClientRefusal> {
    let (own, further) = shown.split_first().ok_or(ClientRefusal::Required)?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.0));
    let verified = verifier(terms).and_then(|verifier| verifier.verify_client_cert(own, further, now));
    verified.map(drop).map_err(|error| ClientRefusal::of_error(&error).unwrap_or(ClientRefusal::Bad))
}

/// The library wants `clientAuth` of a certificate that says what it is for.
fn verifier(wanted: &ClientCertificates) -> Result<Short, rustls::Error> {
    let unusable = |_| rustls::Error::General("the CA is not a list of PEM certificates".to_owned());
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&wanted.authorities) {
        roots.add(authority.map_err(unusable)?)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let lists = wanted.revoked.as_ref().map_or(&[][..], |revoked| &revoked.lists);
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(lists).collect();
    let lists =
        lists.map_err(|_| rustls::Error::General("the lists of revoked certificates are not PEM".to_owned()))?;
    let divided = DividedLists::among(&lists).map_err(|error| rustls::Error::General(error.to_string()))?;
    // Whoever is not told of in time, by any authority on the way, is refused: a list that has not come may name them.
    let verifier = if lists.is_empty() { verifier } else { verifier.with_crls(lists).enforce_revocation_expiration() };
    let verifier = if wanted.required { verifier } else { verifier.allow_unauthenticated() };
    let verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(Short(verifier, divided))
}

fn server_config(wanted: &ClientCertificates, certificates: Arc<Certificates>) -> Result<ServerConfig, rustls::Error> {
    let verifier = Arc::new(verifier(wanted)?);
    let mut config = tls::builder()?.with_client_cert_verifier(verifier).with_cert_resolver(certificates);
    config.alpn_protocols = tls::http();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
