//! All that is shown of a process at one moment, for whatever form it takes: numbers for Prometheus, a page for people.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::gateway::{Gateway, Readiness};

/// The process that the listener answers for. It is asked anew for each request.
pub trait Process: Send + Sync {
    /// Whether it wants traffic.
    fn readiness(&self) -> &Readiness;

    /// The configuration in force.
    fn config(&self) -> Arc<Config>;

    /// The rest.
    fn readings(&self) -> Readings;
}

/// All that is shown of a process at one moment.
pub struct Readings {
    /// When that is.
    pub now: Timestamp,
    /// The gateway that is in force.
    pub gateway: Arc<Gateway>,
    /// Connections of clients.
    pub connections: usize,
    /// Handshakes that were refused for the client's certificate, by the reason.
    pub client_refusals: Vec<(&'static str, u64)>,
    /// The certificates that clients are shown.
    pub certificates: Vec<Certificate>,
    /// The hosts whose certificates are yet to be issued: nobody can connect to them.
    pub awaited_certificates: Vec<String>,
    /// When lists of revoked client certificates end.
    pub revocation_lists: Vec<RevocationList>,
    /// What became of orders for certificates, by the host; empty where none are ordered.
    pub certificate_orders: Vec<(String, CertificateOrders)>,
    /// What became of reloads.
    pub reloads: Reloads,
    /// What tells the configuration in force from others.
    pub version: Arc<str>,
}

/// A certificate that clients are shown.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The first name that it is for; `self-signed` of a self-made one.
    pub name: String,
    /// Where it was read from; `None` of a self-made one.
    pub file: Option<PathBuf>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// From when on it should have been renewed.
    pub late_at: Timestamp,
}

/// The list of client certificates that an authority has revoked, for a site.
#[derive(Clone, Debug)]
pub struct RevocationList {
    /// The host of the site.
    pub site: String,
    /// The name of the authority.
    pub authority: String,
    /// When it ends.
    pub ends_at: Timestamp,
}

/// How many certificates were ordered for a host.
#[derive(Clone, Copy, Debug, Default)]
pub struct CertificateOrders {
    /// Those that were issued.
    pub issued: u64,
    /// Those that were not.
    pub failed: u64,
}

/// What became of reloads.
#[derive(Clone, Debug)]
pub struct Reloads {
    /// Why the last one did not put its configuration in force; `None` when it did, and before the first.
    pub last_failure: Option<Arc<ReloadFailure>>,
    /// When a configuration was put in force for the last time, the start included.
    pub last_success_at: Timestamp,
    /// How many put their configuration in force.
    pub successful: u64,
    /// How many did not.
    pub failed: u64,
    /// Why certificates that are in use could not be read anew when that was last tried; empty when all could.
    pub stale_certificates: Arc<Vec<String>>,
}

/// A configuration that was not put in force.
#[derive(Clone, Debug)]
pub struct ReloadFailure {
    /// When it was tried.
    pub at: Timestamp,
    /// Everything that is wrong with it, as the log says it.
    pub problems: Vec<String>,
}

impl fmt::Debug for Readings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Readings").finish_non_exhaustive()
    }
}
