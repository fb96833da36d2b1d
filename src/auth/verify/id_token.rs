//! Verifying an ID token that came with a renewal (OIDC Core §12.2, §3.1.3.7). It authenticates nobody here; it must only
//! not speak of somebody else.

use super::claims::{self, Validity};
use super::compact::Presented;
use super::{Verifier, VerifyError, signer};
use crate::clock::Timestamp;
use crate::config::IssuerId;
use crate::oauth::Claims;

impl Verifier {
    /// Verifies an ID token of this issuer, which must be meant for the client that Usher is there. Not remembered.
    ///
    /// # Errors
    /// [`VerifyError`] says whose fault it is.
    pub async fn verify_id_token(&self, token: &str, issuer: IssuerId, now: Timestamp) -> Result<Claims, VerifyError> {
        let issuer = self.issuers.by_id(issuer).ok_or(VerifyError::UntrustedIssuer)?;
        let client = issuer.config().client.as_ref().ok_or(VerifyError::WrongAudience)?;
        let presented = Presented::parse(token)?;
        if claims::issuer(&presented.claims)? != issuer.config().issuer {
            return Err(VerifyError::UntrustedIssuer);
        }
        let validity = Validity::check(&presented.claims, std::slice::from_ref(&client.id))?;
        signer(issuer, &presented).await?;
        if now >= validity.expires_at.after(issuer.config().leeway) {
            return Err(VerifyError::Expired(Box::new(presented.claims)));
        }
        Ok(presented.claims)
    }
}
