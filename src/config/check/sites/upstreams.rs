//! `upstream`: one address or several equivalent ones.

use super::super::values::{host_pattern, upstream_address};
use super::super::{Check, KeyPath, Mistake};
use super::CheckedSites;
use crate::config::file::{OneOrMany, TextOr, UpstreamKeys};
use crate::config::{HostPattern, Upstream, UpstreamAddress, UpstreamId, UpstreamTls, defaults};

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
            let Some(mut entry) = self.upstream_entry(&at, entry) else { continue };
            let Some(upstream) = &mut upstream else {
                upstream = Some(entry);
                continue;
            };
            let other = match (upstream.tls == entry.tls, upstream.care == entry.care) {
                (true, true) => None,
                (false, _) => Some("TLS settings"),
                (true, false) => Some("settings"),
            };
            if let Some(other) = other {
                let remedy = "repeat the same settings on each address of the list, or write the addresses as a list under \
                              the url of one";
                self.report.problem(&at, format!("has other {other} than the first of the list"), remedy);
            }
            upstream.addresses.append(&mut entry.addresses);
        }
        upstream.map(|upstream| checked.upstream(upstream))
    }

    /// One entry of the list: an address, or several with the settings of all of them.
    fn upstream_entry(&mut self, at: &KeyPath, entry: &TextOr<String, UpstreamKeys>) -> Option<Upstream> {
        let keys = match entry {
            TextOr::Text(text) => {
                let addresses = vec![self.accept(at, upstream_address(text))?];
                return Some(Upstream { addresses, tls: UpstreamTls::default(), care: defaults::UPSTREAM_CARE });
            }
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
        let care = self.care(at, keys);
        let addresses = self.urls(&at.key("url"), keys.url.as_ref(), tls != UpstreamTls::default());
        if addresses.is_empty() { None } else { Some(Upstream { addresses, tls, care }) }
    }

    fn urls(&mut self, at: &KeyPath, urls: Option<&OneOrMany<String>>, has_tls: bool) -> Vec<UpstreamAddress> {
        let Some(urls) = urls else {
            self.report.absent(at, "is missing", "add it, as in url: https://app:8443");
            return Vec::new();
        };
        if urls.values.is_empty() {
            self.report.absent(at, "is an empty list", "write an address, as in https://app:8443");
        }
        let mut addresses = Vec::with_capacity(urls.values.len());
        for (index, url) in urls.values.iter().enumerate() {
            let at = if urls.is_list { at.index(index) } else { at.clone() };
            let Some(address) = self.accept(&at, upstream_address(url)) else { continue };
            if has_tls && !matches!(address, UpstreamAddress::Https { .. }) {
                self.report.problem(&at, "is not https, but has TLS settings", "write https, or take them out");
            }
            addresses.push(address);
        }
        addresses
    }
}

fn server_name(name: &str) -> Result<String, Mistake> {
    match host_pattern(name)? {
        HostPattern::Exact(host) => Ok(host),
        HostPattern::OneLabel(_) => Err(Mistake::new("is a pattern", "write the name in the certificate")),
    }
}
