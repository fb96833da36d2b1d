//! What an issuer answers at this moment, for whoever looks for what is wrong with it.
//!
//! It is asked over the connection that serving uses, and what it says is read by the same code. Nothing is kept of that, tried
//! again or waited for in the background, and nothing is sent that could change anything: every request is a `GET` without
//! credentials. What to do about it is not known here.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use url::Url;

use super::discovery::{self, Metadata};
use super::document::{self, Document, FetchError};
use super::jwks::KeySet;
use super::transport::TransportError;
use super::{Issuer, KeyRing};
use crate::clock::{Clock, Timestamp};
use crate::config::{KeySource, Refresh};
use crate::oauth::Algorithm;

/// Of what answers at a token endpoint only the status matters.
const LONGEST_PAGE: usize = 64 * 1024;

/// What an issuer answered.
#[derive(Debug, Default)]
pub struct Examination {
    /// The discovery document, and what it lacks of what is needed here. `None`: nothing is discovered.
    pub discovery: Option<Result<Vec<&'static str>, FetchError>>,
    /// The key set. `None`: none is published, or there is no knowing where.
    pub keys: Option<Result<PublishedKeys, FetchError>>,
    /// How far its clock is ahead of the one here, in seconds; negative when it is behind. `None`: it does not say, or was not
    /// asked.
    pub clock_ahead: Option<i64>,
    /// What a `GET` at the token endpoint was answered. `None`: there is none.
    pub token_endpoint: Option<Answered>,
    /// The same where tokens are introspected.
    pub introspection_endpoint: Option<Answered>,
}

/// What a `GET` was answered where it is not what is asked for: no more than that something is there.
pub type Answered = (Url, Result<StatusCode, TransportError>);

/// The keys of a published set that tokens can be verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKeys {
    /// How many.
    pub usable: usize,
    /// The configured algorithms that none of them is for.
    pub without_key: Vec<Algorithm>,
}

impl Issuer {
    /// Asks for everything that serving would ask for, where people sign in or programs alone come. The caller bounds that in
    /// time; each request has the bound of the configuration.
    pub async fn examine(&self, for_people: bool) -> Examination {
        let mut found = Examination::default();
        let mut token_endpoint = match &self.config.refresh {
            Some(Refresh::TokenEndpoint(url)) => Some(url.clone()),
            Some(Refresh::Exchange(exchange)) => Some(exchange.url.clone()),
            Some(Refresh::Discovered) | None => None,
        };
        let mut introspection_endpoint = self.config.introspection_endpoint().cloned();
        let jwks_url = match &self.config.keys {
            _ if introspection_endpoint.is_some() && !for_people => None,
            KeySource::Discovery { base } => match self.discover(base, &mut found).await {
                Ok(metadata) => {
                    found.discovery = Some(Ok(self.lacking(&metadata)));
                    token_endpoint = token_endpoint.or(metadata.token_endpoint);
                    let discovered = metadata.introspection_endpoint.filter(|_| self.config.introspection().is_some());
                    introspection_endpoint = introspection_endpoint.or(discovered);
                    Some(metadata.jwks_uri)
                }
                Err(error) => {
                    found.discovery = Some(Err(error));
                    None
                }
            },
            KeySource::JwksUrl(url) => Some(url.clone()),
            KeySource::PublicKey(_) | KeySource::Hmac(_) | KeySource::Local(_) => None,
        };
        if let (Some(url), KeyRing::Published(_)) = (jwks_url, &self.keys) {
            found.keys = Some(self.fetch_keys(url, &mut found).await);
        }
        found.token_endpoint = self.look(token_endpoint).await;
        found.introspection_endpoint = self.look(introspection_endpoint).await;
        found
    }

    async fn look(&self, url: Option<Url>) -> Option<Answered> {
        let url = url?;
        let answer = self.transport.get(url.clone(), LONGEST_PAGE).await;
        Some((url, answer.map(|answer| answer.status)))
    }

    async fn discover(&self, base: &Url, found: &mut Examination) -> Result<Metadata, FetchError> {
        let document = self.fetch(discovery::url(base), found).await?;
        Metadata::parse(&document.bytes, &self.config.issuer, base)
    }

    async fn fetch_keys(&self, url: Url, found: &mut Examination) -> Result<PublishedKeys, FetchError> {
        let document = self.fetch(url, found).await?;
        let algorithms = &self.config.algorithms;
        let set = KeySet::parse(&document.bytes, &self.config.name, algorithms, None)?;
        let has_none = |algorithm: &&Algorithm| !set.keys().iter().any(|key| key.fits(**algorithm));
        let without_key = algorithms.iter().filter(has_none).copied().collect();
        Ok(PublishedKeys { usable: set.keys().len(), without_key })
    }

    async fn fetch(&self, url: Url, found: &mut Examination) -> Result<Document, FetchError> {
        let asked_at = self.clock.now();
        let document = document::fetch(&self.transport, url).await?;
        found.clock_ahead = document.sent_at.map(|sent_at| ahead(sent_at, asked_at, &self.clock)).or(found.clock_ahead);
        Ok(document)
    }

    /// What the configuration relies on and the discovery document does not name.
    fn lacking(&self, metadata: &Metadata) -> Vec<&'static str> {
        let signs_in = matches!(self.config.sign_in(), Some(crate::config::SignIn::AuthorizationServer(_)));
        let renews = matches!(self.config.refresh, Some(Refresh::Discovered));
        let introspects = self.config.introspection().is_some() && self.config.introspection_endpoint().is_none();
        [
            ("authorization_endpoint", signs_in && metadata.authorization_endpoint.is_none()),
            ("token_endpoint", (signs_in || renews) && metadata.token_endpoint.is_none()),
            ("introspection_endpoint", introspects && metadata.introspection_endpoint.is_none()),
        ]
        .into_iter()
        .filter_map(|(endpoint, lacks)| lacks.then_some(endpoint))
        .collect()
    }
}

/// How far a clock is ahead that showed `there` at some moment between `asked_at` and now. What is shown is cut to seconds.
fn ahead(there: SystemTime, asked_at: Timestamp, clock: &Clock) -> i64 {
    let there = there.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let seconds = |timestamp: Timestamp| timestamp.0;
    let (earliest, latest) = (seconds(asked_at), seconds(clock.now()));
    let apart = |one: u64, other: u64| i64::try_from(one.saturating_sub(other)).unwrap_or(i64::MAX);
    if there < earliest { -apart(earliest, there) } else { apart(there, latest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_apart_only_by_what_the_time_of_the_exchange_does_not_explain() {
        let clock = Clock::stopped();
        let now = clock.now();
        let at =
            |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(now.0.checked_add_signed(seconds).unwrap());
        let asked_at = Timestamp(now.0 - 3);
        for (there, apart) in [(-3, 0), (0, 0), (-1, 0), (7, 7), (-10, -7)] {
            assert_eq!(ahead(at(there), asked_at, &clock), apart, "{there}");
        }
        assert!(ahead(SystemTime::UNIX_EPOCH, asked_at, &clock) < -1_000_000);
    }
}
