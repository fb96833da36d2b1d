//! The header of a token (RFC 7515 §4): which algorithm, which key, what kind of token.
//!
//! What would lead to a key elsewhere (`jku`, `x5u`, `jwk`, `x5c`) is not looked at.

use crate::oauth::Algorithm;
use serde_json::{Map, Value};

use super::error::{Malformed, VerifyError};
use crate::config;

/// What the header says.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    typ: Option<String>,
}

impl Header {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Malformed::Header`]; [`VerifyError::AlgorithmNotAllowed`] for `none` in any spelling and whatever else is not
    /// the exact name of an algorithm.
    pub(super) fn parse(header: &Map<String, Value>) -> Result<Self, VerifyError> {
        // An extension that must be understood (RFC 7515 §4.1.11): none is. `b64` (RFC 7797) would change what is signed.
        for name in ["crit", "b64"] {
            if header.contains_key(name) {
                return Err(Malformed::Header(name).into());
            }
        }
        let algorithm = text(header, "alg")?.ok_or(Malformed::Header("alg"))?;
        Ok(Self {
            algorithm: Algorithm::named(algorithm).ok_or(VerifyError::AlgorithmNotAllowed)?,
            kid: text(header, "kid")?.map(str::to_owned),
            typ: text(header, "typ")?.map(str::to_owned),
        })
    }

    /// Whether this issuer's tokens may have such a header.
    pub(super) fn check(&self, issuer: &config::Issuer) -> Result<(), VerifyError> {
        if !issuer.algorithms.contains(&self.algorithm) {
            return Err(VerifyError::AlgorithmNotAllowed);
        }
        if !self.is_type(issuer.token_type.as_deref()) {
            return Err(VerifyError::WrongType);
        }
        Ok(())
    }

    /// Whether this issuer's logout tokens may have such a header (OIDC Back-Channel Logout 1.0 §2.4): older issuers write
    /// `JWT` or nothing.
    pub(super) fn check_of_logout_token(&self, issuer: &config::Issuer) -> Result<(), VerifyError> {
        if !issuer.algorithms.contains(&self.algorithm) {
            return Err(VerifyError::AlgorithmNotAllowed);
        }
        let is_one = self.typ.is_none() || self.is("logout+jwt") || self.is("JWT");
        if is_one { Ok(()) } else { Err(VerifyError::WrongType) }
    }

    /// The kind of token that it says to be.
    pub(super) fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// `typ` keeps one kind of token from passing for another (RFC 8725 §3.11): a logout token of the same issuer is no
    /// access token. Where nothing is configured, an untyped one may be.
    fn is_type(&self, configured: Option<&str>) -> bool {
        match configured {
            Some(configured) => self.is(configured),
            None => self.typ.is_none() || self.is("JWT") || self.is("at+jwt"),
        }
    }

    fn is(&self, wanted: &str) -> bool {
        self.typ.as_deref().is_some_and(|typ| media_type(typ).eq_ignore_ascii_case(media_type(wanted)))
    }
}

/// `application/` may be left out (RFC 7515 §4.1.9).
fn media_type(typ: &str) -> &str {
    match typ.split_once('/') {
        Some((kind, subtype)) if kind.eq_ignore_ascii_case("application") => subtype,
        _ => typ,
    }
}

fn text<'a>(header: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, Malformed> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Malformed::Header(name)),
    }
}
