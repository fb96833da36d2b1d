//! Exchanging a refresh token for new tokens: RFC 6749 §6, and the JSON or form exchange of an existing token service.
//!
//! One call sends the token at most once and says how far it got. Whether it is sent again, and what happens to the
//! session, is the refresh protocol's to decide, not this module's.

mod answer;

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use url::Url;

use self::answer::Dialect;
use super::Issuer;
use super::form::Form;
use super::local::{ExchangeError, IssueError};
use super::remote::Unavailable;
use super::transport::{Answer, Post, TransportError};
use crate::config::{ExchangeFormat, IdentityToken, Refresh, RefreshExchange};
use crate::oauth::{AccessToken, RefreshToken, TokenResponse};

/// An answer holds two or three tokens of a few KiB; nothing longer than this is read.
pub(super) const LIMIT: usize = 256 * 1024;

/// Why a refresh token could not be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The issuer has said that the refresh token is no longer good: the one answer that ends a session (law 7). For an
    /// existing token service that is not OAuth, status 401 and 403 say the same. The client's.
    #[error("the issuer says that the refresh token is no longer good")]
    InvalidGrant,
    /// Everything else. The issuer's, the network's or the operator's; the session stays.
    #[error("the issuer gave no new tokens")]
    Unavailable {
        /// What went wrong.
        #[source]
        cause: RefreshFailure,
        /// How far the refresh token got.
        sent: Sent,
        /// How long the issuer asks to be left alone, if it does; five minutes at most.
        retry_after: Option<Duration>,
    },
}

/// How far a refresh token got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It never left: no connection, or no endpoint to send it to.
    Never,
    /// The issuer answered something that is neither new tokens nor `invalid_grant`.
    Answered,
    /// It left and no whole answer came: the issuer may have rotated it.
    Unknown,
}

/// What an operator looks at where an error is about the client, whatever was asked.
pub(super) fn of_client(code: &str) -> Option<&'static str> {
    matches!(code, "invalid_client" | "unauthorized_client").then_some("see client_id, and client_secret or client_key")
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum RefreshFailure {
    /// The configuration knows no way to refresh this issuer's tokens. The operator's.
    #[error("no way to refresh the tokens of this issuer is configured")]
    NotConfigured,
    /// Discovery names no token endpoint that may be dialled. The issuer's, or the operator's.
    #[error("the discovery document names no usable token endpoint")]
    NoEndpoint,
    /// Discovery could not be had. The issuer's, or the network's.
    #[error(transparent)]
    Discovery(#[from] Unavailable),
    /// No whole answer came. The issuer's, or the network's.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An OAuth error other than `invalid_grant` (RFC 6749 §5.2). `invalid_client` is the operator's.
    #[error(
        "the issuer answered {status} with the error {code:?}{}",
        of_client(code).map(|see| format!(": {see}")).unwrap_or_default()
    )]
    Refused {
        /// The status.
        status: StatusCode,
        /// The code; other than `invalid_grant`, it is only for people.
        code: String,
    },
    /// Neither a success nor an error that is known. The issuer's, or something in between.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    /// A success that holds no tokens: a page, another media type, another `token_type`. The issuer's.
    #[error("the answer is a success without new tokens: {0}")]
    Garbage(&'static str),
    /// It was not sent: too many requests are under way, or the issuer is failing. The issuer's, or whoever comes so often.
    #[error("too many requests are under way to the issuer, or it is failing")]
    Busy,
    /// The local issuer cannot give out tokens. Ours, or the disk's.
    #[error("the local issuer gave out no tokens")]
    Local(#[source] IssueError),
}

impl RefreshFailure {
    /// Whose fault it is, for the log.
    #[must_use]
    pub const fn fault(&self) -> &'static str {
        match self {
            Self::NotConfigured | Self::NoEndpoint | Self::Refused { .. } => "operator",
            Self::Discovery(_) | Self::Transport(_) | Self::Status(_) | Self::Garbage(_) | Self::Busy => "issuer",
            Self::Local(_) => "us",
        }
    }
}

/// The refresh token has not been spent: what is not recorded has not happened.
impl From<ExchangeError> for RefreshError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Rejected => Self::InvalidGrant,
            ExchangeError::Unavailable(error) => {
                Self::Unavailable { cause: RefreshFailure::Local(error), sent: Sent::Answered, retry_after: None }
            }
        }
    }
}

