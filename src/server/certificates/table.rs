//! Which certificate is for which name.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;

use super::error::CertificateError;
use super::read::{read, validity};
use crate::clock::Timestamp;
use crate::config::{Acme, CertificateFiles};

/// When a certificate that clients are shown ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// The first name that it is for; `self-signed` of a self-made one.
    pub name: String,
    /// Where it was read from; `None` of a self-made one.
    pub file: Option<PathBuf>,
    /// From then on it counts no more.
    pub at: Timestamp,
    /// From then on it should have been renewed.
    pub late: Timestamp,
}

/// Whoever renews by themselves does so with a third of a certificate's life left, or a month: what ends sooner than this is
/// late, or than a quarter of its life, where that is short.
const FEW_DAYS: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl CertificateExpiry {
    fn of(key: &CertifiedKey, name: String, file: Option<PathBuf>) -> Option<Self> {
        let (begins, ends) = validity(key)?;
        let late = Timestamp(ends.0.saturating_sub(FEW_DAYS.min(ends.since(begins) / 4).as_secs()));
        Some(Self { name, file, at: ends, late })
    }
}

/// Which certificate is for which name. Immutable; a reload builds another one.
#[derive(Clone, Debug)]
pub(in crate::server) struct CertificateTable {
    by_name: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// `None` until there is any: then nobody's hand is shaken.
    default: Option<Arc<CertifiedKey>>,
    /// Where certificates come from, the default first. Those that are yet to be issued are not there.
    files: Vec<CertificateFiles>,
    pub(super) pairs: Vec<Pair>,
    /// The names whose certificates are yet to be issued, or to be issued anew because what there is cannot be used.
    awaited: HashSet<Box<str>>,
    /// The names that a self-made certificate is for.
    made_for: Vec<String>,
}

/// A certificate with its key, and the files that they came from.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) files: CertificateFiles,
    pub(super) key: Arc<CertifiedKey>,
    pub(super) names: Vec<Box<str>>,
}

impl Pair {
    pub(super) fn expiry(&self) -> Option<CertificateExpiry> {
        let name = self.names.first().map(ToString::to_string).unwrap_or_default();
        CertificateExpiry::of(&self.key, name, Some(self.files.certificate.clone()))
    }
}

impl CertificateTable {
    /// A table of one certificate, which is used whatever the name.
    pub(in crate::server) fn single(key: CertifiedKey, made_for: Vec<String>) -> Self {
        Self { made_for, ..Self::of(Vec::new(), Vec::new()).with_default(Arc::new(key)) }
    }

    /// The table of these pairs. The first is the default.
    pub(super) fn of(files: Vec<CertificateFiles>, pairs: Vec<Pair>) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<_>> = HashMap::new();
        for Pair { key, names, .. } in &pairs {
            for name in names {
                by_name.entry(name.clone()).or_default().push(Arc::clone(key));
            }
        }
        let default = pairs.first().map(|pair| Arc::clone(&pair.key));
        Self { by_name, default, files, pairs, awaited: HashSet::new(), made_for: Vec::new() }
    }

    fn with_default(self, default: Arc<CertifiedKey>) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The table of these files. A pair of this table that cannot be read any more stays.
    pub(in crate::server) fn succeeded_by(
        &self,
        files: &[CertificateFiles],
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let provider = aws_lc_rs::default_provider();
        let pair = |files| read(files, &provider, now).or_else(|error| self.pair(files).cloned().ok_or(error));
        Ok(Self::of(files.to_vec(), files.iter().map(pair).collect::<Result<_, _>>()?))
    }

    /// The table of these files, of which some may not be there yet; and why others are not used, or stay as they were.
    pub(in crate::server) fn reread(
        &self,
        files: Vec<CertificateFiles>,
        now: Timestamp,
    ) -> (Self, Vec<CertificateError>) {
        let provider = aws_lc_rs::default_provider();
        let (mut pairs, mut errors, mut awaited) = (Vec::new(), Vec::new(), HashSet::new());
        for files in &files {
            let before = self.pair(files);
            match read(files, &provider, now) {
                Ok(pair) => pairs.push(pair),
                Err(error) => {
                    if before.is_none() {
                        awaited.extend(Acme::host_of(files).map(Box::from));
                    }
                    if before.is_some() || !error.is_absence() {
                        errors.push(error);
                    }
                    pairs.extend(before.cloned());
                }
            }
        }
        (Self { awaited, ..Self::of(files, pairs) }, errors)
    }

    /// The table of the same files, read anew, and why some of them stay as they were.
    pub(in crate::server) fn renewed(&self, now: Timestamp) -> (Self, Vec<CertificateError>) {
        if self.files.is_empty() {
            return (self.clone(), Vec::new());
        }
        self.reread(self.files.clone(), now)
    }

    fn pair(&self, files: &CertificateFiles) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.files == *files)
    }

    /// The certificates, each with the time at which it ends.
    pub(in crate::server) fn expiries(&self) -> Vec<CertificateExpiry> {
        let self_made = self.default.iter().filter(|_| self.pairs.is_empty());
        let self_made = self_made.filter_map(|key| CertificateExpiry::of(key, "self-signed".to_owned(), None));
        self.pairs.iter().filter_map(Pair::expiry).chain(self_made).collect()
    }

    /// The names whose certificates are yet to be issued, in their order.
    pub(in crate::server) fn awaited(&self) -> Vec<String> {
        let mut names: Vec<_> = self.awaited.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    /// Whether it is one self-made certificate for these names.
    pub(in crate::server) fn is_made_for(&self, names: &[String]) -> bool {
        !self.made_for.is_empty() && self.made_for == names
    }

    /// The certificates for `name`, which is in lower case: exactly that one's, else those of its wildcard.
    pub(super) fn candidates(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(format!("*.{parent}").as_str())
        };
        self.by_name.get(name).or_else(wildcard).map_or(&[], Vec::as_slice)
    }

    /// What is shown to whoever asks for no name, or for one that there is no certificate for. For a name that awaits its own
    /// nothing is: nobody is to be taught to go on with a certificate that must not be believed.
    pub(super) fn default(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let is_awaited = name.is_some_and(|name| self.awaited.contains(name));
        self.default.as_ref().filter(|_| !is_awaited)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::clock::Clock;
    use crate::server::certificates::certificate_expiry;

    #[test]
    fn a_certificate_is_late_two_weeks_before_its_end_or_when_a_quarter_of_a_short_life_is_left() {
        const HOUR: u64 = 60 * 60;
        let (directory, now) = (tempfile::tempdir().unwrap(), Clock::system().now());
        let files =
            CertificateFiles { certificate: directory.path().join("site.pem"), key: directory.path().join("site.key") };
        for (life, left) in [(90 * 24, 14 * 24), (40 * 24, 10 * 24), (6 * 24, 36), (24, 6)] {
            let date = |at: Timestamp| date_time_ymd(1970, 1, 1) + Duration::from_secs(at.0);
            let mut params = CertificateParams::new(vec!["app.test".to_owned()]).unwrap();
            params.not_before = date(now);
            params.not_after = date(now.after(Duration::from_secs(life * HOUR)));
            let key = KeyPair::generate().unwrap();
            fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
            fs::write(&files.key, key.serialize_pem()).unwrap();
            let expiry = certificate_expiry(&files, now).unwrap().unwrap();
            let told = [expiry.at.since(now), expiry.at.since(expiry.late)].map(|time| time.as_secs() / HOUR);
            assert_eq!(told, [life, left]);
        }
    }
}
