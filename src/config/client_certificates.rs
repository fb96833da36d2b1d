//! Certificates that clients of a site are to show.

use super::HostPattern;

/// What a site asks of its clients in the TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The host of the site.
    pub host: HostPattern,
    /// Whose certificates count, in PEM.
    pub authorities: Vec<u8>,
    /// Whether nobody gets in without one.
    pub required: bool,
}

impl ClientCertificates {
    /// What is asked for, in words.
    #[must_use]
    pub const fn asks(&self) -> &'static str {
        if self.required { "required" } else { "asked for" }
    }
}
