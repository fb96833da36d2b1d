//! `tls.acme`.

use std::net::IpAddr;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use url::Url;
use zeroize::Zeroizing;

use super::values::endpoint;
use super::{Check, KeyPath, Mistake};
use crate::config::file::{self, OneOrMany};
use crate::config::{
    Acme, AcmeChallenge, CertificateFiles, ExternalAccount, HostPattern, Listen, Secret, Site, defaults,
};

/// What stands around it.
pub(super) struct Around<'a> {
    pub(super) listen: &'a Listen,
    pub(super) sites: &'a [Site],
    pub(super) state_directory: Option<&'a Path>,
}

impl Check<'_> {
    pub(super) fn acme(
        &mut self,
        mirror: &file::Acme,
        beside: Vec<CertificateFiles>,
        around: &Around<'_>,
    ) -> Option<Acme> {
        let at = KeyPath::root().key("tls").key("acme");
        let directory = mirror.directory.as_deref().unwrap_or(defaults::ACME_DIRECTORY);
        let directory = self.accept(&at.key("directory"), acme_directory(directory));
        let contacts = match &mirror.contact {
            Some(contact) => self.each(&at.key("contact"), &contact.values, |text| mail(text), "take it out"),
            None => Vec::new(),
        };
        if mirror.agree_to_terms != Some(true) {
            let remedy = "read the authority's terms of service, then write agree_to_terms: true";
            self.report.absent(&at.key("agree_to_terms"), "is not true: no authority issues without", remedy);
        }
        let external_account =
            mirror.external_account.as_ref().map(|mirror| self.external_account(&at.key("external_account"), mirror));
        let challenge = mirror.challenge.unwrap_or(defaults::ACME_CHALLENGE);
        if challenge == AcmeChallenge::Http01 && around.listen.http.is_empty() {
            let depends = [KeyPath::root().key("listen").key("http")];
            let remedy = "add http: 0.0.0.0:8080 to listen, which port 80 leads to; or write challenge: tls-alpn-01";
            let message = "is answered on the http listener, and there is none";
            self.report.conflict(&at.key("challenge"), &depends, message, remedy);
        }
        let root = KeyPath::root().key("state_directory");
        if around.state_directory.is_none() {
            let message = "needs a state_directory: without one every start would order anew, which authorities limit";
            self.report.conflict(&at, &[root], message, "add state_directory: state");
        }
        let hosts = self.acme_hosts(&at, mirror.hosts.as_ref(), !beside.is_empty(), around.sites);
        let ca = match &mirror.ca_file {
            Some(path) => Some(self.certificate_authorities(&at.key("ca_file"), path)?),
            None => None,
        };
        let kept_in = around.state_directory?.join("acme");
        let external_account = match external_account {
            Some(account) => Some(account?),
            None => None,
        };
        Some(Acme { directory: directory?, contacts, external_account, challenge, ca, hosts, kept_in, beside })
    }

    fn external_account(&mut self, at: &KeyPath, mirror: &file::ExternalAccount) -> Option<ExternalAccount> {
        let remedy = "write both as the authority gives them: key_id, and hmac_key_file with the key";
        for (key, is_given) in [("key_id", mirror.key_id.is_some()), ("hmac_key_file", mirror.hmac_key_file.is_some())]
        {
            if !is_given {
                self.report.absent(&at.key(key), "is missing", remedy);
            }
        }
        let (key_id, path) = (mirror.key_id.clone()?, mirror.hmac_key_file.as_ref()?);
        let at = at.key("hmac_key_file");
        let text = Zeroizing::new(self.read(&at, path)?);
        let hmac_key = self.accept(&at, hmac_key(&text))?;
        Some(ExternalAccount { key_id, hmac_key })
    }

    /// The hosts that are named, else those of all sites.
    fn acme_hosts(
        &mut self,
        at: &KeyPath,
        named: Option<&OneOrMany<String>>,
        beside_files: bool,
        sites: &[Site],
    ) -> Vec<String> {
        let at_sites = KeyPath::root().key("sites");
        let Some(named) = named else {
            let depends = [at.key("hosts"), at_sites];
            if beside_files {
                let certificates = [at.key("hosts"), KeyPath::root().key("tls").key("certificates")];
                let message = "is set beside certificates, and does not say which sites are whose";
                self.report.conflict(at, &certificates, message, "name its sites in hosts, or keep one of the two");
            }
            let mut hosts = Vec::new();
            for site in sites {
                match orderable(&site.host) {
                    Ok(host) => hosts.push(host),
                    Err(Mistake { message, advice }) => self.report.conflict(at, &depends, message, advice),
                }
            }
            return hosts;
        };
        let parse = |text: &String| -> Result<String, Mistake> {
            let site = sites.iter().find(|site| site.host.to_string().eq_ignore_ascii_case(text));
            orderable(&site.ok_or_else(|| Mistake::new("is the host of no site", "write it as the site does"))?.host)
        };
        let mut hosts = Vec::new();
        for (index, text) in named.values.iter().enumerate() {
            let at = if named.is_list { at.key("hosts").index(index) } else { at.key("hosts") };
            match parse(text) {
                Ok(host) => hosts.push(host),
                Err(Mistake { message, advice }) => {
                    self.report.conflict(&at, std::slice::from_ref(&at_sites), message, advice);
                }
            }
        }
        if named.values.is_empty() {
            self.report.absent(&at.key("hosts"), "is an empty list", "take it out to order for all sites");
        }
        hosts
    }
}

/// Authorities hand it out in base64url, some with padding.
fn hmac_key(text: &[u8]) -> Result<Secret, Mistake> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&URL_SAFE, lenient).decode(text.trim_ascii());
    let usable = decoded.ok().filter(|key| !key.is_empty()).map(Secret::new);
    let mistake = || Mistake::new("holds no key in base64url", "write the HMAC key there as the authority gives it");
    usable.ok_or_else(mistake)
}

/// The name in a certificate for this host.
fn orderable(host: &HostPattern) -> Result<String, Mistake> {
    match host {
        HostPattern::OneLabel(suffix) => Err(Mistake::new(
            format!("cannot order a certificate for *{suffix}: authorities issue one with a wildcard for DNS-01 only"),
            "give that site a file in tls.certificates, and name the others in acme.hosts",
        )),
        HostPattern::Exact(host) if host.starts_with('[') || host.parse::<IpAddr>().is_ok() => Err(Mistake::new(
            format!("cannot order a certificate for {host}, which is an address"),
            "give that site a file in tls.certificates, and name the others in acme.hosts",
        )),
        HostPattern::Exact(host) => Ok(host.clone()),
    }
}

/// Over plain http, whoever is on the way could answer in the authority's place (RFC 8555 §6.1).
fn acme_directory(text: &str) -> Result<Url, Mistake> {
    let remedy = "write https: the authority's directory is never over plain http";
    endpoint(text, false).map_err(|mistake| match mistake.message.as_str() {
        "goes over plain http" => Mistake::new(mistake.message, remedy),
        _ => mistake,
    })
}

fn mail(text: &str) -> Result<String, Mistake> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_plain = |letter: char| letter.is_ascii_graphic() && !"?,;<>".contains(letter);
    let is_address = address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
    if is_address && address.chars().all(is_plain) {
        Ok(format!("mailto:{address}"))
    } else {
        Err(Mistake::new("is not a mail address", "write it as operator@example.com"))
    }
}
