//! `tls.acme`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::OneOrMany;
use crate::config::AcmeChallenge;

/// Certificates from an authority that speaks ACME (RFC 8555), such as Let's Encrypt: ordered and renewed by Usher itself.
/// Needs a `state_directory`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct Acme {
    /// The authority's directory. Default: Let's Encrypt, `https://acme-v02.api.letsencrypt.org/directory`.
    pub directory: Option<String>,
    /// Mail addresses that the authority may write to. One or a list. Default: none.
    pub contact: Option<OneOrMany<String>>,
    /// An account that you have with the authority already, where it issues to such accounts only.
    pub external_account: Option<ExternalAccount>,
    /// That you agree to the authority's terms of service: must be true.
    #[schemars(required)]
    pub agree_to_terms: Option<bool>,
    /// How the authority sees that a name is yours: `tls-alpn-01` on the https listener, which it reaches at port 443, or
    /// `http-01` on the http listener, at port 80. Default: tls-alpn-01.
    pub challenge: Option<AcmeChallenge>,
    /// Hosts of sites that certificates are ordered for. One or a list. Default: those of all sites.
    pub hosts: Option<OneOrMany<String>>,
    /// File with the CA of the authority's own certificate, PEM, beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
}

/// Binds Usher's account to one that you have with the authority already (RFC 8555 §7.3.4), as it is made.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with key_id and hmac_key_file")]
pub struct ExternalAccount {
    /// The name of its key, as the authority gives it.
    #[schemars(required)]
    pub key_id: Option<String>,
    /// File with its HMAC key, base64url, as the authority gives it.
    #[schemars(required)]
    pub hmac_key_file: Option<PathBuf>,
}
