//! What the admin listener answers for: the gateway in force, the server and the reloads.

use std::sync::Arc;

use super::reload::Reloads;
use crate::admin::{Certificate, Process, Readings, RevocationList};
use crate::config::{ClientCertificates, Config, RevocationLists};
use crate::gateway::Readiness;
use crate::server::CertificateExpiry;

/// This process, as it serves.
pub(super) struct Serving {
    pub(super) readiness: Readiness,
    pub(super) reloads: Reloads,
}

impl Process for Serving {
    fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    fn config(&self) -> Arc<Config> {
        self.reloads.config()
    }

    fn readings(&self) -> Readings {
        let (reloads, server) = (&self.reloads, self.reloads.server());
        let certificate =
            |CertificateExpiry { name, file, at, late }| Certificate { name, file, expires_at: at, late_at: late };
        let (gateway, version) = reloads.in_force();
        Readings {
            now: reloads.now(),
            gateway,
            connections: server.connections(),
            client_refusals: server.client_refusals(),
            certificates: server.certificate_expiries().into_iter().map(certificate).collect(),
            awaited_certificates: server.awaited_certificates(),
            revocation_lists: reloads.config().client_certificates.iter().flat_map(revocation_lists).collect(),
            certificate_orders: reloads.certificate_orders(),
            reloads: reloads.outcomes(),
            version,
        }
    }
}

fn revocation_lists(asked: &ClientCertificates) -> impl Iterator<Item = RevocationList> {
    asked.revoked.iter().flat_map(RevocationLists::known_until).map(|(authority, ends_at)| RevocationList {
        site: asked.host.to_string(),
        authority: authority.to_owned(),
        ends_at,
    })
}
