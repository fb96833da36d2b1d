//! The compact form of a JWS (RFC 7515 §7.1): three parts, base64url, a dot between them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::error::{Malformed, VerifyError};
use super::header::Header;
use crate::oauth::{Claims, json};

/// Tokens of 30 KiB exist, of users in very many groups, and come from the store of sessions; nothing longer is looked at.
pub(super) const LONGEST: usize = 48 * 1024;

/// A token taken apart. Nothing in it is to be believed yet.
pub(super) struct Presented<'a> {
    pub(super) token: &'a str,
    /// What is signed: the first two parts as they stand.
    pub(super) message: &'a [u8],
    /// base64url.
    pub(super) signature: &'a str,
    pub(super) header: Header,
    pub(super) claims: Claims,
}

impl<'a> Presented<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`VerifyError::Malformed`], or [`VerifyError::AlgorithmNotAllowed`] for an algorithm that is not known at all.
    pub(super) fn parse(token: &'a str) -> Result<Self, VerifyError> {
        if token.len() > LONGEST {
            return Err(Malformed::TooLong.into());
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Malformed::Parts)?;
        let (header, payload) = message.split_once('.').ok_or(Malformed::Parts)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.') {
            return Err(Malformed::Parts.into());
        }
        // Spellings that decode to the same bytes would be different tokens to the cache and to a denial list.
        decode(signature)?;
        let header = Header::parse(&object(&decode(header)?)?)?;
        let claims = Claims(object(&decode(payload)?)?);
        Ok(Self { token, message: message.as_bytes(), signature, header, claims })
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Malformed> {
    Ok(json::object(bytes)?)
}

fn decode(part: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed::Base64)
}
