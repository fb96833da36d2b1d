//! Certificates and keys from PEM files.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::error::CertificateError;
use super::table::{CertificateExpiry, CertificateTable, Pair};
use crate::clock::Timestamp;
use crate::config::CertificateFiles;

/// Reads the certificates and keys of `files`, the default first. `files` is not empty.
pub(in crate::server) fn load(
    files: &[CertificateFiles],
    now: Timestamp,
) -> Result<CertificateTable, CertificateError> {
    CertificateTable::of(Vec::new(), Vec::new()).succeeded_by(files, now)
}

/// When the certificate of these files ends, which are read as serving reads them.
///
/// # Errors
/// [`CertificateError`] when it cannot be served with.
pub fn certificate_expiry(
    files: &CertificateFiles,
    now: Timestamp,
) -> Result<Option<CertificateExpiry>, CertificateError> {
    Ok(load(std::slice::from_ref(files), now)?.expiries().into_iter().next())
}

pub(super) fn read(
    files: &CertificateFiles,
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<Pair, CertificateError> {
    let CertificateFiles { certificate, key } = files;
    let chain = parse_chain(&contents(certificate)?, certificate)?;
    let private = parse_key(&contents(key)?, key)?;
    let key = CertifiedKey::from_der(chain, private, provider).map_err(|source| CertificateError::Unusable {
        certificate: certificate.clone(),
        key: key.clone(),
        source,
    })?;
    let names = names(&key, certificate, now)?;
    Ok(Pair { files: files.clone(), key: Arc::new(key), names })
}

fn contents(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

/// The certificates in `text`, leaf first; `path` is for errors.
pub(in crate::server) fn parse_chain(
    text: &[u8],
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let malformed = |source| CertificateError::Pem { path: path.to_owned(), wanted: "a certificate", source };
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().map_err(malformed)?;
    if chain.is_empty() { Err(malformed(pem::Error::NoItemsFound)) } else { Ok(chain) }
}

/// The first private key in `text`; `path` is for errors.
pub(in crate::server) fn parse_key(text: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|source| CertificateError::Pem {
        path: path.to_owned(),
        wanted: "a private key",
        source,
    })
}

/// The DNS names that the certificate answers for, in lower case.
fn names(key: &CertifiedKey, path: &Path, now: Timestamp) -> Result<Vec<Box<str>>, CertificateError> {
    let leaf = key.cert.first().into_iter();
    let mut names = Vec::new();
    for leaf in leaf {
        let leaf = webpki::EndEntityCert::try_from(leaf)
            .map_err(|source| CertificateError::Malformed { path: path.to_owned(), source })?;
        if has_expired(&leaf, now) {
            return Err(CertificateError::Expired { path: path.to_owned() });
        }
        names.extend(leaf.valid_dns_names().map(|name| name.to_ascii_lowercase().into_boxed_str()));
    }
    Ok(names)
}

/// From when to when it counts. The library tells that of a certificate only where it does not: so it is asked at both ends of
/// time.
pub(super) fn validity(key: &CertifiedKey) -> Option<(Timestamp, Timestamp)> {
    let leaf = webpki::EndEntityCert::try_from(key.cert.first()?).ok()?;
    let begins = match verdict(&leaf, Timestamp(0)) {
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => Timestamp(not_before.as_secs()),
        _ => Timestamp(0),
    };
    match verdict(&leaf, Timestamp(u64::MAX)) {
        Err(webpki::Error::CertExpired { not_after, .. }) => Some((begins, Timestamp(not_after.as_secs()))),
        _ => None,
    }
}

/// Whether its time is over. One whose time has not begun is used: clocks differ. The library tells of it only when asked
/// whom the certificate is from, which is nobody's question here: nobody is trusted.
fn has_expired(leaf: &webpki::EndEntityCert<'_>, now: Timestamp) -> bool {
    matches!(verdict(leaf, now), Err(webpki::Error::CertExpired { .. }))
}

fn verdict(leaf: &webpki::EndEntityCert<'_>, now: Timestamp) -> Result<(), webpki::Error> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.0));
    let usage = webpki::KeyUsage::server_auth();
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &[], &[], now, usage, None, None).map(drop)
}
