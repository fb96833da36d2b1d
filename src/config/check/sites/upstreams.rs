//! `upstream`: one address or several equivalent ones.

use super::super::values::{host_pattern, upstream_address};
use super::super::{Check, KeyPath, Mistake};
use super::CheckedSites;
use crate::config::file::{OneOrMany, TextOr, UpstreamKeys};
use crate::config::{HostPattern, Upstream, UpstreamAddress, UpstreamId, UpstreamTls};

impl Check<'_> {
    pub(super) fn upstream(
        &mut self,
        at: &KeyPath,
        entries: &OneOrMany<TextOr<String, UpstreamKeys>>,
        checked: &mut CheckedSites,
    ) -> Option<UpstreamId> {
        if entries.values.is_empty() {
            self.report.absent(at, "is an empty list", "write an address, as in http://app:8080");
        }
        let mut upstream: Option<Upstream> = None;
        for (index, entry) in entries.values.iter().enumerate() {
            let at = if entries.is_list { at.index(index) } else { at.clone() };
            let Some((address, tls)) = self.upstream_entry(&at, entry) else { continue };
            match &mut upstream {
                None => upstream = Some(Upstream { addresses: vec![address], tls }),
                Some(upstream) => {
                    if upstream.tls != tls {
                        let remedy = "repeat the same settings on each address of the list";
                        self.report.problem(&at, "has other TLS settings than the first of the list", remedy);
                    }
                    upstream.addresses.push(address);
                }
            }
        }
        upstream.map(|upstream| checked.upstream(upstream))
    }

    fn upstream_entry(
        &mut self,
        at: &KeyPath,
        entry: &TextOr<String, UpstreamKeys>,
    ) -> Option<(UpstreamAddress, UpstreamTls)> {
        let keys = match entry {
            TextOr::Text(text) => return Some((self.accept(at, upstream_address(text))?, UpstreamTls::default())),
            TextOr::Keys(keys) => keys,
        };
        let tls = UpstreamTls {
            ca: keys.ca_file.as_deref().and_then(|path| self.certificate_authorities(&at.key("ca_file"), path)),
            client_certificate: match (&keys.client_certificate, &keys.client_key) {
                (None, None) => None,
                (certificate, key) => {
                    self.certificate(at, ("client_certificate", certificate.as_ref()), ("client_key", key.as_ref()))
                }
            },
            server_name: keys
                .server_name
                .as_deref()
                .and_then(|name| self.accept(&at.key("server_name"), server_name(name))),
        };
        let remedy = "add it, as in url: https://app:8443";
        let address = self.needed(&at.key("url"), keys.url.as_deref(), upstream_address, remedy)?;
        if !matches!(address, UpstreamAddress::Https { .. }) && tls != UpstreamTls::default() {
            self.report.problem(&at.key("url"), "is not https, but has TLS settings", "write https, or take them out");
        }
        Some((address, tls))
    }
}

fn server_name(name: &str) -> Result<String, Mistake> {
    match host_pattern(name)? {
        HostPattern::Exact(host) => Ok(host),
        HostPattern::OneLabel(_) => Err(Mistake::new("is a pattern", "write the name in the certificate")),
    }
}
