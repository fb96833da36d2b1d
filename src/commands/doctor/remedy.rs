//! What to do about a connection that does not come about, by what is at the bottom of the error.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::CertificateError;

/// Where an authority is named, and the name that a certificate must have.
pub(super) struct Keys {
    /// The key for an authority.
    pub(super) ca: &'static str,
    /// The key for another name in the certificate, if there is one.
    pub(super) server_name: Option<&'static str>,
}

/// What to do about TLS that failed; `None` when something else did.
pub(super) fn of_tls(error: &(dyn Error + 'static), keys: &Keys) -> Option<String> {
    Some(match at_bottom::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(fault) => of_certificate(fault, keys),
        rustls::Error::InvalidMessage(_) => {
            "see whether TLS is spoken there at all: write http:// if it is not".to_owned()
        }
        _ => "see which versions and certificates are accepted there".to_owned(),
    })
}

fn of_certificate(fault: &CertificateError, keys: &Keys) -> String {
    match fault {
        CertificateError::UnknownIssuer => format!("name the authority that signed its certificate with {}", keys.ca),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew the certificate there, or set the clock of this machine".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "set the clock of this machine, or wait".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let other = keys.server_name.map(|key| format!(", or say with {key} which one it has")).unwrap_or_default();
            format!("dial it by a name that its certificate has{other}")
        }
        _ => "put a certificate there that can be verified".to_owned(),
    }
}

/// What to do about a socket that could not be connected.
pub(super) fn of_socket(error: &(dyn Error + 'static)) -> &'static str {
    match at_bottom::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "start what should listen there, or correct the address and its port",
        Some(io::ErrorKind::NotFound) => "start what should make that socket, or correct the path",
        Some(io::ErrorKind::PermissionDenied) => "let this user write to the socket",
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            "see the routes of this machine: nothing leads there"
        }
        _ => "see whether it answers, and whether a firewall is between here and there",
    }
}

/// The innermost error of a kind among the causes. What stands in an I/O error, or is shared, is none of its causes by itself.
fn at_bottom<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        found = error.downcast_ref::<E>().or(found);
        next = if let Some(io) = error.downcast_ref::<io::Error>() {
            io.get_ref().map(|wrapped| wrapped as &(dyn Error + 'static))
        } else if let Some(shared) = error.downcast_ref::<Arc<io::Error>>() {
            Some(&**shared)
        } else if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
            Some(&**shared)
        } else {
            error.source()
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forwarding::ConnectError;

    const KEYS: Keys = Keys { ca: "tls.ca_file", server_name: Some("tls.server_name") };

    #[test]
    fn the_fault_is_found_however_deep_it_is() {
        let fault = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = ConnectError::Tls(Arc::new(io::Error::new(io::ErrorKind::InvalidData, fault)));
        assert!(of_tls(&error, &KEYS).unwrap().contains("tls.ca_file"));
        let refused = ConnectError::Socket(Arc::new(io::ErrorKind::ConnectionRefused.into()));
        assert_eq!(of_tls(&refused, &KEYS), None);
        assert!(of_socket(&refused).contains("port"));
    }
}
