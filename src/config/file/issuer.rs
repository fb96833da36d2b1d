//! `issuers`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{HumanDuration, Scalar};
use crate::config::{ExchangeFormat, Secret};

/// Somebody whose tokens count. The keys come from OIDC discovery unless one of `jwks_url`, `public_key_file`,
/// `hmac_secret`, `hmac_secret_file` and `local` is given.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Issuer {
    /// Exactly what the `iss` claim of the tokens says. Needed but with `local`, where it is by default
    /// `https://HOST/.usher/issuer` at the first site of the issuer.
    pub issuer: Option<String>,
    /// Where Usher dials the issuer for discovery, when that differs from `issuer`.
    pub backchannel_url: Option<String>,
    /// The client that Usher is at the authorization server.
    pub client_id: Option<String>,
    /// The secret of that client.
    pub client_secret: Option<Secret>,
    /// A file with the secret of that client.
    pub client_secret_file: Option<PathBuf>,
    /// A file with the private key of that client, instead of a secret: PEM (PKCS#8), for `private_key_jwt` (RFC 7523). Its public
    /// half is served at `/.usher/client-jwks.json` on the issuer's sites, to register there.
    pub client_key_file: Option<PathBuf>,
    /// The name of that key in the key set (`kid`). Default: its thumbprint (RFC 7638).
    pub client_key_id: Option<String>,
    /// What that key signs with. Needed with an RSA key; other keys are for one algorithm.
    #[schemars(with = "Option<ClientKeyAlgorithm>")]
    pub client_key_algorithm: Option<String>,
    /// For whom what the client signs is meant (`aud`). Default: the `issuer`; the URL of the token endpoint for servers that take
    /// nothing else.
    pub client_assertion_audience: Option<String>,
    /// How the client authenticates. Default: `private_key_jwt` with a key, `basic` with a secret, `none` without.
    pub client_authentication: Option<ClientAuthenticationMethod>,
    /// The scope to ask for at sign-in. Default: `openid`.
    pub scopes: Option<Vec<String>>,
    /// More parameters of the authorization request, such as `prompt`, `acr_values`, `max_age`, `audience` or `resource`.
    pub authorization_parameters: Option<BTreeMap<String, Scalar>>,
    /// Sends people who sign out on to the issuer, to sign out there as well, when discovery names an endpoint for that (OIDC
    /// RP-Initiated Logout 1.0). Register `https://SITE/.usher/sign-out` there, to come back to. Default: true.
    pub end_session: Option<bool>,
    /// Which token says who somebody is. Default: `access_token`, which is a JWT. `introspection`: the access token, about which
    /// the issuer is asked, for opaque ones. `id_token`: for issuers whose access tokens are meant for others; its `aud` is the
    /// `client_id`, and `audiences` are not needed then.
    pub identity: Option<Identity>,
    /// Where the issuer is asked about tokens (RFC 7662), with `identity: introspection`. Default: where discovery says.
    pub introspection_endpoint: Option<String>,
    /// For how long an answer of introspection counts, at most 10m: so long may a revocation at the issuer take to hold here.
    /// `0s` asks about every request. Default: 30s.
    pub introspection_cache: Option<HumanDuration>,
    /// A token's `aud` must hold one of these. Needed unless `identity` is `id_token`, and but with `local`,
    /// where it is the issuer by default.
    pub audiences: Option<Vec<String>>,
    /// The algorithms that tokens may be signed with. Default: RS256 and ES256 with discovery and `jwks_url`; else there
    /// is none.
    #[schemars(with = "Option<Vec<AlgorithmName>>")]
    pub algorithms: Option<Vec<String>>,
    /// The `typ` that a token must have, for issuers that follow RFC 9068: `at+jwt`. Default: absent, `JWT` or `at+jwt`, but
    /// nothing with the claims of an ID token or a logout token.
    pub token_type: Option<String>,
    /// Tolerance for clocks that differ. Default: 5s.
    pub leeway: Option<HumanDuration>,
    /// A key set (JWKS) at a fixed URL.
    pub jwks_url: Option<String>,
    /// A file with one public key, PEM.
    pub public_key_file: Option<PathBuf>,
    /// A shared HMAC secret of at least 32 bytes.
    pub hmac_secret: Option<Secret>,
    /// A file with a shared HMAC secret of at least 32 bytes.
    pub hmac_secret_file: Option<PathBuf>,
    /// Allows plain `http://` towards the issuer: fine inside a compose network, never by accident. Default: false.
    pub insecure_http: Option<bool>,
    /// A PEM file with certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Until an answer of the issuer is complete. Default: 10s.
    pub timeout: Option<HumanDuration>,
    /// How a refresh token is exchanged. Default: at the token endpoint that discovery names, when there is a `client_id`.
    pub refresh: Option<Refresh>,
    /// The application's own login, whose answers Usher takes the tokens from.
    pub login: Option<Login>,
    /// Makes Usher itself the issuer: for users of its own, without any identity provider.
    pub local: Option<Local>,
}

