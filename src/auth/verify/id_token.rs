//! Verifying an ID token: that of a sign-in (OIDC Core §3.1.3.7), and one that came with a renewal (§12.2). It is no
//! credential here; it must be meant for this sign-in, and not speak of somebody else.

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::{self, Validity};
use super::compact::Presented;
use super::{Verifier, VerifyError, signer};
use crate::clock::Timestamp;
use crate::config::IssuerId;
use crate::oauth::{AccessToken, Algorithm, Claims};

/// Why the ID token of a sign-in does not count.
#[derive(Debug, thiserror::Error)]
pub enum IdTokenError {
    /// There is none, although `openid` was asked for. The issuer's.
    #[error("there is no ID token")]
    Missing,
    /// It is no token of this issuer, for this client, of this time. The issuer's, or an attack.
    #[error(transparent)]
    Token(#[from] VerifyError),
    /// It was issued for another sign-in, or for none: a replay. The issuer's, or an attack.
    #[error("the ID token does not have the nonce of this sign-in")]
    OtherNonce,
    /// The access token beside it is another one. The issuer's, or an attack.
    #[error("the ID token belongs to another access token")]
    OtherAccessToken,
    /// The access token beside it is somebody else's. The issuer's, or an attack.
    #[error("the ID token is about somebody else than the access token")]
    OtherSubject,
}

impl Verifier {
    /// Verifies an ID token of this issuer, which must be meant for the client that Usher is there. Not remembered.
    ///
    /// # Errors
    /// [`VerifyError`] says whose fault it is.
    pub async fn verify_id_token(&self, token: &str, issuer: IssuerId, now: Timestamp) -> Result<Claims, VerifyError> {
        let presented = Presented::parse(token)?;
        self.check_id_token(&presented, issuer, now).await?;
        Ok(presented.claims)
    }

    /// Verifies the ID token of a sign-in, which must besides have the nonce that was sent along, and go with the access
    /// token beside it.
    ///
    /// # Errors
    /// [`IdTokenError`]
    pub async fn verify_new_id_token(
        &self,
        token: &str,
        issuer: IssuerId,
        nonce: &str,
        access_token: &AccessToken,
        now: Timestamp,
    ) -> Result<Claims, IdTokenError> {
        let presented = Presented::parse(token)?;
        let validity = self.check_id_token(&presented, issuer, now).await?;
        let issuer = self.issuers.by_id(issuer).ok_or(VerifyError::UntrustedIssuer)?.config();
        if let Some(seconds) = validity.not_valid_for(now, issuer.leeway) {
            return Err(VerifyError::NotYetValid { seconds }.into());
        }
        let text = |name: &str| presented.claims.0.get(name).map(|value| value.as_str().unwrap_or_default());
        let is_same =
            |one: &str, other: &str| constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok();
        if !text("nonce").is_some_and(|found| is_same(found, nonce)) {
            return Err(IdTokenError::OtherNonce);
        }
        if text("at_hash").is_some_and(|hash| hash != at_hash(presented.header.algorithm, access_token)) {
            return Err(IdTokenError::OtherAccessToken);
        }
        Ok(presented.claims)
    }

    /// Everything but what binds it to a sign-in.
    async fn check_id_token(
        &self,
        presented: &Presented<'_>,
        issuer: IssuerId,
        now: Timestamp,
    ) -> Result<Validity, VerifyError> {
        let issuer = self.issuers.by_id(issuer).ok_or(VerifyError::UntrustedIssuer)?;
        let client = issuer.config().client.as_ref().ok_or(VerifyError::WrongAudience)?;
        if claims::issuer(&presented.claims)? != issuer.config().issuer {
            return Err(VerifyError::UntrustedIssuer);
        }
        let validity = Validity::check(&presented.claims, std::slice::from_ref(&client.id))?;
        claims::authorized_party(&presented.claims, &client.id)?;
        signer(issuer, presented).await?;
        if now >= validity.expires_at.after(issuer.config().leeway) {
            return Err(VerifyError::Expired(Box::new(presented.claims.clone())));
        }
        Ok(validity)
    }
}

/// The left half of the hash that the signature of the ID token uses, in base64url (OIDC Core §3.1.3.6). Ed25519 uses SHA-512.
fn at_hash(algorithm: Algorithm, token: &AccessToken) -> String {
    use Algorithm as A;
    let hash = match algorithm {
        A::HS256 | A::RS256 | A::PS256 | A::ES256 => &digest::SHA256,
        A::HS384 | A::RS384 | A::PS384 | A::ES384 => &digest::SHA384,
        A::HS512 | A::RS512 | A::PS512 | A::ES512 | A::EdDSA => &digest::SHA512,
    };
    let digest = digest::digest(hash, token.expose().as_bytes());
    let (left, _) = digest.as_ref().split_at(digest.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_the_access_token_is_that_of_the_standard() {
        // OpenID Connect Core 1.0, appendix A.3: an ID token with RS256 and this access token beside it.
        let token = AccessToken::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
        assert_eq!(at_hash(Algorithm::RS256, &token), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
