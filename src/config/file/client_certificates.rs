//! `client_certificates` of a site.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// Certificates that clients show in the TLS handshake. The application gets what was shown in `Client-Cert` (RFC 9440).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with ca_file")]
pub struct ClientCertificates {
    /// File with the authorities whose certificates count, PEM.
    #[schemars(required)]
    pub ca_file: Option<PathBuf>,
    /// Whether nobody gets in without one. Default: true.
    pub required: Option<bool>,
}
