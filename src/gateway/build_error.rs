//! Why a gateway cannot be built.

use super::pages::PagesError;
use crate::auth::assertion::AssertionKeyError;
use crate::forwarding::UpstreamTlsError;
use crate::issuer::{ClientError, IssuersError};
use crate::session::SealError;
use crate::state::database::DatabaseError;

/// Why a gateway cannot be built from a configuration that has passed its checks.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The operator's: see the cause.
    #[error("an issuer cannot be set up")]
    Issuers(#[from] IssuersError),
    /// The operator's: see the cause.
    #[error("TLS towards an upstream cannot be set up")]
    Upstreams(#[from] UpstreamTlsError),
    /// The operator's: see the cause.
    #[error("the pages cannot be used")]
    Pages(#[from] PagesError),
    /// The operator's, or the disk's.
    #[error("the key of the signed assertions cannot be used")]
    Assertions(#[from] AssertionKeyError),
    /// The operator's, or the disk's.
    #[error("the sign-outs before this start cannot be read")]
    Denials(#[from] DatabaseError),
    /// The operator's: see the cause.
    #[error("the collector of spans cannot be dialled")]
    Collector(#[source] ClientError),
    /// Ours.
    #[error("the session secrets cannot be used")]
    Sealing(#[from] SealError),
    /// The system's.
    #[error("the system has no randomness to give")]
    Randomness,
}

impl BuildError {
    /// Whether the operator has to mend it before another start can succeed.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Issuers(error) => error.is_configuration(),
            Self::Denials(error) => error.is_configuration(),
            Self::Upstreams(_) | Self::Pages(_) | Self::Collector(_) => true,
            Self::Assertions(_) | Self::Sealing(_) | Self::Randomness => false,
        }
    }
}
