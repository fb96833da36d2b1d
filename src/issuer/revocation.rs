//! Revoking a refresh token at its issuer (RFC 7009), so that a sign-out ends the session there too.

use http::StatusCode;

use super::Issuer;
use super::form::Form;
use super::local::StoreError;
use super::remote::Unavailable;
use super::transport::TransportError;
use crate::oauth::RefreshToken;

/// The answer of a success is empty (RFC 7009 §2.2), that of an error short.
const LIMIT: usize = 64 * 1024;

/// Why a token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The issuer offers no revocation: nothing can be done about that.
    #[error("the issuer offers no revocation")]
    NotOffered,
    /// Discovery could not be had. The issuer's, or the network's.
    #[error(transparent)]
    Discovery(#[from] Unavailable),
    /// No whole answer came. The issuer's, or the network's.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The issuer does not answer this client: its credentials are wrong. The operator's.
    #[error("the issuer answered {0}: the client's credentials are wrong, or it may not revoke tokens")]
    Client(StatusCode),
    /// The issuer did not revoke it; it answers 200 even for tokens that it does not know. The issuer's or the operator's.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    /// The local issuer cannot record it. Ours, or the disk's.
    #[error(transparent)]
    Local(#[from] StoreError),
}

impl RevokeError {
    /// Whose fault it is, for the log.
    #[must_use]
    pub const fn fault(&self) -> &'static str {
        match self {
            Self::Client(_) => "operator",
            Self::NotOffered | Self::Discovery(_) | Self::Transport(_) | Self::Status(_) => "issuer",
            Self::Local(_) => "us",
        }
    }
}

impl Issuer {
    /// Revokes a refresh token, and with it at most issuers the whole grant. To be called in background work.
    ///
    /// # Errors
    /// [`RevokeError`]; [`RevokeError::NotOffered`] is no fault.
    pub async fn revoke(&self, token: &RefreshToken) -> Result<(), RevokeError> {
        if let Some(local) = self.local() {
            return Ok(local.revoke(token).await?);
        }
        let metadata = self.metadata.as_ref().ok_or(RevokeError::NotOffered)?;
        let (metadata, _) = metadata.obtain().await?;
        let url = metadata.revocation_endpoint.clone().ok_or(RevokeError::NotOffered)?;
        let form = Form::default().with("token", token.expose().as_bytes()).with("token_type_hint", b"refresh_token");
        let post = self.posted(form, url);
        let answer = self.transport.post(post, LIMIT).await?;
        match answer.status {
            status if status.is_success() => Ok(()),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(RevokeError::Client(status)),
            status => Err(RevokeError::Status(status)),
        }
    }
}
