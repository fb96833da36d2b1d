//! What the refresh protocol needs of the world: an authorization server, and work that outlives a request.
//!
//! Two narrow traits, so that the protocol runs unchanged against a real issuer, in a unit test, and in the model test
//! that explores its interleavings.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::IssuerId;
use crate::issuer::Sent;
use crate::oauth::{AccessToken, RefreshToken, TokenResponse};
use crate::tasks::Tasks;

/// The issuers, and the verification of what they issue.
pub trait Authority: Send + Sync + 'static {
    /// A verified access token.
    type Access: VerifiedAccess;

    /// Sends the refresh token to the token endpoint, once. Bounded in time by the implementation.
    fn spend(
        &self,
        issuer: IssuerId,
        token: &RefreshToken,
    ) -> impl Future<Output = Result<TokenResponse, SpendError>> + Send;

    /// Verifies what the token endpoint answered just as if it had been presented (law 4), and the ID token if one came
    /// (OIDC Core §12.2). May wait for keys.
    fn accept(
        &self,
        issuer: IssuerId,
        answer: &TokenResponse,
    ) -> impl Future<Output = Result<Arc<Self::Access>, AcceptError>> + Send;

    /// Verifies an access token that was accepted before, here or on another instance: from the keys at hand whenever
    /// they are there.
    fn verify(
        &self,
        issuer: IssuerId,
        token: &AccessToken,
    ) -> impl Future<Output = Result<Arc<Self::Access>, AcceptError>> + Send;

    /// Revokes the refresh token at the issuer (RFC 7009), if the issuer can.
    fn revoke(&self, issuer: IssuerId, token: &RefreshToken) -> impl Future<Output = Result<(), NotRevoked>> + Send;
}

/// What the protocol reads off a verified access token.
pub trait VerifiedAccess: Send + Sync + 'static {
    /// The token itself: whichever of an answer says who somebody is.
    fn token(&self) -> AccessToken;
    /// `sub`, if there is one.
    fn subject(&self) -> Option<&str>;
    /// `exp`.
    fn expires_at(&self) -> Timestamp;
}

/// Why spending a refresh token gave no tokens.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// A parsed `invalid_grant`: the session is over. Nobody's fault.
    #[error("the issuer refused the refresh token")]
    Rejected,
    /// Anything else; the session stays (R6). The issuer's or the operator's fault.
    #[error("the issuer could not renew the token")]
    Unavailable {
        /// Whether the issuer may have spent the token.
        sent: Sent,
        /// What the issuer asked for with `Retry-After`.
        retry_after: Option<Duration>,
        /// Whose fault it is, for the log: `issuer`, `operator` or `us`.
        fault: &'static str,
        /// What went wrong.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
}

/// Why a refresh token was not revoked.
#[derive(Debug)]
pub struct NotRevoked {
    /// Whose fault it is, for the log: `issuer`, `operator` or `us`.
    pub fault: &'static str,
    /// What went wrong.
    pub cause: Box<dyn Error + Send + Sync>,
}

/// Why tokens from an issuer are not taken.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// They speak of another issuer or subject than before (R7). The issuer's fault, or an attack.
    #[error("the new tokens are somebody else's")]
    OtherIdentity,
    /// They do not verify: wrong audience, unknown key. The operator's or issuer's fault.
    #[error("the new access token does not verify")]
    Unverified(#[source] Box<dyn Error + Send + Sync>),
    /// There is no ID token, and the users of this issuer are known by it. The operator's.
    #[error("there is no ID token, which says who somebody is")]
    NoIdToken,
    /// Not now: the keys are out of reach, or their time is not. The issuer's fault, or a clock's.
    #[error("the new access token does not verify at the moment")]
    NotNow(#[source] Box<dyn Error + Send + Sync>),
}

/// Where work goes that no client may cancel, and how time passes.
pub trait Background: Clone + Send + Sync + 'static {
    /// Starts work that runs to its end (R2).
    fn start(&self, work: impl Future<Output = ()> + Send + 'static);
    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
    /// Waits, but no longer once the process is about to end: what is still to do is done at once then.
    fn rest(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

impl Background for Tasks {
    fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        Self::start(self, work);
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn rest(&self, duration: Duration) {
        Self::rest(self, duration).await;
    }
}
