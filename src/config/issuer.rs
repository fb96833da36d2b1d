//! Everybody whose tokens count: keys, client, refresh, login.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{LocalIssuer, Secret};
use crate::oauth::{Algorithm, SigningKey};

/// Index of an issuer in [`Config::issuers`](super::Config::issuers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(pub usize);

impl IssuerId {
    /// Whoever vouches for identities by certificate. None of the list: nothing is looked up by it, and no token is of it.
    pub const CERTIFICATES: Self = Self(usize::MAX);
}

/// Somebody whose tokens count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The key under `issuers` in the file: a short name for logs.
    pub name: Arc<str>,
    /// Exactly what `iss` says.
    pub issuer: String,
    /// Where the keys come from.
    pub keys: KeySource,
    /// The client that Usher is at the authorization server, if it is one.
    pub client: Option<Client>,
    /// Which token says who somebody is.
    pub identity: IdentityToken,
    /// A token's `aud` must hold one of these. Never empty.
    pub audiences: Vec<String>,
    /// The algorithms that a token of this issuer may be signed with. Never empty; `none` cannot be said.
    pub algorithms: Vec<Algorithm>,
    /// The `typ` that a token must have, when the issuer follows RFC 9068 (`at+jwt`); `None` accepts an absent one, `JWT`
    /// and `at+jwt`, where no claim shows that the token is of another kind.
    pub token_type: Option<String>,
    /// Tolerance for clocks that differ, applied to `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// How a refresh token is exchanged; `None`: this issuer's tokens are not renewed, unless it is the local one.
    pub refresh: Option<Refresh>,
    /// The application's own login, whose answers Usher takes the tokens from.
    pub login: Option<Login>,
    /// How Usher dials the issuer.
    pub transport: IssuerTransport,
}

impl Issuer {
    /// How it is asked about its tokens, when that is how they are verified.
    #[must_use]
    pub const fn introspection(&self) -> Option<&Introspection> {
        match &self.identity {
            IdentityToken::Introspected(introspection) => Some(introspection),
            IdentityToken::AccessToken | IdentityToken::IdToken => None,
        }
    }

    /// Where its tokens are introspected, if the configuration says that itself.
    #[must_use]
    pub const fn introspection_endpoint(&self) -> Option<&Url> {
        match self.introspection() {
            Some(introspection) => introspection.endpoint.as_ref(),
            None => None,
        }
    }

    /// What is configured of it, when Usher itself is the issuer.
    #[must_use]
    pub const fn local(&self) -> Option<&LocalIssuer> {
        match &self.keys {
            KeySource::Local(local) => Some(local),
            KeySource::Discovery { .. } | KeySource::JwksUrl(_) | KeySource::PublicKey(_) | KeySource::Hmac(_) => None,
        }
    }
}

/// Where verification keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// OIDC discovery at this base URL (the issuer, or the `backchannel_url` when that differs): the document is at
    /// `{base}/.well-known/openid-configuration`, and URLs in it that begin with the issuer are dialled at the base.
    Discovery {
        /// Where to dial; equals the issuer unless `backchannel_url` says otherwise. Without a trailing slash.
        base: Url,
    },
    /// A JWK Set (RFC 7517 §5) at a fixed URL.
    JwksUrl(Url),
    /// One public key, PEM (SPKI, PKCS#1 or a certificate is *not* read), checked to parse.
    PublicKey(Vec<u8>),
    /// A shared HMAC secret.
    Hmac(Secret),
    /// Usher itself is the issuer, which renews its own tokens.
    Local(LocalIssuer),
}

/// The client credentials at the token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// How the client authenticates.
    pub authentication: ClientAuthentication,
    /// The scope that is asked for at sign-in.
    pub scopes: Vec<String>,
    /// What the authorization request says besides, such as `prompt` or `audience`; nothing that Usher says by itself.
    pub authorization_parameters: Vec<(String, String)>,
    /// Whether who signs out here is sent to the issuer's end-session endpoint, if it has one, to sign out there as well.
    pub end_session: bool,
}

