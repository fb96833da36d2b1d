//! Any token at all: honest ones, and ones that no library would let a test make.

use serde_json::{Value, json};

use super::keys::{SigningKey, base64url};

/// A token in the making: header, claims and key are independent of each other.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// The JOSE header.
    pub(crate) header: Value,
    /// The claims.
    pub(crate) claims: Value,
}

impl Token {
    /// A token with these claims and an honest header for `key`.
    pub(crate) fn new(key: &SigningKey, key_id: &str, claims: Value) -> Self {
        Self { header: json!({ "alg": key.algorithm(), "kid": key_id, "typ": "at+jwt" }), claims }
    }

    /// Sets a claim.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Takes a claim away.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    /// Sets a member of the header.
    pub(crate) fn head(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// Takes a member of the header away.
    pub(crate) fn without_head(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    /// Signs with `key`, whatever the header claims.
    pub(crate) fn sign(&self, key: &SigningKey) -> String {
        let input = self.signing_input();
        let algorithm = self.header["alg"].as_str().unwrap_or_default();
        let signature = key.sign(algorithm, input.as_bytes());
        format!("{input}.{}", base64url(signature))
    }

    /// Header and payload with an empty signature.
    pub(crate) fn unsigned(&self) -> String {
        format!("{}.", self.signing_input())
    }

    fn signing_input(&self) -> String {
        format!("{}.{}", base64url(self.header.to_string()), base64url(self.claims.to_string()))
    }
}

/// Whether a text shows a token: the beginning of its header, for three letters of that are in a sealed value by chance now
/// and then.
pub(crate) fn shows_a_token(text: &str) -> bool {
    ["eyJhbGciOi", "eyJ0eXAiOi"].iter().any(|header| text.contains(header))
}
