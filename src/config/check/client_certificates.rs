//! `client_certificates` of a site.

use super::{Check, KeyPath};
use crate::config::file;
use crate::config::{ClientCertificates, HostPattern, defaults};

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
        let required = mirror.required.unwrap_or(defaults::CLIENT_CERTIFICATES_REQUIRED);
        Some(ClientCertificates { host, authorities, required })
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