/// Which token of an issuer says who somebody is: that is the one which is kept, verified with every request, and renewed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IdentityToken {
    /// The access token, a JWT for one of the audiences.
    #[default]
    AccessToken,
    /// The ID token (OIDC Core §2), for issuers whose access tokens are opaque or meant for others.
    IdToken,
    /// The access token, opaque or not: the issuer is asked what it says (RFC 7662).
    Introspected(Introspection),
}

/// How an issuer is asked about a token (RFC 7662).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspection {
    /// Where; `None`: where discovery says.
    pub endpoint: Option<Url>,
    /// For how long an answer counts, and never beyond the token's `exp`: as long a revocation may take to hold.
    pub cache: Duration,
}

/// How people sign in with an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn<'a> {
    /// On the application's own login page, at this path.
    LoginPage(&'a str),
    /// At the authorization server, which sends them back with a code (RFC 6749 §4.1).
    AuthorizationServer(&'a Client),
    /// On the page of the local issuer.
    LocalIssuer,
}

impl Issuer {
    /// How people sign in with it. `None`: its tokens only count.
    #[must_use]
    pub fn sign_in(&self) -> Option<SignIn<'_>> {
        if let Some(page) = self.login.as_ref().and_then(|login| login.page.as_deref()) {
            return Some(SignIn::LoginPage(page));
        }
        if matches!(self.keys, KeySource::Local(_)) {
            return Some(SignIn::LocalIssuer);
        }
        let client = self.client.as_ref().filter(|_| matches!(self.keys, KeySource::Discovery { .. }))?;
        Some(SignIn::AuthorizationServer(client))
    }
}

/// How the client authenticates at the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: form-urlencoded, then Base64 in `Authorization`.
    Basic(Secret),
    /// `client_secret_post`: in the form.
    Post(Secret),
    /// `private_key_jwt`: what it signs with a key of its own, in the form (RFC 7523 §2.2).
    PrivateKey(ClientKey),
    /// A public client: `client_id` in the form only.
    None,
}

/// The key of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// The key.
    pub key: Arc<SigningKey>,
    /// For whom what it signs is meant (`aud`).
    pub audience: String,
}

/// How Usher dials an issuer, or a collector of spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerTransport {
    /// More roots to trust, PEM, checked to parse. `None`: the system's.
    pub ca: Option<Vec<u8>>,
    /// Until an answer is complete; also the bound on one connection attempt.
    pub timeout: Duration,
    /// Never: whatever would be fetched cannot be had. No key of the file, but what a command that must not dial asks for.
    pub offline: bool,
}

/// How a refresh token is exchanged for new tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// RFC 6749 §6 at the token endpoint that discovery names.
    Discovered,
    /// RFC 6749 §6 at this token endpoint.
    TokenEndpoint(Url),
    /// The exchange of an existing token service.
    Exchange(RefreshExchange),
}

/// The refresh endpoint of an existing token service that is not OAuth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshExchange {
    /// Where the refresh token is posted to.
    pub url: Url,
    /// How it is posted.
    pub send: ExchangeFormat,
    /// The name of the field that carries the refresh token.
    pub field: String,
    /// Where the tokens are in the JSON answer.
    pub tokens: TokenPointers,
}

/// How an existing token service wants the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExchangeFormat {
    /// A JSON object with one field.
    Json,
    /// `application/x-www-form-urlencoded` with one field.
    Form,
}

/// Where tokens stand in a JSON answer, as JSON Pointers (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPointers {
    /// The access token.
    pub access_token: String,
    /// The refresh token, where there is one.
    pub refresh_token: Option<String>,
}

/// The application's own login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The path that the login is posted to; public on every site of the issuer, and captured there for `POST`.
    pub path: String,
    /// Where the tokens are in a successful answer.
    pub tokens: LoginTokens,
    /// The application's login page, for navigations without a session. It lies on a public route.
    pub page: Option<String>,
}

/// Where a login answer carries its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginTokens {
    /// In the JSON body.
    Body(TokenPointers),
    /// In cookies of these names, which are taken out of `Set-Cookie`.
    Cookies {
        /// Name of the cookie with the access token.
        access: String,
        /// Name of the cookie with the refresh token.
        refresh: Option<String>,
    },
}
