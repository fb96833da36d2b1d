//! The configuration: what the operator wrote, checked once, as types that cannot be wrong.
//!
//! [`load()`] reads the file and the environment into a serde mirror of the file ([`mod@file`]), turns that into the types of
//! this module and reports *all* problems at once ([`ConfigError`]). Nothing above re-checks anything, and every default
//! is written in one place. This module knows no other part of the crate but `oauth`: it does not connect, bind or
//! resolve anything, though it does read the files that the configuration names (secrets, keys, certificates), because a
//! missing file is a problem of the configuration.

mod acme;
mod bundle;
mod changed;
mod check;
mod client_certificates;
mod client_warnings;
mod defaults;
mod display;
mod document;
pub mod error;
pub mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod issuer;
mod listen;
mod load;
mod local_issuer;
mod operation;
mod overlay;
mod password_hash;
mod path;
mod rate_limit;
mod repair;
mod report;
pub mod schema;
mod secret;
mod session;
mod site;
mod strict;
#[cfg(test)]
mod tests;
mod totp;
mod traces;
mod upstream;
pub mod users;
mod version;
mod words;

use std::path::PathBuf;

use http::HeaderName;
use ipnet::IpNet;

pub use acme::{Acme, AcmeChallenge, ExternalAccount};
pub use bundle::Bundle;
pub use changed::changed_keys;
pub use client_certificates::{
    CERTIFICATE_ISSUER, CertificateField, ClientCertificates, RevocationListEnd, RevocationLists,
};
pub use client_warnings::ClientCertificateWarning;
pub use error::{ConfigError, Note, Problem};
pub use issuer::{
    Client, ClientAuthentication, ClientKey, ExchangeFormat, IdentityToken, Introspection, Issuer, IssuerId,
    IssuerTransport, KeySource, Login, LoginTokens, Refresh, RefreshExchange, SignIn, TokenPointers,
};
pub use listen::{Admin, CertificateFiles, Listen, Tls, listening_remedy};
pub use load::{Format, Loaded, LocalUsers, Sources, admin_address, load, local_users};
pub use local_issuer::{FoldedName, LocalIssuer, User, Users};
pub use operation::{Limits, Log, LogFormat, LogSubject, Shutdown};
pub use password_hash::{Cost, HashError, PasswordHash};
pub use rate_limit::{LimitedBy, RateLimit, RateLimitId};
pub use secret::Secret;
pub use session::{Arrangement, Cookies, OnReuse, Redis, Session, SessionStore, TokenPlace};
pub use site::{
    Access, Authentication, Condition, ConditionTest, HostPattern, IdentityHeader, IdentitySetId, PathPattern, Route,
    RouteId, Site, Timeouts, Unauthenticated,
};
pub use totp::{TotpError, TotpSecret};
pub use traces::{Otlp, Ratio, TraceSource, Tracing};
pub use upstream::{
    Balance, Circuit, Ejection, HealthCheck, Upstream, UpstreamAddress, UpstreamCare, UpstreamId, UpstreamTls,
};
pub use words::{Direction, LanguageTag, Part, Text, Translation, Word, Words};

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
    /// What sites ask of their clients in the TLS handshake; those that ask for nothing are not there.
    pub client_certificates: Vec<ClientCertificates>,
    /// Every distinct upstream that a route names.
    pub upstreams: Vec<Upstream>,
    /// Every distinct set of identity headers that a route sends.
    pub identity_sets: Vec<Vec<IdentityHeader>>,
    /// Every distinct rate limit that holds on a route.
    pub rate_limits: Vec<RateLimit>,
    /// Every header name that only Usher may say, on any site: identity headers and `strip_headers` of all sites.
    pub reserved_headers: Vec<HeaderName>,
    /// Bounds on what a client may do.
    pub limits: Limits,
    /// Format and level of the log.
    pub log: Log,
    /// How Usher takes part in traces. `None`: not at all.
    pub tracing: Option<Tracing>,
    /// How a drain goes.
    pub shutdown: Shutdown,
    /// Directory of templates that replace the built-in pages.
    pub pages: Option<PathBuf>,
    /// What the pages say in other languages than English, or in other English.
    pub translations: Vec<Translation>,
    /// Where Usher keeps what must survive a restart (self-made certificates, assertion keys). `None`: nothing survives.
    pub state_directory: Option<PathBuf>,
}
