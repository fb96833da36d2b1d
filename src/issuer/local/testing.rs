//! Users, and a local issuer for them.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Argon2, Params};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Local, NotSignedIn};
use crate::clock::Clock;
use crate::config::{self, KeySource, LocalIssuer, PasswordHash, User, Users};
use crate::issuer::testing::configured;
use crate::oauth::TokenResponse;

pub(super) const ISSUER: &str = "https://app.test/.usher/issuer";
pub(super) const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A hash at the lowest cost that counts.
pub(super) fn argon2id(password: &[u8]) -> String {
    let params = Params::new(7 * 1024, 1, 1, None).unwrap();
    let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let hash: argon2::password_hash::phc::PasswordHash =
        argon2.hash_password_with_salt(password, b"a salt of a test").unwrap();
    hash.to_string()
}

pub(super) fn user(name: &str, hash: &str) -> User {
    let (name, subject) = (name.to_owned(), name.to_owned());
    let password = PasswordHash::parse(hash).unwrap();
    User { name, subject, password, totp: None, disabled: false, claims: Map::new() }
}

/// A user whose password is the name.
pub(super) fn easy(name: &str) -> User {
    user(name, &argon2id(name.as_bytes()))
}

pub(super) fn terms(users: impl IntoIterator<Item = User>, state: Option<&Path>) -> LocalIssuer {
    LocalIssuer {
        users: Users::new(users),
        access_token_lifetime: Duration::from_secs(300),
        refresh_token_lifetime: Duration::from_secs(7 * 86_400),
        signing_key_lifetime: Duration::from_secs(30 * 86_400),
        refresh_grace: Duration::from_secs(60),
        state: state.map(Path::to_owned),
    }
}

pub(super) fn issuer(local: &LocalIssuer) -> config::Issuer {
    config::Issuer { audiences: vec!["app".to_owned()], ..configured(ISSUER, KeySource::Local(local.clone())) }
}

pub(super) fn open(local: &LocalIssuer, clock: &Clock) -> Local {
    Local::open(&issuer(local), local, clock).unwrap()
}

pub(super) async fn sign_in(local: &Local, name: &str, password: &str) -> Result<TokenResponse, NotSignedIn> {
    local.sign_in(name, Zeroizing::new(password.to_owned()), None, SOURCE).await
}

/// What an access token says, unverified.
pub(super) fn claims(response: &TokenResponse) -> Map<String, Value> {
    jsonwebtoken::dangerous::insecure_decode::<Map<String, Value>>(response.access_token.expose()).unwrap().claims
}
