//! `session`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{HumanDuration, OneOrMany, TextOr};
use crate::config::{OnReuse, Secret};

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
    /// Where renewals are recorded. This version knows `memory` only. Default: memory.
    #[schemars(extend("enum" = ["memory"]))]
    pub store: Option<String>,
    /// How many renewals are remembered at most. Default: 100000.
    pub max_records: Option<usize>,
    /// The cookies that carry the tokens. Default: Usher's own, sealed.
    pub cookies: Option<Cookies>,
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
