//! What can be told of an issuer's keys: their names, what they may verify, and why they cannot be had anew. Never a key.

use std::sync::Arc;

use super::document::FetchError;
use super::{Issuer, KeyRing};
use crate::oauth::Algorithm;

/// A key that tokens are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// Its name in the set, if it has one.
    pub kid: Option<String>,
    /// What it may verify.
    pub algorithms: Vec<Algorithm>,
}

impl Issuer {
    /// The keys that count at the moment; none where they have not been fetched yet.
    #[must_use]
    pub fn key_names(&self) -> Vec<KeyName> {
        let set = match &self.keys {
            KeyRing::Fixed(set) => Some(Arc::clone(set)),
            KeyRing::Local(local) => Some(local.key_set()),
            KeyRing::Published(remote) => remote.held(),
        };
        let keys = set.iter().flat_map(|set| set.keys());
        keys.map(|key| KeyName { kid: key.kid().map(str::to_owned), algorithms: key.algorithms().collect() }).collect()
    }

    /// Why its keys could not be had when they were last fetched. Of introspection, only the log knows.
    #[must_use]
    pub fn last_error(&self) -> Option<Arc<FetchError>> {
        match &self.keys {
            KeyRing::Published(remote) if self.config.introspection().is_none() => remote.last_error(),
            _ => None,
        }
    }
}
