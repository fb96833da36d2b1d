//! The access tokens of the local issuer (RFC 9068).
//!
//! | claim | value |
//! |---|---|
//! | `iss`, `aud` | as configured |
//! | `sub`, `name`, `email`, and more | as the users file says now |
//! | `client_id` | `usher` |
//! | `iat`, `exp` | now, and the configured life time later, but not after the end of the session |
//! | `auth_time` | when the user was authenticated, in seconds: the same in all tokens of a family |
//! | `acr` | `1` after a password, `2` after a password and a one-time password: the same in all tokens of a family |
//! | `amr` | `["pwd"]`, or `["pwd", "otp", "mfa"]` |
//! | `sid` | the sign-in: the same in all tokens of a family |
//! | `jti` | 128 random bits |

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::factors::Factors;
use super::families::Family;
use super::store::StoreError;
use crate::clock::Timestamp;
use crate::config::User;

/// The `typ` of the header.
pub(super) const TYPE: &str = "at+jwt";

/// The claims that are not the user's.
pub(super) const OWN: [&str; 11] =
    ["iss", "aud", "sub", "client_id", "iat", "exp", "auth_time", "acr", "amr", "sid", "jti"];

/// Who has asked for the token: Usher itself.
const CLIENT_ID: &str = "usher";

/// The claims of a token for this user. What the issuer says by itself is written last: nothing in the file overrides it.
pub(super) fn claims(
    (issuer, audiences): (&str, &[String]),
    user: &User,
    family: &Family,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<Map<String, Value>, StoreError> {
    let mut id = [0; 16];
    rand::fill(&mut id).map_err(|_| StoreError::GivenUp)?;
    let audience = match audiences {
        [one] => Value::from(one.as_str()),
        several => Value::from(several),
    };
    let mut claims = user.claims.clone();
    let own = [
        Value::from(issuer),
        audience,
        Value::from(family.subject.as_str()),
        Value::from(CLIENT_ID),
        Value::from(now.0),
        Value::from(expires_at.0),
        Value::from(family.started.0),
        family.factors.map(Factors::class).into(),
        family.factors.map(Factors::methods).into(),
        Value::from(family.id.as_str()),
        Value::from(URL_SAFE_NO_PAD.encode(id)),
    ];
    claims.extend(OWN.map(str::to_owned).into_iter().zip(own));
    // What is not known is not said: a family may be older than what is kept of one now.
    claims.retain(|name, value| !(is_own(name) && value.is_null()));
    Ok(claims)
}

/// Whether the issuer says this claim by itself.
pub(super) fn is_own(claim: &str) -> bool {
    OWN.contains(&claim)
}
