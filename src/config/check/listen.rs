//! `listen`, `tls` and `trusted_proxies`.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::acme::Around;
use super::{Check, KeyPath, Mistake};
use crate::config::file;
use crate::config::file::OneOrMany;
use crate::config::{CertificateFiles, Listen, Tls};

impl Check<'_> {
    pub(super) fn trusted_proxies(&mut self, proxies: &[String]) -> Vec<IpNet> {
        let at = KeyPath::root().key("trusted_proxies");
        let checked = proxies.iter().enumerate().map(|(index, text)| self.accept(&at.index(index), network(text)));
        checked.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    pub(super) fn listen(&mut self, mirror: Option<&file::Listen>, trusted_proxies: &[IpNet]) -> Listen {
        let at = KeyPath::root().key("listen");
        let mirror = mirror.cloned().unwrap_or_default();
        let listen = Listen {
            https: self.addresses(&at.key("https"), mirror.https.as_ref()),
            http: self.addresses(&at.key("http"), mirror.http.as_ref()),
            plain: self.addresses(&at.key("plain"), mirror.plain.as_ref()),
            verify: self.addresses(&at.key("verify"), mirror.verify.as_ref()),
            admin: mirror.admin.as_ref().and_then(|admin| self.admin(&at.key("admin"), admin)),
            proxy_protocol: mirror.proxy_protocol.unwrap_or(false),
        };
        if listen.https.is_empty() && listen.plain.is_empty() {
            let depends = [at.key("https"), at.key("plain")];
            self.report.conflict(&at, &depends, "has no public listener", "add https: 0.0.0.0:8443");
        }
        self.trust(&listen, trusted_proxies);
        self.no_address_twice(&listen);
        listen
    }

    /// Listeners that only make sense when somebody is trusted, and not everybody.
    fn trust(&mut self, listen: &Listen, trusted_proxies: &[IpNet]) {
        if let Some(index) = trusted_proxies.iter().position(|network| network.prefix_len() == 0) {
            let so = if listen.plain.is_empty() {
                "whoever connects can say where a request comes from"
            } else {
                "whoever connects can say where a request comes from, and browsers that reach the plain listener without TLS \
                 keep no __Host- cookie: nobody stays signed in there"
            };
            let at = KeyPath::root().key("trusted_proxies").index(index);
            self.report.warn(&at, format!("is everybody: {so}. Name the proxy's own network"));
        }
        let (at, trusted) = (KeyPath::root().key("listen"), KeyPath::root().key("trusted_proxies"));
        let remedy = "add the load balancer's network, as in trusted_proxies: [10.0.0.0/8]";
        for (key, addresses) in [("plain", &listen.plain), ("verify", &listen.verify)] {
            if !addresses.is_empty() && trusted_proxies.is_empty() {
                let message = "serves trusted_proxies only, and there are none";
                self.report.lacks(&at.key(key), std::slice::from_ref(&trusted), message, remedy);
            }
        }
        // Nor somebody by half.
        let is_everybody = IpNet::aggregate(&trusted_proxies.to_vec()).iter().any(|network| network.prefix_len() == 0);
        if !listen.verify.is_empty() && is_everybody {
            let message =
                "would tell everybody what only a proxy is told: tokens, and what upstream_authorization says";
            let remedy = "name the proxy's own network, as in trusted_proxies: [10.0.0.0/8]";
            self.report.conflict(&at.key("verify"), std::slice::from_ref(&trusted), message, remedy);
        }
        if listen.proxy_protocol && trusted_proxies.is_empty() {
            let message = "is believed of trusted_proxies only, and there are none";
            self.report.lacks(&at.key("proxy_protocol"), &[trusted], message, remedy);
        }
    }

    fn addresses(&mut self, at: &KeyPath, mirror: Option<&OneOrMany<String>>) -> Vec<SocketAddr> {
        let Some(mirror) = mirror else { return Vec::new() };
        if mirror.is_list {
            return self.each(at, &mirror.values, |text| address(text), "write one address, or take the key out");
        }
        mirror.values.iter().filter_map(|text| self.accept(at, address(text))).collect()
    }

    fn no_address_twice(&mut self, listen: &Listen) {
        let at = KeyPath::root().key("listen");
        let keys =
            [("https", &listen.https), ("http", &listen.http), ("plain", &listen.plain), ("verify", &listen.verify)];
        let mut seen: Vec<(&str, SocketAddr)> = Vec::new();
        let public = keys.into_iter().flat_map(|(key, addresses)| addresses.iter().map(move |address| (key, *address)));
        for (key, address) in public.chain(listen.admin.as_ref().map(|admin| ("admin", admin.address))) {
            if let Some((other, _)) = seen.iter().find(|(_, taken)| overlap(*taken, address)) {
                let message = format!("takes the port of {other}");
                self.report.problem(&at.key(key), message, "give every listener a port of its own");
            }
            seen.push((key, address));
        }
    }

    pub(super) fn tls(&mut self, mirror: Option<&file::Tls>, around: &Around<'_>) -> Tls {
        let at = KeyPath::root().key("tls");
        let mirror = mirror.cloned().unwrap_or_default();
        let needed = !around.listen.https.is_empty();
        let self_signed = mirror.self_signed.unwrap_or(false);
        for (other, given) in [("certificates", mirror.certificates.is_some()), ("acme", mirror.acme.is_some())] {
            if given && self_signed {
                let message = format!("is set beside {other}");
                let at = at.key("self_signed");
                self.report.conflict(&at, std::slice::from_ref(&at), message, "keep one of the two");
            }
        }
        let files = match &mirror.certificates {
            Some(certificates) => self.certificates(&at.key("certificates"), certificates),
            None => Vec::new(),
        };
        if needed && files.is_empty() && !self_signed && mirror.acme.is_none() {
            let depends = ["certificates", "self_signed", "acme"].map(|key| at.key(key));
            let remedy = "add certificates: [{ certificate: …, key: … }], acme: { agree_to_terms: true } for a name that \
                 everybody can reach, or self_signed: true for development";
            self.report.conflict(&at, &depends, "has no certificate for the https listener", remedy);
        }
        if !needed {
            if self_signed || !files.is_empty() || mirror.acme.is_some() {
                self.report.note(&at, "is not used, because there is no https listener");
            }
            return Tls::None;
        }
        match &mirror.acme {
            Some(acme) => self.acme(acme, files, around).map_or(Tls::None, |acme| Tls::Acme(Box::new(acme))),
            None if self_signed => Tls::SelfSigned,
            None => Tls::Files(files),
        }
    }

    fn certificates(&mut self, at: &KeyPath, mirror: &[file::Certificate]) -> Vec<CertificateFiles> {
        let mut files = Vec::new();
        for (index, pair) in mirror.iter().enumerate() {
            let at = at.index(index);
            files.extend(self.certificate(&at, ("certificate", pair.certificate.as_ref()), ("key", pair.key.as_ref())));
        }
        files
    }

    /// A certificate and its key, both of which must be there.
    pub(super) fn certificate(
        &mut self,
        at: &KeyPath,
        (certificate_key, certificate): (&str, Option<&std::path::PathBuf>),
        (key_key, key): (&str, Option<&std::path::PathBuf>),
    ) -> Option<CertificateFiles> {
        for (name, given) in [(certificate_key, certificate.is_some()), (key_key, key.is_some())] {
            if !given {
                self.report.absent(&at.key(name), "is missing", "a certificate and its key belong together");
            }
        }
        let certificate = certificate.and_then(|path| self.certificate_chain(&at.key(certificate_key), path));
        let key = key.and_then(|path| self.private_key(&at.key(key_key), path));
        Some(CertificateFiles { certificate: certificate?, key: key? })
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Mistake> {
    text.parse().map_err(|_| {
        let message = "must be an address with a port";
        if let Ok(alone) = text.trim_matches(['[', ']']).parse() {
            return Mistake::new(message, format!("write {}, or another port", SocketAddr::new(alone, 8443)));
        }
        let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(8443);
        let remedy =
            format!("write it as 127.0.0.1:{port} for this machine alone, or 0.0.0.0:{port} or [::]:{port} for all");
        Mistake::new(message, remedy)
    })
}

fn network(text: &str) -> Result<IpNet, Mistake> {
    let mistake =
        || Mistake::new("must be a network or an address", "write it as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7");
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    network.map(|network| network.trunc()).map_err(|_| mistake())
}

/// Whether two sockets cannot listen at once. Port 0 is any free port.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}
