//! Everything that the status page shows, as data: for the page, and for programs as JSON. Times are seconds since 1970,
//! durations seconds.

use std::sync::Arc;

use serde::Serialize;

use super::issuers::{self, Issuer};
use super::sites::{self, Site, Unrouted};
use super::troubles::{self, Trouble};
use super::upstreams::{self, Address};
use crate::admin::readings::{Readings, Reloads};
use crate::clock::Timestamp;
use crate::config::SessionStore;
use crate::gateway::{Readiness, Refusal};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    /// Which Usher this is.
    pub(super) version: &'static str,
    /// When it was asked.
    pub(super) now: Timestamp,
    pub(super) state: State,
    /// What somebody should look after.
    pub(super) troubles: Vec<Trouble>,
    pub(super) configuration: Configuration,
    pub(super) refusals: Vec<Arc<Refusal>>,
    pub(super) sites: Vec<Site>,
    /// What fell under no route.
    pub(super) unrouted: Vec<Unrouted>,
    pub(super) upstreams: Vec<Address>,
    pub(super) issuers: Vec<Issuer>,
    pub(super) certificates: Vec<Certificate>,
    /// The hosts whose certificates are yet to be issued.
    pub(super) awaited_certificates: Vec<String>,
    pub(super) store: Store,
    pub(super) counts: Counts,
}

/// In one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Nothing is wrong that it knows of.
    Well,
    /// It serves, and something wants looking after.
    Troubled,
    /// It is about to end.
    Draining,
}

/// The configuration in force, and what became of others.
#[derive(Debug, Serialize)]
pub(super) struct Configuration {
    /// The same on instances with the same configuration. Secrets do not count.
    pub(super) version: Arc<str>,
    pub(super) in_force_since: Timestamp,
    pub(super) reloads: u64,
    pub(super) failed_reloads: u64,
    /// Why the last reload failed; `None` when it did not.
    pub(super) last_failure: Option<Failure>,
    /// Why certificates that are in use could not be read anew.
    pub(super) stale_certificates: Arc<Vec<String>>,
}

/// A configuration that was not put in force.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) at: Timestamp,
    pub(super) problems: Vec<String>,
}

/// A certificate that clients are shown.
#[derive(Debug, Serialize)]
pub(super) struct Certificate {
    pub(super) name: String,
    /// Where it was read from; `None` of a self-made one.
    pub(super) file: Option<String>,
    pub(super) ends_at: Timestamp,
    /// Whole days; none when it has ended.
    pub(super) days_left: u64,
    /// Whether it should have been renewed by now.
    pub(super) is_late: bool,
}

/// Where what must be remembered of sessions is.
#[derive(Debug, Serialize)]
pub(super) struct Store {
    /// `memory`, or `redis`, which instances share.
    pub(super) kind: &'static str,
    /// Whether a shared one can be reached.
    pub(super) up: Option<bool>,
}

/// How many there are at the moment.
#[derive(Debug, Serialize)]
pub(super) struct Counts {
    pub(super) connections: usize,
    pub(super) tunnels: u64,
    pub(super) answers: u64,
    pub(super) uploads: u64,
    /// In the memory of this process; `None` where they are in cookies or in a shared store.
    pub(super) stored_sessions: Option<usize>,
    /// Of this process; `None` where they are in a shared store.
    pub(super) renewal_records: Option<usize>,
}

impl Overview {
    /// What these readings say.
    pub(super) fn of(readings: &Readings, readiness: &Readiness) -> Self {
        let Readings { now, gateway, connections, reloads, version, .. } = readings;
        let (counts, config) = (gateway.counts(), gateway.config());
        let mut overview = Self {
            version: env!("CARGO_PKG_VERSION"),
            now: *now,
            state: State::Well,
            troubles: Vec::new(),
            configuration: Configuration::of(Arc::clone(version), reloads),
            refusals: gateway.refusals(),
            sites: sites::of(gateway),
            unrouted: sites::unrouted(gateway),
            upstreams: upstreams::of(gateway),
            issuers: issuers::of(gateway),
            certificates: certificates(readings),
            awaited_certificates: readings.awaited_certificates.clone(),
            store: Store {
                kind: match config.session.store {
                    SessionStore::Memory => "memory",
                    SessionStore::Redis(_) => "redis",
                },
                up: gateway.is_store_up(),
            },
            counts: Counts {
                connections: *connections,
                tunnels: counts.tunnels.now(),
                answers: counts.answers.now(),
                uploads: counts.uploads.now(),
                stored_sessions: gateway.stored_sessions(),
                renewal_records: gateway.renewal_records(),
            },
        };
        overview.troubles = troubles::of(&overview);
        overview.troubles.extend(config.client_certificate_warnings(*now).iter().map(Trouble::of_client_certificates));
        overview.state = match (readiness.is_ready(), overview.troubles.is_empty()) {
            (false, _) => State::Draining,
            (true, true) => State::Well,
            (true, false) => State::Troubled,
        };
        overview
    }
}

impl Configuration {
    fn of(version: Arc<str>, reloads: &Reloads) -> Self {
        let failure = reloads.last_failure.as_ref();
        Self {
            version,
            in_force_since: reloads.last_success_at,
            reloads: reloads.successful,
            failed_reloads: reloads.failed,
            stale_certificates: Arc::clone(&reloads.stale_certificates),
            last_failure: failure.map(|failure| Failure { at: failure.at, problems: failure.problems.clone() }),
        }
    }
}

fn certificates(readings: &Readings) -> Vec<Certificate> {
    let certificate = |certificate: &crate::admin::Certificate| Certificate {
        name: certificate.name.clone(),
        file: certificate.file.as_ref().map(|file| file.display().to_string()),
        ends_at: certificate.expires_at,
        days_left: certificate.expires_at.since(readings.now).as_secs() / DAY,
        is_late: certificate.late_at <= readings.now,
    };
    readings.certificates.iter().map(certificate).collect()
}
