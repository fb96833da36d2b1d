//! Certificates: read from PEM files, chosen by the name that the client asks for (SNI, RFC 6066 §3).
//!
//! A certificate answers for the DNS names of its subjectAltName extension, `*.` standing for exactly one label (RFC 9525
//! §6.3). Several certificates for one name (ECDSA beside RSA) are tried in the operator's order: the first whose key the
//! client can verify is used. A client that sends no name, or one that we have no certificate for, gets the first
//! certificate of all; whether its host is served here is the gateway's question, answered 421.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::clock::Timestamp;
use crate::config::{CertificateFiles, Config, Tls};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whoever renews automatically does so a month before the end (Let's Encrypt), or a third of its life.
const SOON_DAYS: u32 = 14;

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
}

/// When a certificate that clients are shown ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// The first name that it is for; `self-signed` of a self-made one.
    pub name: String,
    /// Where it was read from; `None` of a self-made one.
    pub file: Option<PathBuf>,
    /// From then on it counts no more.
    pub at: Timestamp,
}

/// Which certificate is for which name. Immutable; a reload builds another one.
#[derive(Debug)]
pub(super) struct CertificateTable {
    by_name: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    default: Arc<CertifiedKey>,
    pairs: Vec<Pair>,
    /// The names that a self-made certificate is for.
    made_for: Vec<String>,
}

/// A certificate with its key, and the files that they came from.
#[derive(Clone, Debug)]
struct Pair {
    files: CertificateFiles,
    key: Arc<CertifiedKey>,
    names: Vec<Box<str>>,
}

impl CertificateTable {
    /// A table of one certificate, which is used whatever the name.
    pub(super) fn single(key: CertifiedKey, made_for: Vec<String>) -> Self {
        Self { by_name: HashMap::new(), default: Arc::new(key), pairs: Vec::new(), made_for }
    }

    /// The first is the default. There must be one.
    fn of(pairs: Vec<Pair>) -> Result<Self, CertificateError> {
        let mut by_name: HashMap<Box<str>, Vec<_>> = HashMap::new();
        for Pair { key, names, .. } in &pairs {
            for name in names {
                by_name.entry(name.clone()).or_default().push(Arc::clone(key));
            }
        }
        match pairs.first().map(|pair| Arc::clone(&pair.key)) {
            Some(default) => Ok(Self { by_name, default, pairs, made_for: Vec::new() }),
            None => Err(CertificateError::Read { path: PathBuf::new(), source: io::ErrorKind::NotFound.into() }),
        }
    }

    /// The table of these files. A pair of this table that cannot be read any more stays.
    pub(super) fn succeeded_by(&self, files: &[CertificateFiles], now: Timestamp) -> Result<Self, CertificateError> {
        let provider = aws_lc_rs::default_provider();
        let kept = |files: &CertificateFiles| self.pairs.iter().find(|pair| pair.files == *files).cloned();
        let pair = |files: &CertificateFiles| read(files, &provider, now).or_else(|error| kept(files).ok_or(error));
        Self::of(files.iter().map(pair).collect::<Result<_, _>>()?)
    }

    /// The table of the same files, read anew, and why some of them stay as they were.
    pub(super) fn renewed(&self, now: Timestamp) -> (Self, Vec<CertificateError>) {
        let provider = aws_lc_rs::default_provider();
        let mut errors = Vec::new();
        let mut renewed = |pair: &Pair| {
            read(&pair.files, &provider, now).unwrap_or_else(|error| {
                errors.push(error);
                pair.clone()
            })
        };
        let pairs: Vec<_> = self.pairs.iter().map(&mut renewed).collect();
        let same = || Self {
            by_name: self.by_name.clone(),
            default: Arc::clone(&self.default),
            pairs: self.pairs.clone(),
            made_for: self.made_for.clone(),
        };
        (Self::of(pairs).unwrap_or_else(|_| same()), errors)
    }

