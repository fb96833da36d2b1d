//! Where to listen, and the certificates there.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Acme, Secret};

/// The listening sockets. At least one of `https` and `plain` is not empty.
#[derive(Clone, Debug)]
pub struct Listen {
    /// TLS, HTTP/1.1 and HTTP/2.
    pub https: Vec<SocketAddr>,
    /// Plain HTTP whose only answer is a redirect to https.
    pub http: Vec<SocketAddr>,
    /// Plain HTTP that is served, to `trusted_proxies` only: a load balancer already ends TLS.
    pub plain: Vec<SocketAddr>,
    /// Plain HTTP on which other proxies, of `trusted_proxies`, ask about requests of theirs.
    pub verify: Vec<SocketAddr>,
    /// Health, metrics and the status page; never on a public listener.
    pub admin: Option<Admin>,
    /// Connections from `trusted_proxies` begin with a PROXY protocol header (v1 or v2).
    pub proxy_protocol: bool,
}

/// The admin listener, and who may read there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens. Without a token, an address of this machine alone.
    pub address: SocketAddr,
    /// What whoever reads more than health has to present. Characters that a header takes as they are.
    pub token: Option<Secret>,
    /// Names under which browsers may ask without a token, beside addresses and `localhost`: lower case, without a port.
    pub hosts: Vec<String>,
}

/// What to do about an address that cannot be listened on, as the end of a sentence. Empty where that is not known.
#[must_use]
pub fn listening_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process listens there: end it, or name another port",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE, or a socket of the service manager"
        }
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    }
}

/// The certificates.
#[derive(Clone, Debug)]
pub enum Tls {
    /// PEM files, chosen by SNI; the first is the default for clients that send no SNI.
    Files(Vec<CertificateFiles>),
    /// An authority issues them by ACME; others come from files beside.
    Acme(Box<Acme>),
    /// For development: one is made for all hosts of the sites and kept in the state directory, if there is one.
    SelfSigned,
    /// There is no TLS listener.
    None,
}

impl Tls {
    /// Where the certificates are, or will be once they have been issued.
    #[must_use]
    pub fn files(&self) -> Vec<CertificateFiles> {
        match self {
            Self::Files(files) => files.clone(),
            Self::Acme(acme) => acme.certificates(),
            Self::SelfSigned | Self::None => Vec::new(),
        }
    }
}

/// A certificate chain and its key, both PEM. That the files exist and can be read has been checked; their contents are
/// parsed where TLS is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}
