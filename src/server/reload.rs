//! Another configuration, or other certificates, while the server serves.
//!
//! Certificates change in the table that handshakes look into; everything else reaches each worker as a new plan, which it
//! adopts on its own thread. What can fail is done before anything changes. Listening sockets stay as they are: whoever
//! calls has made sure that the configuration asks for the same ones.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::certificates::{CertificateError, CertificateExpiry, CertificateTable, Certificates};
use super::client_certificates::Asking;
use super::limits::ConnectionLimits;
use super::self_signed;
use super::tls::Handshakes;
use super::worker::{Notices, Plan};
use crate::acme::Challenges;
use crate::clock::Timestamp;
use crate::config::{Config, Tls};
use crate::gateway::Gateway;

/// The handle through which a running server is changed. Clones are one and the same.
#[derive(Clone)]
pub struct Reload {
    pub(super) plans: Arc<watch::Sender<Arc<Plan>>>,
    pub(super) adopted: Vec<watch::Receiver<u64>>,
    pub(super) gateway: Option<Arc<ArcSwap<Gateway>>>,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) notices: Arc<Notices>,
    pub(super) tls: Option<(Arc<Certificates>, Arc<Handshakes>)>,
    pub(super) https_port: Option<u16>,
}

/// Certificates that have been read and can be used.
#[derive(Debug)]
pub struct Prepared {
    /// Another table of them.
    table: Option<CertificateTable>,
    /// The sites that ask their clients for one.
    asking: Option<Asking>,
}

impl Reload {
    /// Reads the certificates of `config`. A pair of files that is in use and cannot be read now stays as it is.
    ///
    /// # Errors
    ///
    /// A certificate that is not in use yet and cannot be used.
    pub fn prepare(&self, config: &Config, now: Timestamp) -> Result<Prepared, CertificateError> {
        let Some((certificates, _)) = &self.tls else { return Ok(Prepared { table: None, asking: None }) };
        let asking = Asking::new(config, certificates)?;
        let table = match &config.tls {
            Tls::Files(files) => Some(certificates.current().succeeded_by(files, now)?),
            // Those from files have to be usable. What is wrong with others is told when the certificates are renewed, right
            // after this.
            Tls::Acme(acme) => {
                let current = certificates.current();
                current.succeeded_by(&acme.beside, now)?;
                Some(current.reread(acme.certificates(), now).0)
            }
            Tls::SelfSigned if certificates.current().is_made_for(&self_signed::names(&config.sites)) => None,
            Tls::SelfSigned => Some(self_signed::load(&config.sites, config.state_directory.as_deref(), now)?),
            Tls::None => None,
        };
        Ok(Prepared { table, asking })
    }

    /// Puts `config` in force: for every request that arrives after this returns, on whatever connection.
    pub async fn adopt(&mut self, config: &Config, Prepared { table, asking }: Prepared, gateway: &Arc<Gateway>) {
        if let (Some((certificates, _)), Some(table)) = (&self.tls, table) {
            certificates.replace(table);
        }
        self.limits.set(&config.limits);
        if let Some(current) = &self.gateway {
            current.store(Arc::clone(gateway));
        }
        let tls = self.tls.as_ref().map(|(_, handshakes)| Arc::new(handshakes.with(asking)));
        let number = self.plans.borrow().number + 1;
        self.plans.send_replace(Arc::new(Plan::new(number, config, tls, self.https_port)));
        for adopted in &mut self.adopted {
            // A worker that has ended adopts nothing, and nobody waits for it.
            let _ = adopted.wait_for(|adopted| *adopted >= number).await;
        }
    }

    /// When the certificates that clients are shown end. None where there is no TLS.
    #[must_use]
    pub fn certificate_expiries(&self) -> Vec<CertificateExpiry> {
        self.tls.as_ref().map(|(certificates, _)| certificates.current().expiries()).unwrap_or_default()
    }

    /// The hosts whose certificates are yet to be issued: handshakes for them fail.
    #[must_use]
    pub fn awaited_certificates(&self) -> Vec<String> {
        self.tls.as_ref().map(|(certificates, _)| certificates.current().awaited()).unwrap_or_default()
    }

    /// What a certificate authority is shown; `None` without TLS.
    #[must_use]
    pub fn challenges(&self) -> Option<Arc<Challenges>> {
        self.tls.as_ref().map(|(_, handshakes)| Arc::clone(&handshakes.challenges))
    }

    /// How many handshakes were refused for the client's certificate, by the reason.
    #[must_use]
    pub fn client_refusals(&self) -> Vec<(&'static str, u64)> {
        self.notices.client_certificates.totals()
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.limits.open()
    }

    /// Reads the certificates in use anew. Each that cannot be used stays as it is, and is told of.
    #[must_use]
    pub fn renew_certificates(&self, now: Timestamp) -> Vec<CertificateError> {
        let Some((certificates, _)) = &self.tls else { return Vec::new() };
        let (table, errors) = certificates.current().renewed(now);
        certificates.replace(table);
        errors
    }
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reload").finish_non_exhaustive()
    }
}
