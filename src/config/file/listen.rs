//! `listen` and `tls`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Acme, OneOrMany, TextOr};
use crate::config::Secret;

/// Addresses with ports: `0.0.0.0:8443`, `[::]:8443`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Listen {
    /// TLS, HTTP/1.1 and HTTP/2. One address or a list.
    pub https: Option<OneOrMany<String>>,
    /// Plain HTTP that does nothing but redirect to https. One address or a list.
    pub http: Option<OneOrMany<String>>,
    /// Plain HTTP that is served, to `trusted_proxies` only, where a load balancer already ends TLS. One or a list.
    pub plain: Option<OneOrMany<String>>,
    /// Plain HTTP on which other proxies, of `trusted_proxies`, ask whether a request of theirs may pass, and as whom
    /// (forward authentication). Routes need no `upstream` then. One or a list.
    pub verify: Option<OneOrMany<String>>,
    /// `/healthz`, `/readyz`, `/metrics` and the status page; never on a public listener. An address, or keys. One that
    /// others than this machine reach needs a token. Default: none.
    pub admin: Option<TextOr<String, Admin>>,
    /// Connections from `trusted_proxies` begin with a PROXY protocol header, v1 or v2. Default: false.
    pub proxy_protocol: Option<bool>,
}

/// The admin listener with credentials, or with names of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with address, token_file and hosts")]
pub struct Admin {
    /// Where it listens: `0.0.0.0:9901`.
    #[schemars(required)]
    pub address: Option<String>,
    /// What whoever reads metrics or the status page presents: as `Authorization: Bearer`, or as the password of Basic with
    /// any name, for browsers. At least 16 characters. Health is told to everybody.
    pub token: Option<Secret>,
    /// A file with that token.
    pub token_file: Option<PathBuf>,
    /// Names under which browsers may ask without a token, beside addresses and `localhost`. Default: none.
    pub hosts: Option<Vec<String>>,
}

/// The certificates of the https listener: files, such that an authority issues by ACME, or a self-made one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Tls {
    /// Certificates and keys, chosen by the name that the client asks for; the first is the default.
    pub certificates: Option<Vec<Certificate>>,
    /// For development: a certificate is made for the hosts of all sites. Default: false.
    pub self_signed: Option<bool>,
    /// Certificates that Usher orders from an authority, and renews, by itself.
    pub acme: Option<Acme>,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with certificate and key")]
pub struct Certificate {
    /// File with the chain, leaf first.
    #[schemars(required)]
    pub certificate: Option<PathBuf>,
    /// File with the private key: PKCS#8, PKCS#1 or SEC1.
    #[schemars(required)]
    pub key: Option<PathBuf>,
}