    /// The certificates, each with the time at which it ends.
    pub(super) fn expiries(&self) -> Vec<CertificateExpiry> {
        let self_made = self.pairs.is_empty().then(|| (&self.default, Some("self-signed".to_owned()), None));
        let pairs = self
            .pairs
            .iter()
            .map(|pair| (&pair.key, pair.names.first().map(ToString::to_string), Some(pair.files.certificate.clone())));
        let expiry = |(key, name, file): (&Arc<CertifiedKey>, Option<String>, Option<PathBuf>)| {
            Some(CertificateExpiry { name: name.unwrap_or_default(), file, at: ends_at(key)? })
        };
        pairs.chain(self_made).filter_map(expiry).collect()
    }

    /// Whether it is one self-made certificate for these names.
    pub(super) fn is_made_for(&self, names: &[String]) -> bool {
        !self.made_for.is_empty() && self.made_for == names
    }

    /// The certificates for `name`, which is in lower case: exactly that one's, else those of its wildcard.
    fn candidates(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(format!("*.{parent}").as_str())
        };
        self.by_name.get(name).or_else(wildcard).map_or(&[], Vec::as_slice)
    }
}

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
        Some(Arc::clone(verifiable.or_else(|| candidates.first()).unwrap_or(&table.default)))
    }
}

/// What is about certificates that can be served with, and looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateWarning {
    /// Its end is near.
    #[error("{} expires in {days} days", path.display())]
    ExpiresSoon {
        /// The file.
        path: PathBuf,
        /// Whole days that are left.
        days: u32,
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
    let Tls::Files(files) = &config.tls else { return Ok(Vec::new()) };
    let table = load(files, now)?;
    let hosts: Vec<_> = config.sites.iter().map(|site| site.host.to_string()).collect();
    let is_address = |host: &str| host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    let mut warnings = Vec::new();
    for Pair { files, key, names } in &table.pairs {
        let path = files.certificate.clone();
        if let Some(days) = days_left(key, now) {
            warnings.push(CertificateWarning::ExpiresSoon { path: path.clone(), days });
        }
        let is_used = |host: &String| table.candidates(host).iter().any(|candidate| Arc::ptr_eq(candidate, key));
        if !hosts.iter().any(is_used) && !hosts.iter().any(|host| is_address(host)) {
            warnings.push(CertificateWarning::ForNoSite { path, names: names.join(", ") });
        }
    }
    let uncovered = hosts.into_iter().filter(|host| !is_address(host) && table.candidates(host).is_empty());
    warnings.extend(uncovered.map(|host| CertificateWarning::NotCovered { host }));
    Ok(warnings)
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

/// Whole days until a certificate expires, if that is soon.
fn days_left(key: &CertifiedKey, now: Timestamp) -> Option<u32> {
    let leaf = webpki::EndEntityCert::try_from(key.cert.first()?).ok()?;
    (0..SOON_DAYS).find(|days| has_expired(&leaf, now.after(DAY * (days + 1))))
}

/// Reads the certificates and keys of `files`, the default first. `files` is not empty.
pub(super) fn load(files: &[CertificateFiles], now: Timestamp) -> Result<CertificateTable, CertificateError> {
    let provider = aws_lc_rs::default_provider();
    CertificateTable::of(files.iter().map(|files| read(files, &provider, now)).collect::<Result<_, _>>()?)
}

fn read(files: &CertificateFiles, provider: &CryptoProvider, now: Timestamp) -> Result<Pair, CertificateError> {
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
pub(super) fn parse_chain(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let malformed = |source| CertificateError::Pem { path: path.to_owned(), wanted: "a certificate", source };
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().map_err(malformed)?;
    if chain.is_empty() { Err(malformed(pem::Error::NoItemsFound)) } else { Ok(chain) }
}

/// The first private key in `text`; `path` is for errors.
pub(super) fn parse_key(text: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
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

/// When its time is over. The library tells that of a certificate only when it is over: so it is asked at the end of time.
fn ends_at(key: &CertifiedKey) -> Option<Timestamp> {
    let leaf = webpki::EndEntityCert::try_from(key.cert.first()?).ok()?;
    match verdict(&leaf, Timestamp(u64::MAX)) {
        Err(webpki::Error::CertExpired { not_after, .. }) => Some(Timestamp(not_after.as_secs())),
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

#[cfg(test)]
mod tests {
    use super::super::testing::CertificateFile;
    use super::*;

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
}
