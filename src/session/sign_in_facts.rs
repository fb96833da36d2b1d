//! What is remembered of a sign-in for as long as its session lasts.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What an ID token says of its sign-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInFacts {
    /// When it was (`auth_time`).
    pub auth_time: Option<Timestamp>,
    /// In which way (`acr`).
    pub acr: Option<AcrHash>,
}

/// An Authentication Context Class Reference: 128 bits of a hash, because it travels in cookies and may be as long as a URL.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcrHash(pub [u8; 16]);

impl AcrHash {
    /// Of this value.
    #[must_use]
    pub fn of(acr: &str) -> Self {
        Self(digest(&SHA256, acr.as_bytes()).as_ref().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Debug for AcrHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AcrHash(…)")
    }
}
