//! The users file of a local issuer.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::config::Secret;

/// A users file: everybody who may sign in, by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct UsersFile {
    /// The users by their names.
    pub users: Option<BTreeMap<String, User>>,
}

/// One user.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct User {
    /// The hash of the password.
    pub password: Option<Secret>,
    /// The secret of the one-time passwords, in base32. Default: no second factor.
    pub totp: Option<Secret>,
    /// The claim `name`.
    pub name: Option<String>,
    /// The claim `email`.
    pub email: Option<String>,
    /// Whether the user may not sign in at the moment. Default: false.
    pub disabled: Option<bool>,
    /// The `sub` of the tokens. Default: the name of the user.
    pub subject: Option<String>,
    /// More claims.
    pub claims: Option<BTreeMap<String, Value>>,
}
