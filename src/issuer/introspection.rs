//! Asking an issuer about an access token (RFC 7662), for those that say nothing by themselves.
//!
//! Anybody can present a text and so have a question asked. Only so many are under way at once, who finds no place waits for
//! a bounded time, and an issuer that is down is asked once a second. This module does *not* judge what the issuer says of a
//! token, and remembers no answer.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

use super::Issuer;
use super::form::Form;
use super::gate::{Gate, TurnedAway};
use super::news::News;
use super::remote::Unavailable;
use super::transport::{Answer, TransportError};
use crate::clock::Clock;
use crate::oauth::json::{self, NoObject};
use crate::oauth::{AccessToken, Claims, TokenErrorResponse};

/// An answer is a few claims.
const LIMIT: usize = 64 * 1024;
/// How long a question waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to ask again, where nobody says better.
const SHORTLY: Duration = Duration::from_secs(1);

/// Why nothing is known of a token. Nothing is said about the token itself: it may well be good.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectionError {
    /// Discovery names no introspection endpoint that may be dialled. The operator's, or the issuer's.
    #[error("the discovery document names no usable introspection endpoint")]
    NoEndpoint,
    /// Discovery could not be had. The issuer's, or the network's.
    #[error(transparent)]
    Discovery(#[from] Unavailable),
    /// No whole answer came. The issuer's, or the network's.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The issuer does not answer this client: its credentials are wrong, or it may not ask. The operator's.
    #[error("the issuer answered {0}: the client's credentials are wrong, or it may not introspect tokens")]
    Client(StatusCode),
    /// Neither a success nor a refusal of the client. The issuer's, or something in between.
    #[error("the issuer answered {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// How long the issuer asks to be left alone, if it does; five minutes at most.
        retry_after: Option<Duration>,
    },
    /// A success that is no JSON by its `Content-Type`. The issuer's, or the operator's who has named another endpoint.
    #[error("the answer is not JSON by its Content-Type")]
    ContentType,
    /// A success that is no JSON object. The issuer's.
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[from] NoObject),
    /// A success that does not say `true` or `false`. The issuer's.
    #[error("the answer does not say whether the token is active")]
    NoVerdict,
    /// Too many questions are under way, or the issuer is failing. The issuer's, or whoever presents so many tokens.
    #[error("too many tokens are being introspected, or the issuer is failing")]
    Busy(Duration),
}

impl IntrospectionError {
    /// When to ask again.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Status { retry_after: Some(retry_after), .. } | Self::Busy(retry_after) => *retry_after,
            Self::Discovery(unavailable) => unavailable.retry_after,
            Self::Status { retry_after: None, .. }
            | Self::NoEndpoint
            | Self::Transport(_)
            | Self::Client(_)
            | Self::ContentType
            | Self::Unreadable(_)
            | Self::NoVerdict => SHORTLY,
        }
    }

    const fn fault(&self) -> &'static str {
        match self {
            Self::NoEndpoint | Self::Client(_) | Self::ContentType => "operator",
            Self::Discovery(_)
            | Self::Transport(_)
            | Self::Status { .. }
            | Self::Unreadable(_)
            | Self::NoVerdict
            | Self::Busy(_) => "issuer",
        }
    }

    /// Whether it would be the same for any other token. Of a text that nobody has vouched for, an answer says nothing else:
    /// with a few that make the issuer stumble, anybody could keep everybody else out.
    fn is_general(&self) -> bool {
        match self {
            Self::Transport(error) => !matches!(error, TransportError::TooLarge { .. }),
            Self::NoEndpoint | Self::Discovery(_) | Self::Client(_) => true,
            Self::Status { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS,
            Self::ContentType | Self::Unreadable(_) | Self::NoVerdict | Self::Busy(_) => false,
        }
    }
}

/// What is known of asking one issuer.
#[derive(Debug)]
pub(super) struct Introspecting {
    gate: Gate,
    /// Trouble with whatever token.
    trouble: News,
    /// Trouble that may be one token's alone.
    oddity: News,
    clock: Clock,
}

impl Introspecting {
    pub(super) fn new(clock: Clock) -> Self {
        Self { gate: Gate::new(), trouble: News::new(clock.clone()), oddity: News::new(clock.clone()), clock }
    }

