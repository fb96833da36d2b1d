//! What the metrics are read from: the gateway in force, the server and the reloads.

use std::sync::Arc;

use super::reload::Reloads;
use crate::admin::metrics::{self, Certificate, Readings, Scrape};
use crate::server::CertificateExpiry;

/// Reads all of them, each time it is asked.
pub(super) fn scrape(reloads: Reloads) -> Scrape {
    Arc::new(move || {
        let server = reloads.server();
        let certificate = |CertificateExpiry { name, file, at }| Certificate { name, file, expires_at: at };
        metrics::text(Readings {
            gateway: reloads.gateway(),
            connections: server.connections(),
            certificates: server.certificate_expiries().into_iter().map(certificate).collect(),
            reloads: reloads.outcomes(),
        })
    })
}
