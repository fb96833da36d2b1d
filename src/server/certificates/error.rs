//! Why a certificate cannot be used, and whose fault that is.

use std::io;
use std::path::PathBuf;

use rustls_pki_types::pem;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The operator: a file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The operator: a file that is not PEM, or without what it should hold.
    #[error("{} does not hold {wanted} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// The operator: a key that does not belong to the certificate, or either of a kind that cannot be used.
    #[error(
        "the certificate {} cannot be used with the key {}: name the key that it was made for",
        certificate.display(),
        key.display()
    )]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        #[source]
        source: rustls::Error,
    },
    /// The operator: a certificate that cannot be parsed.
    #[error("{} does not begin with a server certificate", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: webpki::Error,
    },
    /// The operator: a certificate whose time is over.
    #[error("the certificate {} has expired: put a new one with its key there", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
    },
    /// The operator: authorities of clients, or lists of what they have revoked, that cannot be used.
    #[error("the client_certificates of {host} name a ca_file or crl_file that cannot be used")]
    Authorities {
        /// The site.
        host: String,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// Us or the system's randomness: no certificate could be made.
    #[error("cannot make a self-signed certificate")]
    SelfSigned(#[source] rcgen::Error),
    /// The operator: a state directory that cannot be written to.
    #[error("cannot keep the self-signed certificate in {}", path.display())]
    Keep {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl CertificateError {
    /// Whether a file that the operator named is at fault.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        !matches!(self, Self::SelfSigned(_))
    }

    /// Whether there is no such file.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
