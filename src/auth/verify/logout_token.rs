//! Verifying a logout token (OIDC Back-Channel Logout 1.0 §2.4 and §2.6): the issuer says that somebody has signed out there.

use std::time::Duration;

use serde_json::Value;

use super::claims;
use super::compact::Presented;
use super::error::Malformed;
use super::{Verifier, VerifyError, signer};
use crate::clock::Timestamp;
use crate::config::IssuerId;
use crate::oauth::Claims;
use crate::session::shared::Away;

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A logout token is delivered at once: an older one is a replay, however long it says that it is good.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Longer than the name of any session or token.
const LONGEST_NAME: usize = 1024;

/// What a logout token says, once it is verified. That it was not used before is still to be seen.
#[derive(Debug)]
pub struct LogoutToken {
    /// Who says so.
    pub issuer: IssuerId,
    /// Who or what has signed out.
    pub signed_out: SignedOut,
    /// Its own name (`jti`).
    pub id: Box<str>,
    /// From then on it counts no more by itself.
    pub usable_until: Timestamp,
}

/// Who or what has signed out.
#[derive(PartialEq, Eq)]
pub enum SignedOut {
    /// The user, of every session.
    User {
        /// `sub`.
        subject: Box<str>,
    },
    /// One session.
    Session {
        /// `sid`: how the issuer calls it.
        sid: Box<str>,
        /// `sub`: whose it was, where the token says so.
        subject: Option<Box<str>>,
    },
}

impl SignedOut {
    /// Whose sessions end, where that is said.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::User { subject } => Some(subject),
            Self::Session { subject, .. } => subject.as_deref(),
        }
    }
}

/// Why a logout token does not count.
#[derive(Debug, thiserror::Error)]
pub enum LogoutTokenError {
    /// It is no token of an issuer of this site, for its client, of this time. Whoever sends it; or the issuer, whose keys
    /// cannot be had.
    #[error(transparent)]
    Token(#[from] VerifyError),
    /// It does not say that somebody has signed out: an ID token, perhaps. Whoever sends it.
    #[error("the token is no logout token")]
    NoLogout,
    /// It has a nonce, so that it could pass for an ID token. The issuer's, or an attack.
    #[error("the logout token has a nonce")]
    Nonce,
    /// It names neither a user nor a session. The issuer's.
    #[error("the logout token names nobody")]
    Nobody,
    /// It is older than any that is on its way. Whoever sends it, or somebody's clock.
    #[error("the logout token is too old")]
    TooOld,
    /// It has done its work already. Whoever sends it.
    #[error("the logout token was used before")]
    Replayed,
    /// It counts on this instance, and the others have not been told. The store's.
    #[error("the other instances have not been told of the logout")]
    Untold(#[source] Away),
}

impl Verifier {
    /// Verifies a logout token of one of the `allowed` issuers, for the client that Usher is there. Waits only when the
    /// issuer's keys are not at hand.
    ///
    /// # Errors
    /// [`LogoutTokenError`], but never [`LogoutTokenError::Replayed`] nor [`LogoutTokenError::Untold`].
    pub async fn verify_logout_token(
        &self,
        token: &str,
        allowed: &[IssuerId],
        now: Timestamp,
    ) -> Result<LogoutToken, LogoutTokenError> {
        let presented = Presented::parse(token)?;
        let issuer = self.issuer_of(&presented, allowed)?;
        let client = issuer.config().client.as_ref().ok_or(VerifyError::WrongAudience)?;
        presented.header.check_of_logout_token(issuer.config())?;
        let claims = &presented.claims;
        claims::audience(claims, std::slice::from_ref(&client.id))?;
        claims::subject(claims).map_err(VerifyError::from)?;
        // An ID token of the same issuer for the same client must not sign its user out.
        let is_logout = claims.0.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object);
        if !is_logout {
            return Err(LogoutTokenError::NoLogout);
        }
        if claims.0.contains_key("nonce") {
            return Err(LogoutTokenError::Nonce);
        }
        let id = name(claims, "jti")?.ok_or(VerifyError::MissingClaim("jti"))?;
        let signed_out = match (name(claims, "sid")?, claims.subject().map(Box::from)) {
            (Some(sid), subject) => SignedOut::Session { sid, subject },
            (None, Some(subject)) => SignedOut::User { subject },
            (None, None) => return Err(LogoutTokenError::Nobody),
        };
        signer(issuer, &presented).await?;
        let usable_until = usable_until(claims, now, issuer.config().leeway)?;
        Ok(LogoutToken { issuer: issuer.id(), signed_out, id, usable_until })
    }
}

/// Older issuers leave `exp` out; none leaves out `iat`.
fn usable_until(claims: &Claims, now: Timestamp, leeway: Duration) -> Result<Timestamp, LogoutTokenError> {
    let date = |name| claims::date(claims, name).map_err(VerifyError::from);
    let issued_at = date("iat")?.ok_or(VerifyError::MissingClaim("iat"))?;
    let early = issued_at.since(now.after(leeway)).as_secs();
    if early > 0 {
        return Err(VerifyError::NotYetValid { seconds: early }.into());
    }
    let stale_at = issued_at.after(LIFETIME).after(leeway);
    if now >= stale_at {
        return Err(LogoutTokenError::TooOld);
    }
    let Some(expires_at) = date("exp")? else { return Ok(stale_at) };
    let expires_at = expires_at.after(leeway);
    if now >= expires_at {
        return Err(VerifyError::Expired(Box::new(claims.clone())).into());
    }
    Ok(expires_at.min(stale_at))
}

/// A claim that names something, if it is there.
fn name(claims: &Claims, claim: &'static str) -> Result<Option<Box<str>>, VerifyError> {
    match claims.0.get(claim) {
        None => Ok(None),
        Some(Value::String(name)) if !name.is_empty() && name.len() <= LONGEST_NAME => Ok(Some(name.as_str().into())),
        Some(_) => Err(Malformed::Claim(claim).into()),
    }
}

/// Shows which of the two, and nobody's name.
impl std::fmt::Debug for SignedOut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::User { .. } => "User(…)",
            Self::Session { .. } => "Session(…)",
        })
    }
}