impl RefreshError {
    /// The same without an error code that repeats the refresh token, in a service that has no better word for it (law 8).
    fn without(self, token: &str) -> Self {
        match self {
            Self::Unavailable { cause: RefreshFailure::Refused { status, code }, sent, retry_after }
                if code.contains(token) =>
            {
                Self::Unavailable { cause: RefreshFailure::Status(status), sent, retry_after }
            }
            other => other,
        }
    }
}

impl TokenResponse {
    /// Whichever token says who somebody is. `None` where that is the ID token and there is none: a renewal may come without
    /// it (OIDC Core §12.2). The rest of the answer counts all the same: the refresh token that was sent is spent.
    #[must_use]
    pub const fn identity_token(&self, identity: &IdentityToken) -> Option<&AccessToken> {
        match identity {
            IdentityToken::AccessToken | IdentityToken::Introspected(_) => Some(&self.access_token),
            IdentityToken::IdToken => self.id_token.as_ref(),
        }
    }
}

/// What an answer of an OAuth token endpoint means, whatever it was asked with. Of an error, nothing is kept that repeats one
/// of the `secrets` (law 8).
pub(super) fn judge(answer: Answer, secrets: &[&str]) -> Result<TokenResponse, RefreshError> {
    Dialect::OAuth.judge(answer).map_err(|error| secrets.iter().fold(error, |error, secret| error.without(secret)))
}

impl Issuer {
    /// Exchanges a refresh token. To be called in background work ([`crate::tasks::Tasks`]), so that a client that goes
    /// away does not take the answer along.
    ///
    /// # Errors
    /// [`RefreshError::InvalidGrant`] when the token is no longer good, else [`RefreshError::Unavailable`].
    pub async fn refresh(&self, token: &RefreshToken) -> Result<TokenResponse, RefreshError> {
        let never = |cause| RefreshError::Unavailable { cause, sent: Sent::Never, retry_after: None };
        if let Some(local) = self.local() {
            return local.refresh(token).await.map_err(RefreshError::from);
        }
        let (post, dialect) = match &self.config.refresh {
            None => return Err(never(RefreshFailure::NotConfigured)),
            Some(Refresh::Exchange(exchange)) => (exchanged(exchange, token), Dialect::Exchange(&exchange.tokens)),
            Some(Refresh::TokenEndpoint(url)) => (self.granted(url.clone(), token), Dialect::OAuth),
            Some(Refresh::Discovered) => {
                let endpoint = self.token_endpoint().await.map_err(never)?;
                (self.granted(endpoint, token), Dialect::OAuth)
            }
        };
        match self.transport.post(post, LIMIT).await {
            Ok(answer) => dialect.judge(answer).map_err(|error| error.without(token.expose())),
            Err(error @ (TransportError::Connect(_) | TransportError::Offline)) => Err(never(error.into())),
            Err(error) => {
                Err(RefreshError::Unavailable { cause: error.into(), sent: Sent::Unknown, retry_after: None })
            }
        }
    }

    pub(super) async fn token_endpoint(&self) -> Result<Url, RefreshFailure> {
        let metadata = self.metadata.as_ref().ok_or(RefreshFailure::NoEndpoint)?;
        let (metadata, _) = metadata.obtain().await?;
        metadata.token_endpoint.clone().ok_or(RefreshFailure::NoEndpoint)
    }

    /// RFC 6749 §6.
    fn granted(&self, url: Url, token: &RefreshToken) -> Post {
        let form =
            Form::default().with("grant_type", b"refresh_token").with("refresh_token", token.expose().as_bytes());
        self.posted(form, url)
    }
}

fn exchanged(exchange: &RefreshExchange, token: &RefreshToken) -> Post {
    let url = exchange.url.clone();
    match exchange.send {
        ExchangeFormat::Form => Form::default().with(&exchange.field, token.expose().as_bytes()).post_to(url),
        ExchangeFormat::Json => {
            let fields = serde_json::Map::from_iter([(exchange.field.clone(), token.expose().into())]);
            let body = serde_json::Value::Object(fields).to_string();
            Post { url, content_type: "application/json", fields: HeaderMap::new(), body }
        }
    }
}

#[cfg(test)]
mod tests;
