//! The people of the demonstration, and the sample application's own tokens for them: signed access tokens, rotating refresh
//! tokens.
//!
//! The token service of many a legacy application, in small: short-lived HS256 access tokens, refresh tokens that are
//! good for one use, and a refresh token presented twice ends the session it belongs to. That last habit is what signs
//! people out behind a careless proxy, so the demonstration keeps it. It does *not* hash passwords: they are published.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::json;

use crate::clock::{Clock, Timestamp};

/// What the access tokens say in `iss`.
pub(super) const ISSUER: &str = "legacy-app";

/// What the access tokens say in `aud`.
pub(super) const AUDIENCE: &str = "web";

/// So short that a renewal can be watched.
pub(super) const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(20);

const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Somebody who may sign in.
pub(super) struct User {
    /// The user name, which is also the subject of the tokens.
    pub(super) id: &'static str,
    /// Printed at start: there is nothing to protect here.
    pub(super) password: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    /// The claim `roles`.
    pub(super) roles: &'static [&'static str],
}

/// Everybody who may sign in.
pub(super) static USERS: [User; 2] = [
    User { id: "alice", password: "wonderland", name: "Alice Liddell", email: "alice@example.com", roles: &["user"] },
    User {
        id: "admin",
        password: "looking-glass",
        name: "Ada Minton",
        email: "admin@example.com",
        roles: &["user", "admin"],
    },
];

/// What a successful sign-in or renewal hands out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenPair {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccountsError {
    /// The user name or the password is wrong. The client's mistake.
    #[error("wrong user name or password")]
    WrongCredentials,
    /// The refresh token is unknown, expired or spent. The client's mistake, or a thief's.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// The system gives no randomness. Ours.
    #[error("no randomness for a refresh token")]
    NoRandomness,
    /// The access token could not be signed. Ours.
    #[error("the access token could not be signed")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

/// The token service.
pub(super) struct Accounts {
    key: EncodingKey,
    clock: Clock,
    issued: Mutex<Issued>,
}

impl Accounts {
    /// Signs access tokens with `hmac_secret`.
    pub(super) fn new(hmac_secret: &[u8], clock: Clock) -> Self {
        Self { key: EncodingKey::from_secret(hmac_secret), clock, issued: Mutex::default() }
    }

    /// Begins a session.
    pub(super) fn sign_in(&self, id: &str, password: &str) -> Result<(&'static User, TokenPair), AccountsError> {
        let user = USERS
            .iter()
            .find(|user| user.id == id && user.password == password)
            .ok_or(AccountsError::WrongCredentials)?;
        let family = random_text().ok_or(AccountsError::NoRandomness)?;
        Ok((user, self.issue(user, family)?))
    }

    /// Exchanges a refresh token for a new pair. Each is good once; one that comes again ends its whole session.
    pub(super) fn refresh(&self, refresh_token: &str) -> Result<TokenPair, AccountsError> {
        let spent = self.with_issued(|issued| issued.spend(refresh_token, self.clock.now()));
        let (user, family) = spent.ok_or(AccountsError::InvalidRefreshToken)?;
        self.issue(user, family)
    }

    fn issue(&self, user: &'static User, family: String) -> Result<TokenPair, AccountsError> {
        let now = self.clock.now();
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user.id,
            "name": user.name,
            "email": user.email,
            "roles": user.roles,
            "iat": now,
            "exp": now.after(ACCESS_TOKEN_LIFETIME),
        });
        let access_token =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key).map_err(AccountsError::Signing)?;
        let refresh_token = random_text().ok_or(AccountsError::NoRandomness)?;
        self.with_issued(|issued| issued.add(refresh_token.clone(), user, family, now));
        Ok(TokenPair { access_token, refresh_token })
    }

    fn with_issued<T>(&self, work: impl FnOnce(&mut Issued) -> T) -> T {
        work(&mut self.issued.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Every refresh token that has not expired, spent ones included.
#[derive(Default)]
struct Issued {
    tokens: HashMap<String, RefreshToken>,
}

struct RefreshToken {
    user: &'static User,
    /// The same for all tokens that descend from one sign-in.
    family: String,
    expires_at: Timestamp,
    spent: bool,
}

impl Issued {
    fn add(&mut self, token: String, user: &'static User, family: String, now: Timestamp) {
        self.tokens.retain(|_, other| other.expires_at > now);
        let expires_at = now.after(REFRESH_TOKEN_LIFETIME);
        self.tokens.insert(token, RefreshToken { user, family, expires_at, spent: false });
    }

    /// Whose token it was and of which family, when it was good. A spent one takes its whole family with it (RFC 9700
    /// §4.14.2).
    fn spend(&mut self, token: &str, now: Timestamp) -> Option<(&'static User, String)> {
        let found = self.tokens.get_mut(token)?;
        let (user, family) = (found.user, found.family.clone());
        if found.spent {
            self.tokens.retain(|_, other| other.family != family);
            return None;
        }
        found.spent = true;
        (found.expires_at > now).then_some((user, family))
    }
}

/// 256 random bits in Base64url; `None` when the system gives none.
pub(super) fn random_text() -> Option<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(clock: &Clock) -> Accounts {
        Accounts::new(b"a secret of the test", clock.clone())
    }

    #[test]
    fn a_refresh_token_expires() {
        let clock = Clock::adjustable();
        let accounts = accounts(&clock);
        let (_, pair) = accounts.sign_in("alice", "wonderland").unwrap();
        clock.advance(REFRESH_TOKEN_LIFETIME);
        assert!(matches!(accounts.refresh(&pair.refresh_token), Err(AccountsError::InvalidRefreshToken)));
    }

    #[test]
    fn reuse_ends_one_session_and_leaves_the_others_of_that_person_alone() {
        let accounts = accounts(&Clock::system());
        let (_, first) = accounts.sign_in("alice", "wonderland").unwrap();
        let (_, elsewhere) = accounts.sign_in("alice", "wonderland").unwrap();
        let second = accounts.refresh(&first.refresh_token).unwrap();
        assert!(accounts.refresh(&first.refresh_token).is_err());
        assert!(accounts.refresh(&second.refresh_token).is_err());
        assert!(accounts.refresh(&elsewhere.refresh_token).is_ok());
    }

    #[test]
    fn expired_refresh_tokens_are_forgotten() {
        let clock = Clock::adjustable();
        let accounts = accounts(&clock);
        accounts.sign_in("alice", "wonderland").unwrap();
        clock.advance(REFRESH_TOKEN_LIFETIME);
        accounts.sign_in("alice", "wonderland").unwrap();
        assert_eq!(accounts.with_issued(|issued| issued.tokens.len()), 1);
    }
}
