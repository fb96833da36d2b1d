//! What is about client certificates that can be served with, and keeps their owners out, or will.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{ClientCertificates, Config, HostPattern};
use crate::clock::Timestamp;

/// What looks like a mistake, or like one that comes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertificateWarning {
    /// The time of an authority is over. What it has issued counts all the same, for TLS does not look at that.
    #[error("an authority of client certificates of the site {host} has expired")]
    AuthorityExpired {
        /// The site.
        host: HostPattern,
    },
    /// The time of a list is over: nobody knows what its authority has revoked since.
    #[error(
        "a list of revoked client certificates of the site {host} has expired: nobody with one of its authority gets in"
    )]
    ListExpired {
        /// The site.
        host: HostPattern,
    },
    /// The same is near.
    #[error("a list of revoked client certificates of the site {host} expires in {}", humantime::format_duration(*left))]
    ListExpiresSoon {
        /// The site.
        host: HostPattern,
        /// Until then, in whole minutes.
        left: Duration,
    },
}

impl ClientCertificateWarning {
    /// The site.
    #[must_use]
    pub const fn host(&self) -> &HostPattern {
        match self {
            Self::AuthorityExpired { host } | Self::ListExpired { host } | Self::ListExpiresSoon { host, .. } => host,
        }
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::AuthorityExpired { .. } => "take it out of ca_file of its client_certificates, or renew it",
            Self::ListExpired { .. } | Self::ListExpiresSoon { .. } => {
                "put the next list of that authority into crl_file of its client_certificates"
            }
        }
    }
}

impl Config {
    /// What there is to warn of at this time, about the client certificates of all sites.
    #[must_use]
    pub fn client_certificate_warnings(&self, now: Timestamp) -> Vec<ClientCertificateWarning> {
        self.client_certificates.iter().flat_map(|asked| [authority(asked, now), list(asked, now)]).flatten().collect()
    }
}

fn authority(asked: &ClientCertificates, now: Timestamp) -> Option<ClientCertificateWarning> {
    let is_over = |der: CertificateDer<'_>| {
        let end = X509Certificate::from_der(&der).map(|(_, parsed)| parsed.validity().not_after.timestamp());
        end.is_ok_and(|end| u64::try_from(end).unwrap_or_default() < now.0)
    };
    let has_expired = CertificateDer::pem_slice_iter(&asked.authorities).flatten().any(is_over);
    has_expired.then(|| ClientCertificateWarning::AuthorityExpired { host: asked.host.clone() })
}

fn list(asked: &ClientCertificates, now: Timestamp) -> Option<ClientCertificateWarning> {
    let late = asked.revoked.iter().flat_map(|revoked| &revoked.ends).filter(|end| end.late <= now);
    let first = late.min_by_key(|end| end.at)?;
    let host = asked.host.clone();
    if first.at <= now {
        return Some(ClientCertificateWarning::ListExpired { host });
    }
    let left = Duration::from_secs(first.at.since(now).as_secs() / 60 * 60);
    Some(ClientCertificateWarning::ListExpiresSoon { host, left })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bundle, RevocationListEnd, RevocationLists};

    #[test]
    fn a_list_is_told_of_when_a_tenth_of_its_time_is_left_and_when_none_is() {
        let end = |late, at| RevocationListEnd { authority: String::new(), late: Timestamp(late), at: Timestamp(at) };
        // The one that ends first has most of its short time left.
        let ends = vec![end(960, 970), end(900, 1_000)];
        let revoked = RevocationLists { lists: Bundle::new(Vec::new()), ends };
        let asked = ClientCertificates {
            host: HostPattern::Exact("app.test".to_owned()),
            authorities: Bundle::new(Vec::new()),
            revoked: Some(revoked),
            required: true,
            identity: Vec::new(),
        };
        for (now, told) in
            [(899, None), (900, Some("expires in 1m")), (969, Some("expires in 0s")), (970, Some("gets in"))]
        {
            let said = list(&asked, Timestamp(now)).map(|warning| warning.to_string());
            assert_eq!(said.is_some(), told.is_some(), "{now}: {said:?}");
            assert!(said.unwrap_or_default().ends_with(told.unwrap_or_default()), "{now}");
        }
    }
}
