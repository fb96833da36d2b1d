//! How the client says who it is with a key of its own (RFC 7523 §2.2, OIDC Core §9: `private_key_jwt`).
//!
//! The assertion is meant for the issuer, by its identifier, and not for the endpoint that it is sent to: an endpoint is what an
//! issuer names about itself, and one that names another's would get an assertion that is good there (audience injection;
//! draft-ietf-oauth-rfc7523bis §4). For servers that insist on a URL, the operator writes which.

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::Issuer;
use super::form::Form;
use crate::clock::Timestamp;
use crate::config::{ClientAuthentication, ClientKey};

/// It is on its way at once, and good for one request.
const LIFETIME: Duration = Duration::from_secs(60);
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: Timestamp,
    exp: Timestamp,
}

/// Why there is no assertion. Our host's: it has no randomness.
#[derive(Debug, thiserror::Error)]
enum Unsigned {
    #[error("the system has no randomness to give")]
    Randomness,
    #[error("the assertion cannot be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// The form with an assertion that this client is who it says. Without one, should that fail: it is refused then.
pub(super) fn asserted(form: Form, id: &str, key: &ClientKey, now: Timestamp) -> Form {
    let form = form.with("client_id", id.as_bytes());
    match assertion(id, key, now) {
        Ok(assertion) => {
            form.with("client_assertion_type", TYPE.as_bytes()).with("client_assertion", assertion.as_bytes())
        }
        Err(error) => {
            tracing::error!(fault = "us", cause = &error as &dyn std::error::Error, "the client cannot authenticate");
            form
        }
    }
}

fn assertion(id: &str, ClientKey { key, audience }: &ClientKey, now: Timestamp) -> Result<String, Unsigned> {
    let mut name = [0; 16];
    rand::fill(&mut name).map_err(|_| Unsigned::Randomness)?;
    let jti = URL_SAFE_NO_PAD.encode(name);
    let claims = Claims { iss: id, sub: id, aud: audience, jti, iat: now, exp: now.after(LIFETIME) };
    Ok(key.sign("JWT", &claims)?)
}

impl Issuer {
    /// The key that Usher authenticates with as a client there, if that is how it does.
    #[must_use]
    pub fn client_key(&self) -> Option<&ClientKey> {
        match &self.config.client.as_ref()?.authentication {
            ClientAuthentication::PrivateKey(key) => Some(key),
            ClientAuthentication::Basic(_) | ClientAuthentication::Post(_) | ClientAuthentication::None => None,
        }
    }
}
