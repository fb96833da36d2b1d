//! `client_certificates` of a site.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::CertificateField;

/// Certificates that clients show in the TLS handshake. The application gets what was shown in `Client-Cert` (RFC 9440).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with ca_file")]
pub struct ClientCertificates {
    /// File with the authorities whose certificates count, PEM.
    #[schemars(required)]
    pub ca_file: Option<PathBuf>,
    /// File with lists of certificates that these authorities have revoked, PEM: one of each authority, complete, and in its
    /// time. Default: none are read.
    pub crl_file: Option<PathBuf>,
    /// Whether nobody gets in without one. Default: true.
    pub required: Option<bool>,
    /// What a certificate says of whoever shows it, where no token does: claim → `subject_dn`, `common_name`, `san_email`,
    /// `san_dns` or `san_uri`. `sub` is one of the claims. Default: nothing, a certificate is no identity.
    pub identity: Option<BTreeMap<String, CertificateField>>,
}
