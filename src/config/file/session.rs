//! `session`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{HumanDuration, OneOrMany, TextOr};
use crate::config::{OnReuse, Secret, TokenPlace};

/// Cookies, life times and renewal.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Session {
    /// Seals the cookies. Any length; a list rotates: the first seals, all open. An entry may be `{ file: … }`.
    pub secret: Option<OneOrMany<TextOr<Secret, SecretFile>>>,
    /// A file with the secret that seals the cookies.
    pub secret_file: Option<PathBuf>,
    /// Without a request for so long, the session ends. Default: 8h.
    pub idle_timeout: Option<HumanDuration>,
    /// However busy, the session ends after so long. Default: 30d.
    pub absolute_timeout: Option<HumanDuration>,
    /// Renew so long before the access token expires, in the background; 0s switches that off. Default: 30s.
    pub refresh_ahead: Option<HumanDuration>,
    /// How long a spent refresh token still finds its successor, once that is in use. Default: 60s.
    pub refresh_grace: Option<HumanDuration>,
    /// How long a request waits for a renewal before it is answered 503. Default: 5s.
    pub refresh_wait: Option<HumanDuration>,
    /// What a spent refresh token does after the grace. Default: revoke.
    pub on_reuse: Option<OnReuse>,
    /// Where renewals are recorded: `memory`, or a server that several instances share. Default: memory.
    #[schemars(with = "Option<TextOr<StoreName, Store>>")]
    pub store: Option<TextOr<String, Store>>,
    /// Where the tokens of sessions are: in `cookies`, or in the `store`, with a random key in the cookie. Default: cookies.
    pub tokens: Option<TokenPlace>,
    /// How many renewals are remembered at most, and how many sessions are kept in memory. Default: 100000.
    pub max_records: Option<usize>,
    /// The cookies that carry the tokens. Default: Usher's own, sealed.
    pub cookies: Option<Cookies>,
}

/// A store that needs no more to be said, as the schema lists them.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "nobody makes one: the schema shows it")]
enum StoreName {
    /// The memory of this process.
    Memory,
}

/// A store that several instances share.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "memory or { redis: … }")]
pub struct Store {
    /// Redis or Valkey.
    #[schemars(required)]
    pub redis: Option<Redis>,
}

/// Redis 6.2 or later, or Valkey: one server, one behind Sentinels, or a Cluster.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Redis {
    /// `redis://` or, with TLS, `rediss://`, as in `rediss://user@host:6379/0`: the server, or as a list the Sentinels, or some
    /// nodes of the Cluster.
    #[schemars(required)]
    pub url: Option<OneOrMany<String>>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// The URLs are those of Sentinels, which know the master by this name.
    pub sentinel: Option<String>,
    /// The URLs are those of nodes of a Cluster. Default: false.
    pub cluster: Option<bool>,
    /// Authorities to trust instead of the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// How long one operation may take. Default: 500ms.
    pub timeout: Option<HumanDuration>,
    /// What the names of all keys and of the channel begin with. Default: usher.
    pub prefix: Option<String>,
}

/// One more secret, from a file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "text or { file: … }")]
pub struct SecretFile {
    /// The file.
    #[schemars(required)]
    pub file: Option<PathBuf>,
}

/// The cookies that carry the tokens: Usher's own, or with `sealed: false` those of an existing service.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Cookies {
    /// Name of the existing service's cookie with the access token.
    pub access: Option<String>,
    /// Name of the existing service's cookie with the refresh token.
    pub refresh: Option<String>,
    /// Whether Usher seals the tokens into cookies of its own. Default: true.
    pub sealed: Option<bool>,
}
