//! Cookies, life times, renewal.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// Cookies, life times, renewal.
#[derive(Clone, Debug)]
pub struct Session {
    /// The first seals, all open; the first also keys the hash of subjects in the log. Never empty: without a configured
    /// one, a random one is made, which a note tells where it seals cookies.
    pub secrets: Vec<Secret>,
    /// Without a request for so long, the session ends.
    pub idle_timeout: Duration,
    /// However busy, the session ends after so long.
    pub absolute_timeout: Duration,
    /// Renew so long before expiry, in the background; zero switches that off.
    pub refresh_ahead: Duration,
    /// So long after its successor was first presented, a spent refresh token still finds the recorded outcome.
    pub refresh_grace: Duration,
    /// How long a request waits for a renewal before it is answered 503.
    pub refresh_wait: Duration,
    /// What a spent token presented after the grace does.
    pub on_reuse: OnReuse,
    /// Bound on the number of renewal records in memory, and on that of sessions.
    pub max_records: usize,
    /// Where renewals are recorded, and sessions are if they are not in cookies.
    pub store: SessionStore,
    /// The cookies.
    pub cookies: Cookies,
}

/// Where renewals are recorded, and sessions are if they are not in cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionStore {
    /// In the memory of the process.
    Memory,
    /// In Redis or Valkey, which several instances share.
    Redis(Box<Redis>),
}

/// Redis or Valkey, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// How the servers are arranged.
    pub arrangement: Arrangement,
    /// Host and port of each server that was named. Never empty.
    pub servers: Vec<(String, u16)>,
    /// Whether they are spoken to by TLS.
    pub tls: bool,
    /// The user of the access control list; `None` for the default one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The number of the database.
    pub database: u16,
    /// The roots to trust instead of the system's: PEM, checked to parse.
    pub ca: Option<Vec<u8>>,
    /// Bound on one operation.
    pub timeout: Duration,
    /// What the names of keys and channels begin with.
    pub prefix: String,
}

impl SessionStore {
    /// Whether what is kept in one is found in the other: they may differ in what counts from the next connection on.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory, Self::Memory) => true,
            (Self::Redis(one), Self::Redis(other)) => {
                let place = |redis: &Redis| Redis { user: None, password: None, ca: None, ..redis.clone() };
                place(one) == place(other)
            }
            (Self::Memory, Self::Redis(_)) | (Self::Redis(_), Self::Memory) => false,
        }
    }
}

/// How the servers of a shared store are arranged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// One server.
    Single,
    /// Sentinels know where the master of this name is.
    Sentinel(String),
    /// A Cluster.
    Cluster,
}

/// What happens when a spent refresh token is presented after the grace (RFC 9700 §4.14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnReuse {
    /// The whole session ends everywhere, and the refresh token is revoked at the issuer.
    Revoke,
    /// The request is refused; the session of whoever has the successor goes on.
    Refuse,
}

/// Where the tokens of a session are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenPlace {
    /// In the browser's cookies.
    Cookies,
    /// In the store; the browser has a key.
    Store,
}

/// Which cookies make a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cookies {
    /// Usher's own with the tokens: `__Host-usher-access` and `__Host-usher-refresh`, sealed.
    Sealed,
    /// Usher's own with a key to the session in the store, which has the tokens: `__Host-usher-session`.
    Stored,
    /// Those of an existing service, raw, under its names.
    Raw {
        /// Name of the cookie with the access token.
        access: String,
        /// Name of the cookie with the refresh token.
        refresh: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_the_same_place_whoever_it_is_entered_as() {
        let redis = Redis {
            arrangement: Arrangement::Single,
            servers: vec![("redis".to_owned(), 6379)],
            tls: false,
            user: None,
            password: None,
            database: 0,
            ca: None,
            timeout: Duration::from_millis(500),
            prefix: "usher".to_owned(),
        };
        let store = |redis: Redis| SessionStore::Redis(Box::new(redis));
        let one = store(redis.clone());
        let password = Some(Secret::new(b"another".to_vec()));
        let entered = Redis { user: Some("usher".to_owned()), password, ca: Some(Vec::new()), ..redis.clone() };
        assert!(one.is_same_place(&store(entered)) && SessionStore::Memory.is_same_place(&SessionStore::Memory));
        let elsewhere = [
            Redis { servers: vec![("other".to_owned(), 6379)], ..redis.clone() },
            Redis { database: 1, ..redis.clone() },
            Redis { prefix: "other".to_owned(), ..redis },
        ];
        assert!(elsewhere.map(store).iter().all(|other| !one.is_same_place(other)));
        assert!(!one.is_same_place(&SessionStore::Memory));
    }
}
