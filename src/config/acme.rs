//! Certificates that an authority issues by ACME.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{CertificateFiles, Secret};

/// How certificates are ordered, and for which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// The authority's directory (RFC 8555 §7.1.1).
    pub directory: Url,
    /// Mail addresses, as URLs.
    pub contacts: Vec<String>,
    /// What binds the account to one that the operator has with the authority already (RFC 8555 §7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// How the authority sees that a name is ours.
    pub challenge: AcmeChallenge,
    /// CA of the authority's own certificate in PEM, beside those of the system.
    pub ca: Option<Vec<u8>>,
    /// Each gets a certificate of its own: names without wildcards, in lower case.
    pub hosts: Vec<String>,
    /// Where the account and the certificates are kept.
    pub kept_in: PathBuf,
    /// Certificates from files, for other sites.
    pub beside: Vec<CertificateFiles>,
}

impl Acme {
    /// The name of the file of a host's certificate, which holds its key as well: the two change at once.
    #[must_use]
    pub fn file_name(host: &str) -> String {
        format!("{host}.pem")
    }

    /// The host of a pair that [`Self::certificates`] has for one that is issued; `None` of other pairs.
    #[must_use]
    pub fn host_of(files: &CertificateFiles) -> Option<&str> {
        let is_one = files.certificate == files.key && files.certificate.extension()? == "pem";
        is_one.then(|| files.certificate.file_stem()?.to_str()).flatten()
    }

    /// All certificates there are, or will be.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateFiles> {
        let issued = self.hosts.iter().map(|host| {
            let path = self.kept_in.join(Self::file_name(host));
            CertificateFiles { certificate: path.clone(), key: path }
        });
        self.beside.iter().cloned().chain(issued).collect()
    }
}

/// An account that the operator has with an authority already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// Its name, as the authority gives it.
    pub key_id: String,
    /// The MAC key (HS256), decoded.
    pub hmac_key: Secret,
}

/// How an authority sees that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AcmeChallenge {
    /// A file that it fetches from the http listener, at port 80 (RFC 8555 §8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A certificate that it is shown on the https listener, at port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}
