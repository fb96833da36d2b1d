//! The issuers: their keys by name, and what came of renewals there.

use serde::Serialize;

use crate::config::{self, KeySource};
use crate::gateway::{Gateway, IssuerHealth};

/// An issuer.
#[derive(Debug, Serialize)]
pub(super) struct Issuer {
    pub(super) name: String,
    /// What `iss` says.
    pub(super) iss: String,
    /// Where its keys come from.
    pub(super) source: &'static str,
    /// Whether its tokens can be verified by something that was had lately.
    pub(super) up: bool,
    /// How many seconds ago its keys were fetched; `None` where they are not, or were not yet.
    pub(super) key_set_age: Option<u64>,
    pub(super) keys: Vec<Key>,
    /// Why its keys could not be had when they were last fetched.
    pub(super) last_error: Option<String>,
    /// Sessions that it keeps, where it is Usher itself.
    pub(super) sessions: Option<usize>,
    pub(super) renewals: Vec<Renewals>,
    /// Requests that waited for a renewal which another one had begun.
    pub(super) joined: u64,
    /// Spent tokens that were presented after their grace.
    pub(super) reused: u64,
}

/// A key, by its name.
#[derive(Debug, Serialize)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) algorithms: Vec<&'static str>,
}

/// Renewals with one outcome.
#[derive(Debug, Serialize)]
pub(super) struct Renewals {
    pub(super) outcome: &'static str,
    pub(super) times: u64,
}

/// All of them, in the order of the configuration.
pub(super) fn of(gateway: &Gateway) -> Vec<Issuer> {
    let configured = &gateway.config().issuers;
    gateway.issuer_health().zip(configured).map(|(health, configured)| issuer(gateway, health, configured)).collect()
}

fn issuer(gateway: &Gateway, health: IssuerHealth, configured: &config::Issuer) -> Issuer {
    let counts = gateway.renewals().find(|(name, _)| *name == &*health.name).map(|(_, counts)| counts);
    let outcomes = counts.iter().flat_map(|counts| counts.outcomes());
    let algorithms = |key: &crate::issuer::KeyName| key.algorithms.iter().map(|algorithm| algorithm.name()).collect();
    Issuer {
        name: health.name.to_string(),
        iss: configured.issuer.clone(),
        source: source(configured),
        up: health.up,
        key_set_age: health.key_set_age.map(|age| age.as_secs()),
        keys: health.keys.iter().map(|key| Key { kid: key.kid.clone(), algorithms: algorithms(key) }).collect(),
        last_error: health.last_error,
        sessions: health.sessions,
        renewals: outcomes.map(|(outcome, times)| Renewals { outcome, times }).collect(),
        joined: counts.map_or(0, |counts| counts.joined.total()),
        reused: counts.map_or(0, |counts| counts.reused.total()),
    }
}

fn source(issuer: &config::Issuer) -> &'static str {
    if issuer.introspection().is_some() {
        return "introspection";
    }
    match &issuer.keys {
        KeySource::Discovery { .. } => "discovery",
        KeySource::JwksUrl(_) => "key set",
        KeySource::PublicKey(_) => "public key",
        KeySource::Hmac(_) => "shared secret",
        KeySource::Local(_) => "Usher itself",
    }
}
