//! A self-made certificate, for development: for the hosts of the sites, `localhost` and the loopback addresses.
//!
//! With a state directory it is kept there, so that a browser's exception outlives a restart, and made anew when the
//! hosts change or its end is near. Its one file holds the certificate, the key and what they were made for.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;

use super::certificates::{CertificateError, CertificateTable, parse_chain, parse_key};
use crate::clock::Timestamp;
use crate::config::{HostPattern, Site};
use crate::state;

const FILE: &str = "self-signed.pem";

/// Within what browsers accept of a certificate that a person has chosen to trust.
const LIFETIME: Duration = Duration::from_secs(397 * DAY);
const RENEW_BEFORE_END: Duration = Duration::from_secs(30 * DAY);
/// The certificate is valid this long already, for clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(DAY);
const DAY: u64 = 24 * 60 * 60;

/// The kept certificate when there is a good one in `directory`, else a new one.
pub(super) fn load(
    sites: &[Site],
    directory: Option<&Path>,
    now: Timestamp,
) -> Result<CertificateTable, CertificateError> {
    let names = names(sites);
    let Some(directory) = directory else {
        return parse(make(&names, now)?.as_bytes(), Path::new(FILE), names);
    };
    let path = directory.join(FILE);
    if let Ok(kept) = fs::read_to_string(&path)
        && is_good(&kept, &names, now)
        && let Ok(table) = parse(kept.as_bytes(), &path, names.clone())
    {
        return Ok(table);
    }
    let made = make(&names, now)?;
    state::keep(directory, FILE, made.as_bytes())
        .map_err(|source| CertificateError::Keep { path: path.clone(), source })?;
    parse(made.as_bytes(), &path, names)
}

/// The names that the certificate of these sites is for.
pub(super) fn names(sites: &[Site]) -> Vec<String> {
    let hosts = sites.iter().map(|site| match &site.host {
        HostPattern::Exact(host) => host.trim_matches(['[', ']']).to_owned(),
        HostPattern::OneLabel(suffix) => format!("*{suffix}"),
    });
    let mut names: Vec<_> = hosts.chain(["localhost", "127.0.0.1", "::1"].map(str::to_owned)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The certificate and the key as PEM, below a line that says what they were made for (RFC 7468 §5.2 allows it).
fn make(names: &[String], now: Timestamp) -> Result<String, CertificateError> {
    let mut params = CertificateParams::new(names).map_err(CertificateError::SelfSigned)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Usher, self-signed for development");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.0).saturating_sub(BACKDATED);
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.0) + LIFETIME;
    let key = KeyPair::generate().map_err(CertificateError::SelfSigned)?;
    let certificate = params.self_signed(&key).map_err(CertificateError::SelfSigned)?;

    let mut text = description(names, now.after(LIFETIME));
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{}{}", certificate.pem(), key.serialize_pem());
    Ok(text)
}

fn description(names: &[String], end: Timestamp) -> String {
    format!("Made by Usher until {} for {}", end.0, names.join(" "))
}

fn is_good(kept: &str, names: &[String], now: Timestamp) -> bool {
    let end = kept.strip_prefix("Made by Usher until ").and_then(|rest| rest.split_once(' '));
    let Some(end) = end.and_then(|(end, _)| end.parse().ok()).map(Timestamp) else { return false };
    kept.lines().next() == Some(&description(names, end)) && end.since(now) > RENEW_BEFORE_END
}

fn parse(text: &[u8], path: &Path, names: Vec<String>) -> Result<CertificateTable, CertificateError> {
    let (chain, key) = (parse_chain(text, path)?, parse_key(text, path)?);
    let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    let unusable = |source| CertificateError::Unusable { certificate: path.to_owned(), key: path.to_owned(), source };
    Ok(CertificateTable::single(key.map_err(unusable)?, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn site(host: HostPattern) -> Site {
        Site { host, routes: Vec::new() }
    }

    fn kept(directory: &Path) -> String {
        fs::read_to_string(directory.join(FILE)).unwrap()
    }

    #[test]
    fn it_is_for_the_hosts_of_the_sites_and_for_this_machine() {
        let sites = [
            site(HostPattern::Exact("app.test".into())),
            site(HostPattern::OneLabel(".corp.test".into())),
            site(HostPattern::Exact("[2001:db8::1]".into())),
        ];
        assert_eq!(names(&sites), ["*.corp.test", "127.0.0.1", "2001:db8::1", "::1", "app.test", "localhost"]);
        load(&sites, None, NOW).unwrap();
    }

    #[test]
    fn it_tells_when_it_ends() {
        let [expiry] = load(&[], None, NOW).unwrap().expiries().try_into().unwrap();
        assert_eq!((expiry.name.as_str(), expiry.file, expiry.at), ("self-signed", None, NOW.after(LIFETIME)));
    }

    #[test]
    fn it_is_kept_until_the_hosts_change_or_its_end_is_near() {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("usher");
        let sites = [site(HostPattern::Exact("app.test".into()))];
        load(&sites, Some(&directory), NOW).unwrap();
        let first = kept(&directory);

        load(&sites, Some(&directory), NOW.after(LIFETIME / 2)).unwrap();
        assert_eq!(kept(&directory), first);

        load(&sites, Some(&directory), NOW.after(LIFETIME)).unwrap();
        let renewed = kept(&directory);
        assert_ne!(renewed, first);

        load(&[site(HostPattern::Exact("other.test".into()))], Some(&directory), NOW.after(LIFETIME)).unwrap();
        assert_ne!(kept(&directory), renewed);
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let state = tempfile::tempdir().unwrap();
        load(&[], Some(state.path()), NOW).unwrap();
        let (description, _) = kept(state.path()).split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        fs::write(state.path().join(FILE), format!("{description}\nhalf of it")).unwrap();
        load(&[], Some(state.path()), NOW).unwrap();
        assert!(kept(state.path()).contains("PRIVATE KEY"));
    }
}
