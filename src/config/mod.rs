//! The configuration: what the operator wrote, checked once, as types that cannot be wrong.
//!
//! [`load()`] reads the file and the environment into a serde mirror of the file ([`mod@file`]), turns that into the types of
//! this module and reports *all* problems at once ([`ConfigError`]). Nothing above re-checks anything, and every default
//! is written in one place. This module knows no other part of the crate but `oauth`: it does not connect, bind or
//! resolve anything, though it does read the files that the configuration names (secrets, keys, certificates), because a
//! missing file is a problem of the configuration.

mod check;
mod defaults;
mod display;
mod document;
pub mod error;
pub mod file;
mod load;
mod overlay;
mod path;
mod repair;
mod report;
pub mod schema;
mod secret;
mod strict;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::oauth::{Algorithm, ClaimPath};

pub use error::{ConfigError, Note, Problem};
pub use load::{Format, Loaded, Sources, load};
pub use secret::Secret;

/// A whole checked configuration. Lists are indexed by the id types ([`IssuerId`], [`UpstreamId`], [`IdentitySetId`]).
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// Certificates of the TLS listener.
    pub tls: Tls,
    /// Peers whose `X-Forwarded-*` and PROXY protocol headers are believed. Empty: nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// Everybody whose tokens count somewhere.
    pub issuers: Vec<Issuer>,
    /// Cookies, life times, renewal.
    pub session: Session,
    /// The applications, by host.
    pub sites: Vec<Site>,
    /// Every distinct upstream that a route names.
    pub upstreams: Vec<Upstream>,
    /// Every distinct set of identity headers that a route sends.
    pub identity_sets: Vec<Vec<IdentityHeader>>,
    /// Every header name that only Usher may say, on any site: identity headers and `strip_headers` of all sites.
    pub reserved_headers: Vec<HeaderName>,
    /// Bounds on what a client may do.
    pub limits: Limits,
    /// Format and level of the log.
    pub log: Log,
    /// How a drain goes.
    pub shutdown: Shutdown,
    /// Directory of templates that replace the built-in pages.
    pub pages: Option<PathBuf>,
    /// Where Usher keeps what must survive a restart (self-made certificates, assertion keys). `None`: nothing survives.
    pub state_directory: Option<PathBuf>,
}

/// The listening sockets. At least one of `https` and `plain` is not empty.
#[derive(Clone, Debug)]
pub struct Listen {
    /// TLS, HTTP/1.1 and HTTP/2.
    pub https: Vec<SocketAddr>,
    /// Plain HTTP whose only answer is a redirect to https.
    pub http: Vec<SocketAddr>,
    /// Plain HTTP that is served, to `trusted_proxies` only: a load balancer already ends TLS.
    pub plain: Vec<SocketAddr>,
    /// Health; never on a public listener.
    pub admin: Option<SocketAddr>,
    /// Connections from `trusted_proxies` begin with a PROXY protocol header (v1 or v2).
    pub proxy_protocol: bool,
}

/// The certificates.
#[derive(Clone, Debug)]
pub enum Tls {
    /// PEM files, chosen by SNI; the first is the default for clients that send no SNI.
    Files(Vec<CertificateFiles>),
    /// For development: one is made for all hosts of the sites and kept in the state directory, if there is one.
    SelfSigned,
    /// There is no TLS listener.
    None,
}

/// A certificate chain and its key, both PEM. That the files exist and can be read has been checked; their contents are
/// parsed where TLS is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Index of an issuer in [`Config::issuers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(pub usize);

/// Somebody whose tokens count.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The key under `issuers` in the file: a short name for logs.
    pub name: Arc<str>,
    /// Exactly what `iss` says.
    pub issuer: String,
    /// Where the keys come from.
    pub keys: KeySource,
    /// The client that Usher is at the authorization server, if it is one.
    pub client: Option<Client>,
    /// A token's `aud` must hold one of these. Never empty.
    pub audiences: Vec<String>,
    /// The algorithms that a token of this issuer may be signed with. Never empty; `none` cannot be said.
    pub algorithms: Vec<Algorithm>,
    /// The `typ` that a token must have, when the issuer follows RFC 9068 (`at+jwt`); `None` accepts an absent one, `JWT`
    /// and `at+jwt`.
    pub token_type: Option<String>,
    /// Tolerance for clocks that differ, applied to `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// How a refresh token is exchanged; `None`: this issuer's tokens are not renewed.
    pub refresh: Option<Refresh>,
    /// The application's own login, whose answers Usher takes the tokens from.
    pub login: Option<Login>,
    /// How Usher dials the issuer.
    pub transport: IssuerTransport,
}

