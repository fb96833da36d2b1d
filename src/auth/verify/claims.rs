//! The registered claims (RFC 7519 §4.1): who has issued the token, for whom, about whom, and for how long.

use std::time::Duration;

use serde_json::Value;

use super::error::{Malformed, VerifyError};
use crate::clock::Timestamp;
use crate::config::IdentityToken;
use crate::oauth::Claims;

/// Longer than any identifier; OpenID Connect allows 255 characters, some directories write more.
const LONGEST_SUBJECT: usize = 1024;

/// When a token counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    /// On or after this it is expired.
    pub(super) expires_at: Timestamp,
    not_before: Option<Timestamp>,
    issued_at: Option<Timestamp>,
}

/// `iss`: one string.
pub(super) fn issuer(claims: &Claims) -> Result<&str, VerifyError> {
    match claims.0.get("iss") {
        None => Err(VerifyError::MissingClaim("iss")),
        Some(Value::String(issuer)) => Ok(issuer),
        Some(_) => Err(Malformed::Claim("iss").into()),
    }
}

impl Validity {
    /// Checks everything about the claims but the time: they are meant for one of `audiences`, among other things.
    pub(super) fn check(claims: &Claims, audiences: &[String]) -> Result<Self, VerifyError> {
        audience(claims, audiences)?;
        subject(claims)?;
        // Bound to a key or certificate of its sender, which nobody has proved here (RFC 7800, 8705, 9449).
        if claims.0.contains_key("cnf") {
            return Err(VerifyError::SenderConstrained);
        }
        Ok(Self {
            expires_at: date(claims, "exp")?.ok_or(VerifyError::MissingClaim("exp"))?,
            not_before: date(claims, "nbf")?,
            issued_at: date(claims, "iat")?,
        })
    }

    /// How many seconds it takes, beyond the leeway, until the token counts; `None` when it does already. A token that
    /// says it was issued in the future is as early as one that is not valid before.
    pub(super) fn not_valid_for(&self, now: Timestamp, leeway: Duration) -> Option<u64> {
        let from = self.not_before.max(self.issued_at)?;
        Some(from.since(now.after(leeway)).as_secs()).filter(|seconds| *seconds > 0)
    }
}

/// Whether the claims are those of another kind of token that the same issuer signs for the same audience: an ID token,
/// bound to a code or an access token (OIDC Core §3.1.3.6, §3.3.2.11), or a security event such as a logout token (RFC
/// 8417 §2.2). Not every issuer says so in `typ` (RFC 8725 §3.12). Where the ID token is wanted, it is a logout token that has
/// the same audience.
pub(super) fn are_of_another_kind(claims: &Claims, identity: &IdentityToken) -> bool {
    let others: &[&str] = match identity {
        IdentityToken::AccessToken | IdentityToken::Introspected(_) => &["at_hash", "c_hash", "s_hash", "events"],
        IdentityToken::IdToken => &["events"],
    };
    others.iter().any(|name| claims.0.contains_key(*name))
}

/// `aud`: a string, or a list of nothing but strings, with exactly one of ours in it.
pub(super) fn audience(claims: &Claims, ours: &[String]) -> Result<(), VerifyError> {
    let is_ours = |audience: &String| ours.contains(audience);
    let named = match claims.0.get("aud") {
        None => return Err(VerifyError::MissingClaim("aud")),
        Some(Value::String(audience)) => is_ours(audience),
        Some(Value::Array(list)) => {
            let mut found = false;
            for audience in list {
                let Value::String(audience) = audience else { return Err(Malformed::Claim("aud").into()) };
                found |= is_ours(audience);
            }
            found
        }
        Some(_) => return Err(Malformed::Claim("aud").into()),
    };
    if named { Ok(()) } else { Err(VerifyError::WrongAudience) }
}

/// `azp`, of a token that is meant for this client: whom it was issued to. That is this client, and must be said where others
/// may use it too (OIDC Core §3.1.3.7, steps 4 and 5).
pub(super) fn authorized_party(claims: &Claims, client: &str) -> Result<(), VerifyError> {
    let is_ours = match claims.0.get("azp") {
        Some(party) => party.as_str() == Some(client),
        None => claims.0.get("aud").and_then(Value::as_array).is_none_or(|audiences| audiences.len() <= 1),
    };
    if is_ours { Ok(()) } else { Err(VerifyError::OtherClient) }
}

/// `sub`, if there is one, names somebody and can stand in a header and a log.
pub(super) fn subject(claims: &Claims) -> Result<(), Malformed> {
    let acceptable = match claims.0.get("sub") {
        None => true,
        Some(Value::String(subject)) => {
            !subject.is_empty() && subject.len() <= LONGEST_SUBJECT && !subject.chars().any(char::is_control)
        }
        Some(_) => false,
    };
    if acceptable { Ok(()) } else { Err(Malformed::Claim("sub")) }
}

/// A `NumericDate` (RFC 7519 §2): seconds, of which a fraction is cut off. Before 1970 counts as 1970, the end of time as
/// the end of time.
pub(in crate::auth) fn date(claims: &Claims, name: &'static str) -> Result<Option<Timestamp>, Malformed> {
    let number = match claims.0.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(Malformed::Claim(name)),
    };
    let seconds = number.as_u64().or_else(|| number.as_f64().map(whole_seconds));
    seconds.map(Timestamp).map(Some).ok_or(Malformed::Claim(name))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, which is what is wanted on both ends"
)]
const fn whole_seconds(seconds: f64) -> u64 {
    seconds as u64
}
