//! What is on this machine: what looks wrong about the configuration, certificates, secrets, the state directory.

use std::io;

use super::finding::{Finding, Verdict, told};
use crate::clock::Timestamp;
use crate::config::{CertificateFiles, ClientCertificateWarning, Config, Cookies, Note, Tls};
use crate::server::CertificateWarning;
use crate::{gateway, server, state};

const DAY: u64 = 24 * 60 * 60;
/// What notes about the session secrets are about.
const SECRET: &str = "session.secret";

/// What `usher check` says of it, and the secrets.
pub(super) fn configuration(config: &Config, notes: &[Note]) -> Vec<Finding> {
    let (secret, others): (Vec<_>, Vec<_>) = notes.iter().partition(|note| note.path.starts_with(SECRET));
    let routes: usize = config.sites.iter().map(|site| site.routes.len()).sum();
    let mut findings =
        vec![Finding::ok("configuration", "", format!("{} site(s), {routes} route(s)", config.sites.len()))];
    findings.extend(others.into_iter().map(|note| {
        // What to do about it is in the message.
        let verdict = if note.is_warning { Verdict::Warning } else { Verdict::Note };
        Finding { verdict, ..Finding::note("configuration", &note.path, &note.message) }
    }));
    if let Err(error) = gateway::check_pages(config) {
        let remedy = "correct the template, or take it out of the directory";
        findings.push(Finding::failed("pages", "", told(&error), remedy));
    }
    findings.extend(secrets(config, &secret));
    findings
}

fn secrets(config: &Config, notes: &[&Note]) -> Vec<Finding> {
    let remedy = "make one with: openssl rand -base64 48, and name its file as session.secret_file";
    let warned = notes.iter().map(|note| Finding::warning(SECRET, &note.path, &note.message, remedy));
    match (config.session.secrets.len(), &config.session.cookies) {
        _ if !notes.is_empty() => warned.collect(),
        (_, Cookies::Raw { .. }) => {
            vec![Finding::ok(SECRET, "", "seals no cookie: those of an existing service are raw")]
        }
        (1, _) => vec![Finding::ok(SECRET, "", "one, which seals and opens")],
        (several, _) => vec![Finding::ok(SECRET, "", format!("{several}: the first seals, all of them open"))],
    }
}

/// The certificates that clients are shown.
pub(super) async fn certificates(config: &Config, now: Timestamp) -> Vec<Finding> {
    if matches!(config.tls, Tls::SelfSigned) {
        return vec![Finding::note("certificate", "", "self-made, for development: browsers warn of it")];
    }
    let config = config.clone();
    // A file system that does not answer must hold up nothing but this.
    let reading = tokio::task::spawn_blocking(move || {
        let Tls::Acme(acme) = &config.tls else { return of_files(&config, &config.tls.files(), now) };
        let is_there = |files: &CertificateFiles| acme.beside.contains(files) || files.certificate.exists();
        let (there, awaited): (Vec<_>, Vec<_>) = acme.certificates().into_iter().partition(is_there);
        let awaited = awaited.iter().map(|files| {
            Finding::note(
                "certificate",
                files.certificate.display().to_string(),
                "has yet to be issued, while usher serves",
            )
        });
        of_files(&config, &there, now).into_iter().chain(awaited).collect()
    });
    reading.await.unwrap_or_default()
}

fn of_files(config: &Config, files: &[CertificateFiles], now: Timestamp) -> Vec<Finding> {
    let warnings = server::certificate_warnings(config, now).unwrap_or_default();
    let one = |files: &CertificateFiles| {
        let of = files.certificate.display().to_string();
        match server::certificate_expiry(files, now) {
            Ok(expiry) => {
                let days = expiry.as_ref().map(|expiry| expiry.at.since(now).as_secs() / DAY).unwrap_or_default();
                let found = format!("ends in {days} day(s)");
                if expiry.is_none_or(|expiry| now < expiry.late) {
                    return Finding::ok("certificate", of, found);
                }
                let is_ordered = matches!(&config.tls, Tls::Acme(acme) if !acme.beside.contains(files));
                let remedy = if is_ordered {
                    "see in the log of usher serve why it is not renewed"
                } else {
                    "renew it: a new one is read within 5 seconds"
                };
                Finding::warning("certificate", of, found, remedy)
            }
            Err(error) => {
                let remedy = "put a certificate with its key there: at start it is refused, and a gateway that runs keeps \
                              the one it has";
                Finding::failed("certificate", of, told(&error), remedy)
            }
        }
    };
    let about_names = warnings.iter().filter_map(|warning| match warning {
        CertificateWarning::ExpiresSoon { .. } => None,
        CertificateWarning::ForNoSite { path, .. } => Some((warning, path.display().to_string(), "take it out")),
        CertificateWarning::NotCovered { host } => {
            Some((warning, host.clone(), "add a certificate with that name to tls.certificates"))
        }
    });
    let names =
        about_names.map(|(warning, of, remedy)| Finding::warning("certificate.names", of, warning.to_string(), remedy));
    files.iter().map(one).chain(names).collect()
}

/// The certificates that clients show.
pub(super) fn client_certificates(config: &Config, now: Timestamp) -> Vec<Finding> {
    let found = |warning: ClientCertificateWarning| {
        Finding::warning("client_certificates", warning.host().to_string(), warning.to_string(), warning.remedy())
    };
    config.client_certificate_warnings(now).into_iter().map(found).collect()
}

/// Whether what must survive a restart can be kept.
pub(super) async fn state_directory(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "state_directory";
    let Some(directory) = config.state_directory.clone() else {
        return vec![Finding::note(CHECK, "", "none: what a restart forgets, the README tells")];
    };
    let of = directory.display().to_string();
    let config = config.clone();
    let looking = move || state::probe(&directory).map(|()| gateway::examine_state(&config));
    match tokio::task::spawn_blocking(looking).await.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(unusable) if unusable.is_empty() => {
            vec![Finding::ok(CHECK, of, "can be written to by this user, and what is there can be gone on with")]
        }
        Ok(unusable) => unusable.iter().map(|(place, error)| {
            let remedy = "usher serve would not start: give it to the user that usher runs as (chown -R), or put back a copy; \
                          moved away, it is made anew, and what it held is forgotten";
            Finding::failed(CHECK, place.display().to_string(), told(&**error), remedy)
        }).collect(),
        Err(error) => {
            let remedy = "give it to the user that usher runs as, with room on its disk";
            vec![Finding::failed(CHECK, of, format!("cannot be written to: {error}"), remedy)]
        }
    }
}
