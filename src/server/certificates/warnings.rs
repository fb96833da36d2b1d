//! What is about certificates that can be served with, and looks like a mistake.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::CertificateError;
use super::read::load;
use super::table::Pair;
use crate::clock::Timestamp;
use crate::config::{Config, Tls};

const DAY: u64 = 24 * 60 * 60;

/// What is about certificates that can be served with, and looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateWarning {
    /// Its end is near.
    #[error("{} expires in {days} days", path.display())]
    ExpiresSoon {
        /// The file.
        path: PathBuf,
        /// Whole days that are left.
        days: u64,
    },
    /// No site has a host that it is for.
    #[error("{} is for no site: it is for {}", path.display(), if names.is_empty() { "no name" } else { names })]
    ForNoSite {
        /// The file.
        path: PathBuf,
        /// What it is for.
        names: String,
    },
    /// No certificate is for the host of a site: browsers refuse the first one, which is served there.
    #[error("no certificate is for the site {host}")]
    NotCovered {
        /// The site.
        host: String,
    },
}

/// What looks wrong about the certificates that a configuration names, which can be served with at this time. Addresses are
/// left out: nobody asks for a certificate by them.
///
/// # Errors
/// [`CertificateError`] for the first that cannot be served with.
pub fn certificate_warnings(config: &Config, now: Timestamp) -> Result<Vec<CertificateWarning>, CertificateError> {
    let mut warnings = Vec::new();
    let (files, ordered) = match &config.tls {
        Tls::Files(files) => (files, &[][..]),
        Tls::Acme(acme) => (&acme.beside, &acme.hosts[..]),
        Tls::SelfSigned | Tls::None => return Ok(warnings),
    };
    let table = load(files, now)?;
    let hosts: Vec<_> = config.sites.iter().map(|site| site.host.to_string()).collect();
    let is_address = |host: &str| host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    for pair in &table.pairs {
        let Pair { files, key, names } = pair;
        let path = files.certificate.clone();
        if let Some(expiry) = pair.expiry().filter(|expiry| expiry.late <= now) {
            let days = expiry.at.since(now).as_secs() / DAY;
            warnings.push(CertificateWarning::ExpiresSoon { path: path.clone(), days });
        }
        let is_used = |host: &String| table.candidates(host).iter().any(|candidate| Arc::ptr_eq(candidate, key));
        if !hosts.iter().any(is_used) && !hosts.iter().any(|host| is_address(host)) {
            warnings.push(CertificateWarning::ForNoSite { path, names: names.join(", ") });
        }
    }
    let is_covered = |host: &String| is_address(host) || ordered.contains(host) || !table.candidates(host).is_empty();
    let uncovered = hosts.into_iter().filter(|host| !is_covered(host));
    warnings.extend(uncovered.map(|host| CertificateWarning::NotCovered { host }));
    Ok(warnings)
}
