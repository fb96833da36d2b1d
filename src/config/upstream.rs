//! Where the applications are.

use std::path::PathBuf;

use super::CertificateFiles;

/// Index of an upstream in [`Config::upstreams`](super::Config::upstreams).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub usize);

/// One or more equivalent addresses of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Never empty.
    pub addresses: Vec<UpstreamAddress>,
    /// For `https` addresses.
    pub tls: UpstreamTls,
}

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// `http://host:port`: HTTP/1.1.
    Http {
        /// Name or address, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `https://host:port`: HTTP/2 or HTTP/1.1 by ALPN.
    Https {
        /// Name or address, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `h2c://host:port`: HTTP/2 with prior knowledge, without TLS.
    H2c {
        /// Name or address, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path/to/socket`: HTTP/1.1.
    Unix(PathBuf),
}

/// TLS towards an application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The roots to trust instead of the system's: PEM, checked to parse.
    pub ca: Option<Vec<u8>>,
    /// The certificate that Usher presents.
    pub client_certificate: Option<CertificateFiles>,
    /// The name that the certificate must have, when it is not the host of the address.
    pub server_name: Option<String>,
}
