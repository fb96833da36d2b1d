//! Certificates: read from PEM files, chosen by the name that the client asks for (SNI, RFC 6066 §3).
//!
//! A certificate answers for the DNS names of its subjectAltName extension, `*.` standing for exactly one label (RFC 9525
//! §6.3). Several certificates for one name (ECDSA beside RSA) are tried in the operator's order: the first whose key the
//! client can verify is used. A client that sends no name, or one that we have no certificate for, gets the first
//! certificate of all; whether its host is served here is the gateway's question, answered 421. What an authority has yet to
//! issue is awaited: a handshake for which there is no certificate at all fails.

mod error;
mod read;
mod table;
mod warnings;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

pub use error::CertificateError;
pub use read::certificate_expiry;
pub(super) use read::{load, parse_chain, parse_key};
pub use table::CertificateExpiry;
pub(super) use table::CertificateTable;
pub use warnings::{CertificateWarning, certificate_warnings};

/// The certificates in use: the table can be replaced while connections are accepted.
#[derive(Debug)]
pub(super) struct Certificates(ArcSwap<CertificateTable>);

impl Certificates {
    pub(super) fn new(table: CertificateTable) -> Self {
        Self(ArcSwap::from_pointee(table))
    }

    /// What handshakes look into at the moment.
    pub(super) fn current(&self) -> Arc<CertificateTable> {
        self.0.load_full()
    }

    /// From now on, handshakes look into this one.
    pub(super) fn replace(&self, table: CertificateTable) {
        self.0.store(Arc::new(table));
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.0.load();
        let candidates = hello.server_name().map_or(&[][..], |name| table.candidates(name));
        let verifiable = candidates.iter().find(|key| key.key.choose_scheme(hello.signature_schemes()).is_some());
        verifiable.or_else(|| candidates.first()).or_else(|| table.default(hello.server_name())).cloned()
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;

    use super::super::testing::CertificateFile;
    use super::*;
    use crate::clock::Timestamp;
    use crate::config::CertificateFiles;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn table(files: &[&CertificateFile]) -> CertificateTable {
        let files: Vec<_> = files.iter().map(|file| file.files.clone()).collect();
        load(&files, NOW).unwrap()
    }

    fn chosen(table: &CertificateTable, name: &str) -> Option<CertificateDer<'static>> {
        table.candidates(name).first().map(|key| key.cert[0].clone())
    }

    #[test]
    fn an_exact_name_wins_over_a_wildcard_and_a_wildcard_stands_for_one_label() {
        let wildcard = CertificateFile::new(&["*.corp.test"]);
        let exact = CertificateFile::new(&["App.corp.test"]);
        let table = table(&[&wildcard, &exact]);
        assert_eq!(chosen(&table, "app.corp.test"), Some(exact.certificate.clone()));
        assert_eq!(chosen(&table, "other.corp.test"), Some(wildcard.certificate.clone()));
        assert_eq!(chosen(&table, "a.b.corp.test"), None);
        assert_eq!(chosen(&table, "corp.test"), None);
    }

    #[test]
    fn a_key_that_belongs_to_another_certificate_is_refused_with_both_paths() {
        let (one, other) = (CertificateFile::new(&["one.test"]), CertificateFile::new(&["other.test"]));
        let files = CertificateFiles { certificate: one.files.certificate.clone(), key: other.files.key.clone() };
        let error = load(std::slice::from_ref(&files), NOW).unwrap_err();
        assert!(error.is_configuration());
        let text = error.to_string();
        assert!(
            text.contains(files.certificate.to_str().unwrap()) && text.contains(files.key.to_str().unwrap()),
            "{text}"
        );
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_with_its_path() {
        let one = CertificateFile::new(&["one.test"]);
        let files = CertificateFiles { certificate: one.files.key.clone(), key: one.files.key.clone() };
        let error = load(std::slice::from_ref(&files), NOW).unwrap_err();
        assert!(error.to_string().contains(files.key.to_str().unwrap()), "{error}");
    }

    #[test]
    fn a_name_that_awaits_its_own_certificate_is_not_shown_the_first_of_all() {
        let other = CertificateFile::new(&["other.test"]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(crate::config::Acme::file_name("app.test"));
        let awaited = CertificateFiles { certificate: path.clone(), key: path.clone() };
        let (before, errors) = table(&[]).reread(vec![other.files.clone(), awaited], NOW);
        assert!(errors.is_empty());
        assert!(before.default(Some("app.test")).is_none());
        assert!(before.default(Some("unknown.test")).is_some() && before.default(None).is_some());
        std::fs::write(&path, "rubbish").unwrap();
        let (spoiled, errors) = before.renewed(NOW);
        assert_eq!(errors.len(), 1);
        assert!(spoiled.default(Some("app.test")).is_none(), "what is of no use is awaited as well");
        let issued = CertificateFile::new(&["app.test"]);
        let text = [&issued.files.key, &issued.files.certificate].map(|path| std::fs::read_to_string(path).unwrap());
        std::fs::write(&path, text.concat()).unwrap();
        let (after, _) = before.renewed(NOW);
        assert_eq!(chosen(&after, "app.test"), Some(issued.certificate.clone()));
    }
}