/// Where verification keys come from.
#[derive(Clone, Debug)]
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
}

/// The client credentials at the token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// How the client authenticates.
    pub authentication: ClientAuthentication,
    /// The scope that is asked for at sign-in.
    pub scopes: Vec<String>,
}

/// How the client authenticates at the token endpoint.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: form-urlencoded, then Base64 in `Authorization`.
    Basic(Secret),
    /// `client_secret_post`: in the form.
    Post(Secret),
    /// A public client: `client_id` in the form only.
    None,
}

/// How Usher dials an issuer.
#[derive(Clone, Debug)]
pub struct IssuerTransport {
    /// More roots to trust, PEM, checked to parse. `None`: the system's.
    pub ca: Option<Vec<u8>>,
    /// Until an answer is complete; also the bound on one connection attempt.
    pub timeout: Duration,
}

/// How a refresh token is exchanged for new tokens.
#[derive(Clone, Debug)]
pub enum Refresh {
    /// RFC 6749 §6 at the token endpoint that discovery names.
    Discovered,
    /// RFC 6749 §6 at this token endpoint.
    TokenEndpoint(Url),
    /// The exchange of an existing token service.
    Exchange(RefreshExchange),
}

/// The refresh endpoint of an existing token service that is not OAuth.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
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
    /// Bound on the number of renewal records in memory.
    pub max_records: usize,
    /// The cookies.
    pub cookies: Cookies,
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

/// Which cookies carry the tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cookies {
    /// Usher's own: `__Host-usher-access` and `__Host-usher-refresh`, sealed.
    Sealed,
    /// Those of an existing service, raw, under its names.
    Raw {
        /// Name of the cookie with the access token.
        access: String,
        /// Name of the cookie with the refresh token.
        refresh: String,
    },
}

/// One application, by host.
#[derive(Clone, Debug)]
pub struct Site {
    /// The host or pattern.
    pub host: HostPattern,
    /// Its routes, in winning order (most specific first), what they inherit filled in.
    pub routes: Vec<Arc<Route>>,
}

/// The host of a site, lower case, without port and trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `app.example.com`, or an IP address as it stands in `Host` (IPv6 in brackets).
    Exact(String),
    /// `*.corp.example.com`: exactly one label before the suffix, which is kept with its leading dot.
    OneLabel(String),
}

/// Index of an upstream in [`Config::upstreams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub usize);

/// Index of a set of identity headers in [`Config::identity_sets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdentitySetId(pub usize);

/// One route, with everything it inherits from its site.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each mirrors a key of the file that is true or false")]
pub struct Route {
    /// Short and stable, for logs: `app.example.com/admin/` plus the methods when there are any.
    pub name: Arc<str>,
    /// What it covers.
    pub path: PathPattern,
    /// The methods that the route is for; `None`: all but TRACE and CONNECT.
    pub methods: Option<Vec<Method>>,
    /// Whether paths match whatever the case. The bytes go on unchanged.
    pub ignore_case: bool,
    /// Who gets in.
    pub access: Access,
    /// Whose tokens count, in the operator's order. Empty only when `access` is [`Access::Public`].
    pub issuers: Vec<IssuerId>,
    /// Conditions on the claims, all of which must hold. Empty unless `access` is [`Access::Required`].
    pub require: Vec<Condition>,
    /// Where the request goes.
    pub upstream: UpstreamId,
    /// Claims to headers.
    pub identity: IdentitySetId,
    /// Send a short-lived signed JWT of the identity in `X-Usher-Assertion`.
    pub assertion: bool,
    /// Pass the access token on as `Authorization: Bearer`.
    pub forward_access_token: bool,
    /// What the application expects in `Authorization` (or another header) instead of what the client sent.
    pub upstream_authorization: Option<(HeaderName, HeaderValue)>,
    /// Taken off the front of the path after matching; whole segments, begins with `/`, no slash at its end.
    pub strip_prefix: Option<String>,
    /// Sent to the upstream as `Host` in place of the client's.
    pub rewrite_host: Option<HeaderValue>,
    /// The form of the answer to a request without credentials.
    pub unauthenticated: Unauthenticated,
    /// Whether a 403 names what was required.
    pub explain_refusals: bool,
    /// Time-outs towards the application.
    pub timeouts: Timeouts,
    /// Larger request bodies are refused with 413. `None`: no bound.
    pub body_limit: Option<u64>,
    /// Origins (as in the `Origin` header, lower case) besides the site's own that may send unsafe requests with cookies,
    /// open WebSockets, and read refusals (CORS) when `cors` is set.
    pub allowed_origins: Vec<String>,
    /// Whether refusals carry CORS headers for `allowed_origins`, and preflights from them pass to the application
    /// without an identity.
    pub cors: bool,
    /// When this is the path of an issuer's own login: take the tokens out of the answer to a `POST`.
    pub login: Option<IssuerId>,
}

