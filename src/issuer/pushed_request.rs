//! Pushing an authorization request to the server before the browser goes there (RFC 9126), where the server offers that: the
//! browser then carries a reference, which nobody on the way can change.
//!
//! Anybody can make Usher do this by opening a page, so only so many are under way at once, and not each is worth a line of the
//! log. A server that does not insist gets the request by the browser when there are more, or when it cannot take a pushed one
//! now. What it has refused is refused: it would say no to the same request in a URL, or worse, take it.

use http::StatusCode;
use serde::Deserialize;
use tokio::sync::Semaphore;
use url::Url;

use super::Issuer;
use super::authorization_code::AuthorizationError;
use super::form::Form;
use super::news::News;
use super::transport::TransportError;
use crate::clock::Clock;
use crate::config::{Client, ClientAuthentication};

/// Requests under way at one server.
const MOST: usize = 16;
/// An answer is one reference.
const LIMIT: usize = 64 * 1024;
/// Longer than any reference; the browser carries it in a URL.
const LONGEST: usize = 2_000;

/// Why a request was not pushed. The issuer's, unless it is said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// No whole answer came. The issuer's, or the network's.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// It was refused. The operator's most likely: the client's credentials or parameters.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    /// A success without a usable `request_uri`.
    #[error("the answer holds no reference to the request")]
    Garbage,
    /// Too many are under way. Whoever opens so many pages.
    #[error("too many requests are being pushed")]
    Busy,
    /// The server wants requests pushed, and does not say where.
    #[error("the discovery document does not say where to push requests to")]
    NoEndpoint,
}

impl PushError {
    /// Whether the server may well take the next one: it has not looked at this one.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Busy => true,
            Self::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Garbage | Self::NoEndpoint => false,
        }
    }
}

#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
}

/// What is known of pushing to one server.
#[derive(Debug)]
pub(super) struct Pushing {
    permits: Semaphore,
    /// A server that takes none takes none of all.
    not_taken: News,
}

impl Pushing {
    pub(super) fn new(clock: Clock) -> Self {
        Self { permits: Semaphore::new(MOST), not_taken: News::new(clock) }
    }
}

impl Issuer {
    /// The reference under which the server knows the request; `None` when it is the browser that carries it.
    pub(super) async fn push(
        &self,
        endpoint: Option<Url>,
        must: bool,
        client: &Client,
        parameters: &[(&str, &str)],
    ) -> Result<Option<String>, AuthorizationError> {
        let outcome = match endpoint {
            Some(endpoint) => self.push_to(endpoint, client, parameters).await,
            None if must => Err(PushError::NoEndpoint),
            None => return Ok(None),
        };
        match outcome {
            Ok(reference) => Ok(Some(reference)),
            Err(error) if must || !error.is_passing() => Err(AuthorizationError::NotPushed(error)),
            Err(error) => {
                if self.pushing.not_taken.is_news() {
                    tracing::warn!(
                        fault = "issuer",
                        issuer = %self.config.name,
                        %error,
                        "the issuer has not taken a pushed authorization request: the browser carries it"
                    );
                }
                Ok(None)
            }
        }
    }

    async fn push_to(&self, endpoint: Url, client: &Client, parameters: &[(&str, &str)]) -> Result<String, PushError> {
        let _permit = self.pushing.permits.try_acquire().map_err(|_| PushError::Busy)?;
        // Where the credentials name the client, its name must not stand in the form twice.
        let is_named = !matches!(client.authentication, ClientAuthentication::Basic(_));
        let parameters = parameters.iter().filter(|(name, _)| !(is_named && *name == "client_id"));
        let form = parameters.fold(Form::default(), |form, (name, value)| form.with(name, value.as_bytes()));
        let post = self.posted(form, endpoint);
        let answer = self.transport.post(post, LIMIT).await?;
        if !answer.status.is_success() {
            return Err(PushError::Status(answer.status));
        }
        let pushed: Pushed = serde_json::from_slice(&answer.body?).map_err(|_| PushError::Garbage)?;
        Some(pushed.request_uri).filter(|uri| !uri.is_empty() && uri.len() <= LONGEST).ok_or(PushError::Garbage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_has_looked_at_and_refused_is_not_passing() {
        for (status, passes) in [(503, true), (500, true), (429, true), (400, false), (401, false), (404, false)] {
            assert_eq!(PushError::Status(StatusCode::from_u16(status).unwrap()).is_passing(), passes, "{status}");
        }
        assert!(
            PushError::Busy.is_passing() && !PushError::Garbage.is_passing() && !PushError::NoEndpoint.is_passing()
        );
    }
}