/// Which token of an issuer says who somebody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The access token, a JWT for one of the audiences.
    #[default]
    AccessToken,
    /// The ID token.
    IdToken,
    /// The access token, opaque or not: the issuer is asked what it says.
    Introspection,
}

/// The issuer inside Usher.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with users_file")]
pub struct Local {
    /// The file with the users, YAML, kept with `usher user`.
    #[schemars(required)]
    pub users_file: Option<PathBuf>,
    /// How long an access token is good. Default: 5m.
    pub access_token_lifetime: Option<HumanDuration>,
    /// How long after the sign-in its refresh tokens end, but no later than `session.absolute_timeout`. Default: 30d.
    pub refresh_token_lifetime: Option<HumanDuration>,
    /// How long one key signs before the next one does. Default: 30d.
    pub signing_key_lifetime: Option<HumanDuration>,
}

/// How the client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuthenticationMethod {
    /// In the `Authorization` header.
    Basic,
    /// In the form.
    Post,
    /// By what it signs with its private key (RFC 7523).
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt,
    /// Not at all: a public client.
    None,
}

/// How a refresh token is exchanged: at an OAuth `token_endpoint`, or at the `url` of an existing token service.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with token_endpoint or url")]
pub struct Refresh {
    /// The OAuth token endpoint, for issuers without discovery.
    pub token_endpoint: Option<String>,
    /// Where an existing token service takes refresh tokens.
    pub url: Option<String>,
    /// How it takes them. Default: json.
    pub send: Option<ExchangeFormat>,
    /// The field that carries the refresh token. Default: `refresh_token`.
    pub field: Option<String>,
    /// JSON Pointer to the access token in the answer. Default: `/access_token`.
    pub access_token: Option<String>,
    /// JSON Pointer to the new refresh token in the answer. Default: `/refresh_token`.
    pub refresh_token: Option<String>,
}

/// The application's own login. Its tokens are in the JSON body of the answer, or in cookies.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with path")]
pub struct Login {
    /// The path that the login is posted to. It becomes public on every site of this issuer.
    #[schemars(required)]
    pub path: Option<String>,
    /// The application's login page, on a public route. People without a session are sent there.
    pub page: Option<String>,
    /// JSON Pointer to the access token in the answer. Default: `/access_token`.
    pub access_token: Option<String>,
    /// JSON Pointer to the refresh token in the answer. Default: `/refresh_token`.
    pub refresh_token: Option<String>,
    /// The cookies that carry the tokens, instead of the body.
    pub cookies: Option<LoginCookies>,
}

/// Names of the cookies that a login answers with.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with access and refresh")]
pub struct LoginCookies {
    /// The cookie with the access token.
    #[schemars(required)]
    pub access: Option<String>,
    /// The cookie with the refresh token, if there is one.
    pub refresh: Option<String>,
}

/// What the key of a client may sign with, for the schema.
struct ClientKeyAlgorithm;

impl JsonSchema for ClientKeyAlgorithm {
    fn schema_name() -> Cow<'static, str> {
        "ClientKeyAlgorithm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": crate::config::check::client_key_algorithm_names() })
    }
}

/// The algorithms, for the schema; the check has more to say about wrong ones than serde would.
struct AlgorithmName;

impl JsonSchema for AlgorithmName {
    fn schema_name() -> Cow<'static, str> {
        "Algorithm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": crate::config::check::algorithm_names() })
    }
}
