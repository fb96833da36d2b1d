//! What an authorization request says beyond what Usher says by itself.

use std::collections::BTreeMap;

use super::super::{Check, KeyPath, Mistake};
use crate::config::file::Scalar;

/// What Usher says by itself, and what would change where the answer goes, or in which form (OAuth 2.0 Multiple Response
/// Types §2.1), or make the rest of the request count for nothing (RFC 9101, RFC 9126).
const TAKEN: [&str; 11] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

impl Check<'_> {
    pub(super) fn authorization_parameters(
        &mut self,
        at: &KeyPath,
        mirror: Option<&BTreeMap<String, Scalar>>,
    ) -> Vec<(String, String)> {
        let mut parameters = Vec::new();
        for (name, Scalar(value)) in mirror.into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let name = self.accept(&at.key(name), parameter(name));
            parameters.extend(name.map(|name| (name, value)));
        }
        parameters
    }
}

/// `param-name` (RFC 6749 §8.2), and one that is free.
fn parameter(name: &str) -> Result<String, Mistake> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(Mistake::new(
            "is not the name of a parameter",
            "use letters, digits, hyphens, dots and underscores",
        ));
    }
    if TAKEN.contains(&name) {
        return Err(Mistake::new(
            "is a parameter that Usher sets by itself",
            "take it out; scopes has a key of its own",
        ));
    }
    Ok(name.to_owned())
}