/// What a route covers. Canonical, as the router matches it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// Exactly this path.
    Exact(String),
    /// `/admin/`: that segment and everything below it. Kept with its slash at the end; `/` covers everything.
    Prefix(String),
}

/// Who gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Only with a token that counts.
    Required,
    /// With an identity if there is one, without otherwise.
    Optional,
    /// Everybody; no identity is looked at or sent.
    Public,
}

/// A condition on one claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Which claim.
    pub claim: ClaimPath,
    /// What must hold of it.
    pub test: ConditionTest,
}

/// What must hold of a claim. A claim "holds" a value when it equals it or is a list with it as a member; the `scope`
/// claim holds a string when that is one of its words. An absent claim holds nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum ConditionTest {
    /// Holds at least one of these.
    Any(Vec<Value>),
    /// Holds all of these.
    All(Vec<Value>),
    /// Holds none of these: an absent claim passes.
    None(Vec<Value>),
}

/// One header made of a claim; an absent claim makes no header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityHeader {
    /// The header.
    pub name: HeaderName,
    /// The claim.
    pub claim: ClaimPath,
}

/// The form of the answer to a request without credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unauthenticated {
    /// By the kind of request: navigations are sent to sign in, everything else gets a status.
    Auto,
    /// Always a redirect.
    Redirect,
    /// Always a status.
    Status,
}

/// Time-outs towards the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From the request's last byte until the head of the answer.
    pub response: Duration,
    /// Silence in a body or an upgraded stream, in either direction.
    pub idle: Duration,
}

/// One or more equivalent addresses of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Never empty.
    pub addresses: Vec<UpstreamAddress>,
    /// For `https` addresses.
    pub tls: UpstreamTls,
}

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// `http://host:port`: HTTP/1.1.
    Http {
        /// Name or address, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `https://host:port`: HTTP/2 or HTTP/1.1 by ALPN.
    Https {
        /// Name or address, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `h2c://host:port`: HTTP/2 with prior knowledge, without TLS.
    H2c {
        /// Name or address, IPv6 in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path/to/socket`: HTTP/1.1.
    Unix(PathBuf),
}

/// TLS towards an application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The roots to trust instead of the system's: PEM, checked to parse.
    pub ca: Option<Vec<u8>>,
    /// The certificate that Usher presents.
    pub client_certificate: Option<CertificateFiles>,
    /// The name that the certificate must have, when it is not the host of the address.
    pub server_name: Option<String>,
}

/// Bounds on what a client may do. A figure that is exceeded is answered with the status in its comment where HTTP is
/// spoken already, else by closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head (431).
    pub header_bytes: u32,
    /// Header fields of a request (431).
    pub header_count: usize,
    /// Connections at once, over all listeners but admin.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_address: usize,
    /// Concurrent streams on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// Until the TLS handshake (and the PROXY header before it) is complete.
    pub handshake_timeout: Duration,
    /// Until a request's head is complete (408).
    pub header_timeout: Duration,
    /// Silence on a connection between requests.
    pub idle_timeout: Duration,
    /// Silence while a client sends a request body or reads an answer.
    pub body_timeout: Duration,
    /// A connection older than this is closed gracefully after the request at hand.
    pub connection_age: Duration,
    /// Bytes of verified tokens that are kept in memory.
    pub token_cache_bytes: u64,
}

/// Format and level of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// A filter directive of `tracing`: `info`, `usher=debug,info`.
    pub level: String,
    /// How the subject stands in the access log.
    pub subject: LogSubject,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How the subject stands in the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogSubject {
    /// As it is.
    Plain,
    /// The first 16 hexadecimal digits of its SHA-256 under the session secret: one person stays one person.
    Hash,
    /// Not at all.
    Omit,
}

/// How a drain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Between `/readyz` turning 503 and the listeners closing: time for a load balancer to notice.
    pub delay: Duration,
    /// How long requests at hand may take after that.
    pub deadline: Duration,
}
