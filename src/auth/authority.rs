//! The configured issuers, as the refresh protocol sees them.

use std::sync::Arc;

use super::refresh::{AcceptError, Authority, NotRevoked, SpendError, VerifiedAccess};
use super::verify::{VerifiedToken, Verifier, VerifyError};
use crate::clock::{Clock, Timestamp};
use crate::config::{IdentityToken, IssuerId};
use crate::issuer::{Issuers, RefreshError, RevokeError, Sent};
use crate::oauth::{AccessToken, RefreshToken, TokenResponse};

/// The issuers, and the one way in which their tokens are verified.
pub struct IssuerAuthority {
    issuers: Arc<Issuers>,
    verifier: Arc<Verifier>,
    clock: Clock,
}

/// An issuer id that is not in the configuration. Ours.
#[derive(Debug, thiserror::Error)]
#[error("there is no such issuer")]
struct UnknownIssuer;

impl IssuerAuthority {
    /// Puts the two together.
    #[must_use]
    pub const fn new(issuers: Arc<Issuers>, verifier: Arc<Verifier>, clock: Clock) -> Self {
        Self { issuers, verifier, clock }
    }
}

impl Authority for IssuerAuthority {
    type Access = VerifiedToken;

    async fn spend(&self, issuer: IssuerId, token: &RefreshToken) -> Result<TokenResponse, SpendError> {
        let Some(issuer) = self.issuers.by_id(issuer) else {
            let (sent, cause) = (Sent::Never, Box::new(UnknownIssuer));
            return Err(SpendError::Unavailable { sent, retry_after: None, fault: "us", cause });
        };
        issuer.refresh(token).await.map_err(|error| match error {
            RefreshError::InvalidGrant => SpendError::Rejected,
            RefreshError::Unavailable { cause, sent, retry_after } => {
                SpendError::Unavailable { sent, retry_after, fault: cause.fault(), cause: Box::new(cause) }
            }
        })
    }

    async fn accept(&self, issuer: IssuerId, answer: &TokenResponse) -> Result<Arc<VerifiedToken>, AcceptError> {
        let configured = self.issuers.by_id(issuer).map(|issuer| &issuer.config().identity);
        let identity = configured.unwrap_or(&IdentityToken::AccessToken);
        let access = self.verify(issuer, answer.identity_token(identity).ok_or(AcceptError::NoIdToken)?).await?;
        if let Some(id_token) = &answer.id_token {
            let outcome = self.verifier.verify_id_token(id_token.expose(), issuer, self.clock.now()).await;
            let claims = outcome.map_err(|error| match error {
                VerifyError::UntrustedIssuer | VerifyError::WrongAudience => AcceptError::OtherIdentity,
                error => unaccepted(error),
            })?;
            // OIDC Core §12.2: the subject must be the one of before, which is that of the access token beside it.
            if access.claims.subject().is_some_and(|subject| claims.subject() != Some(subject)) {
                return Err(AcceptError::OtherIdentity);
            }
        }
        Ok(access)
    }

    async fn verify(&self, issuer: IssuerId, token: &AccessToken) -> Result<Arc<VerifiedToken>, AcceptError> {
        let verified = self.verifier.verify(token.expose(), &[issuer], self.clock.now()).await;
        verified.map_err(unaccepted)
    }

    async fn revoke(&self, issuer: IssuerId, token: &RefreshToken) -> Result<(), NotRevoked> {
        let unknown = || NotRevoked { fault: "us", cause: Box::new(UnknownIssuer) };
        let issuer = self.issuers.by_id(issuer).ok_or_else(unknown)?;
        match issuer.revoke(token).await {
            // An existing token service has none: nothing can be done about that, and nobody need be told.
            Err(RevokeError::NotOffered) => Ok(()),
            outcome => outcome.map_err(|error| NotRevoked { fault: error.fault(), cause: Box::new(error) }),
        }
    }
}

fn unaccepted(error: VerifyError) -> AcceptError {
    match error {
        VerifyError::IssuerUnavailable(_)
        | VerifyError::NotIntrospected(_)
        | VerifyError::Expired(_)
        | VerifyError::NotYetValid { .. } => AcceptError::NotNow(Box::new(error)),
        _ => AcceptError::Unverified(Box::new(error)),
    }
}

impl VerifiedAccess for VerifiedToken {
    fn token(&self) -> AccessToken {
        self.token.clone()
    }

    fn subject(&self) -> Option<&str> {
        self.claims.subject()
    }

    fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}
