//! What somebody should look after, in sentences: the first thing on the page.

use serde::Serialize;

use super::overview::Overview;
use crate::config::ClientCertificateWarning;

/// One thing.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    /// What it is.
    pub(super) what: String,
    /// The part of the page that has more of it.
    pub(super) part: &'static str,
}

impl Trouble {
    /// What keeps the owners of client certificates out, or will.
    pub(super) fn of_client_certificates(warning: &ClientCertificateWarning) -> Self {
        Self { what: warning.to_string(), part: "sites" }
    }
}

/// All that these parts tell of.
pub(super) fn of(overview: &Overview) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let mut add = |part, what: String| troubles.push(Trouble { what, part });
    if overview.configuration.last_failure.is_some() {
        add("configuration", "the last reload failed: what was in force before still is".to_owned());
    }
    for issuer in overview.issuers.iter().filter(|issuer| !issuer.up) {
        let what = match issuer.source {
            "introspection" => "cannot be asked about tokens",
            "Usher itself" => "cannot change what it keeps: nobody signs in with it, and the log tells why",
            _ => "gives out no keys",
        };
        add("issuers", format!("the issuer {} {what}", issuer.name));
    }
    if overview.store.up == Some(false) {
        add("sessions", "the shared store is out of reach".to_owned());
    }
    for address in overview.upstreams.iter().filter(|address| !address.up) {
        let what =
            if address.state == "ill" { "fails its checks" } else { "is passed over for what became of requests" };
        add("upstreams", format!("{} {what}", address.at));
    }
    for problem in overview.configuration.stale_certificates.iter() {
        add("certificates", format!("could not be read anew, and stays as it was: {problem}"));
    }
    for host in &overview.awaited_certificates {
        add("certificates", format!("the certificate of {host} is yet to be issued: nobody can connect to it"));
    }
    for certificate in overview.certificates.iter().filter(|certificate| certificate.is_late) {
        let when = match certificate.days_left {
            0 if certificate.ends_at <= overview.now => "has ended".to_owned(),
            0 => "ends within a day".to_owned(),
            1 => "ends in a day".to_owned(),
            days => format!("ends in {days} days"),
        };
        add("certificates", format!("the certificate of {} {when}", certificate.name));
    }
    troubles
}