    /// Whether questions came to nothing, whatever the token, since the last one that was answered.
    pub(super) fn is_failing(&self) -> bool {
        self.trouble.is_going_on()
    }
}

impl Issuer {
    /// What the issuer says of an access token; `None`: that it is not active (RFC 7662 §2.2). To be called in background work
    /// ([`crate::tasks::Tasks`]), so that a client that goes away does not take the answer along from others.
    ///
    /// # Errors
    /// [`IntrospectionError`]: nothing is known. It has been logged.
    pub async fn introspect(&self, token: &AccessToken) -> Result<Option<Claims>, IntrospectionError> {
        let Introspecting { gate, trouble, oddity, clock } = &*self.introspecting;
        let pass = gate.enter(sleep(PATIENCE), || clock.instant()).await;
        let pass = pass.map_err(|TurnedAway(again_in)| IntrospectionError::Busy(again_in))?;
        let outcome = self.ask_about(token).await;
        let issuer = &self.config.name;
        match &outcome {
            Ok(_) => {
                pass.issuer_answered(clock.instant());
                if trouble.is_over() {
                    tracing::info!(%issuer, "tokens can be introspected again");
                }
            }
            Err(error) => {
                let kind = if error.is_general() {
                    pass.issuer_failed(clock.instant());
                    trouble
                } else {
                    pass.issuer_answered(clock.instant());
                    oddity
                };
                if kind.is_news() {
                    let cause = std::error::Error::source(error).map(tracing::field::display);
                    tracing::warn!(
                        fault = error.fault(), %issuer, %error, cause,
                        "a token cannot be introspected: requests with it are answered with 503"
                    );
                }
            }
        }
        outcome
    }

    async fn ask_about(&self, token: &AccessToken) -> Result<Option<Claims>, IntrospectionError> {
        let url = self.introspection_endpoint().await?;
        let form = Form::default().with("token", token.expose().as_bytes()).with("token_type_hint", b"access_token");
        let post = self.posted(form, url);
        said(self.transport.post(post, LIMIT).await?)
    }

    async fn introspection_endpoint(&self) -> Result<Url, IntrospectionError> {
        if let Some(url) = self.config.introspection_endpoint() {
            return Ok(url.clone());
        }
        let metadata = self.metadata.as_ref().ok_or(IntrospectionError::NoEndpoint)?;
        let (metadata, _) = metadata.obtain().await?;
        metadata.introspection_endpoint.clone().ok_or(IntrospectionError::NoEndpoint)
    }
}

/// What an answer says. Nothing but the literal `true` makes a token count.
fn said(answer: Answer) -> Result<Option<Claims>, IntrospectionError> {
    let (status, retry_after) = (answer.status, answer.retry_after());
    match status {
        StatusCode::OK => {}
        // Some introspect no token that says itself what it is, a JWT for others perhaps: it is none of theirs.
        StatusCode::BAD_REQUEST if is_of_unsupported_type(&answer) => return Ok(None),
        StatusCode::UNAUTHORIZED => return Err(IntrospectionError::Client(status)),
        // Without words of the issuer's own, it may be a firewall before it, which has taken the token for an attack.
        StatusCode::FORBIDDEN if error_of(&answer).is_some() => return Err(IntrospectionError::Client(status)),
        _ => return Err(IntrospectionError::Status { status, retry_after }),
    }
    if !answer.is_json() {
        return Err(IntrospectionError::ContentType);
    }
    let mut claims = json::object(&answer.body?)?;
    match claims.remove("active") {
        Some(Value::Bool(true)) => Ok(Some(Claims(claims))),
        Some(Value::Bool(false)) => Ok(None),
        Some(_) | None => Err(IntrospectionError::NoVerdict),
    }
}

/// The error of RFC 7009 §2.2.1.
fn is_of_unsupported_type(answer: &Answer) -> bool {
    error_of(answer).is_some_and(|error| error.error == "unsupported_token_type")
}

/// What the issuer says is wrong, in the form of RFC 6749 §5.2.
fn error_of(answer: &Answer) -> Option<TokenErrorResponse> {
    serde_json::from_slice(answer.body.as_ref().ok()?).ok()
}

#[cfg(test)]
mod tests;
