//! Certificates that clients of a site are to show.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Bundle, Config, HostPattern};
use crate::clock::Timestamp;

/// What a site asks of its clients in the TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The host of the site.
    pub host: HostPattern,
    /// Whose certificates count, in PEM.
    pub authorities: Bundle,
    /// The lists of those that have been revoked, where any are read.
    pub revoked: Option<RevocationLists>,
    /// Whether nobody gets in without one.
    pub required: bool,
    /// What a certificate says of whoever shows it, by claim. Empty where it is no identity, else with `sub` among them.
    pub identity: Vec<(Box<str>, CertificateField)>,
}

/// What authorities have revoked (RFC 5280 §5).
#[derive(Clone, Debug)]
pub struct RevocationLists {
    /// The lists, in PEM.
    pub lists: Bundle,
    /// When each of them ends.
    pub ends: Vec<RevocationListEnd>,
}

impl RevocationLists {
    /// Until when it is known what each authority has revoked: the end of the first of the lists among which it divides that.
    #[must_use]
    pub fn known_until(&self) -> BTreeMap<&str, Timestamp> {
        let mut known = BTreeMap::new();
        for end in &self.ends {
            let at = known.entry(&*end.authority).or_insert(end.at);
            *at = end.at.min(*at);
        }
        known
    }
}

/// When a list of an authority ends.
#[derive(Clone, Debug)]
pub struct RevocationListEnd {
    /// The name of the authority.
    pub authority: String,
    /// Since when it has a tenth of its time left.
    pub late: Timestamp,
    /// When it ends.
    pub at: Timestamp,
}

/// Everything else is what the lists say.
impl PartialEq for RevocationLists {
    fn eq(&self, other: &Self) -> bool {
        self.lists == other.lists
    }
}

impl Eq for RevocationLists {}

impl ClientCertificates {
    /// What is asked for, in words.
    #[must_use]
    pub const fn asks(&self) -> &'static str {
        if self.required { "required" } else { "asked for" }
    }

    /// Whether a certificate says who somebody is.
    #[must_use]
    pub const fn identify(&self) -> bool {
        !self.identity.is_empty()
    }

    /// Who vouches for an identity by certificate: the `iss` of its claims, and what the log calls its issuer. Nothing that a
    /// certificate says is part of it, and no issuer of the file can be called so.
    #[must_use]
    pub fn issuer_name(&self) -> String {
        format!("{CERTIFICATE_ISSUER}{}", self.host)
    }
}

impl Config {
    /// What the site of this host asks for, if anything.
    #[must_use]
    pub fn client_certificates_of(&self, host: &HostPattern) -> Option<&ClientCertificates> {
        self.client_certificates.iter().find(|terms| terms.host == *host)
    }
}

/// What the names begin with of those who vouch for an identity by certificate.
pub const CERTIFICATE_ISSUER: &str = "client-certificate:";

/// A part of a certificate that can be a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateField {
    /// The subject as a whole, in the words of RFC 4514: `CN=alice,O=Example`.
    SubjectDn,
    /// The common name of the subject.
    CommonName,
    /// The e-mail address of the subject alternative names.
    SanEmail,
    /// The DNS name of the subject alternative names.
    SanDns,
    /// The URI of the subject alternative names, such as a SPIFFE ID.
    SanUri,
}
