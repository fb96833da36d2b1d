//! What the answer of a token endpoint means.
//!
//! The most costly mistake here is to take trouble for a refusal: it signs a user out. So only an answer that says
//! `invalid_grant` in so many words does (law 7), and everything that is not understood keeps the session.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{RefreshError, RefreshFailure, Sent};
use crate::config::TokenPointers;
use crate::issuer::transport::Answer;
use crate::oauth::{AccessToken, RefreshToken, TokenErrorResponse, TokenResponse};

/// How the other side speaks.
#[derive(Clone, Copy)]
pub(super) enum Dialect<'a> {
    /// RFC 6749 §5: JSON by its Content-Type, errors with status 400 or 401.
    OAuth,
    /// An existing token service: JSON with the tokens at these places, whatever its Content-Type says (a legacy
    /// application often says `text/html`). Besides a JSON `error` that is `invalid_grant`, status 401 and 403 mean that
    /// the refresh token is no longer good: such a service has no other word for it, and what it is asked with is
    /// nothing but that token.
    Exchange(&'a TokenPointers),
}

#[derive(Deserialize)]
struct TokenType {
    token_type: Option<Value>,
}

impl Dialect<'_> {
    /// The new tokens, or why there are none.
    pub(super) fn judge(self, answer: Answer) -> Result<TokenResponse, RefreshError> {
        let (status, retry_after) = (answer.status, answer.retry_after());
        let unavailable = |cause, sent| RefreshError::Unavailable { cause, sent, retry_after };
        let is_json = answer.is_json() || matches!(self, Self::Exchange(_));
        let body = match answer.body {
            Ok(body) => Some(body).filter(|_| is_json),
            // A success whose tokens were lost on the way: they may be the only ones that are good now.
            Err(error) if status.is_success() => return Err(unavailable(error.into(), Sent::Unknown)),
            Err(_) => None,
        };
        let body = body.as_deref();
        if self.is_invalid_grant(status, body) {
            return Err(RefreshError::InvalidGrant);
        }
        if status == StatusCode::OK || (status.is_success() && matches!(self, Self::Exchange(_))) {
            let tokens = body.ok_or("it is not JSON by its Content-Type").and_then(|body| self.tokens(body));
            return tokens.map_err(|why| unavailable(RefreshFailure::Garbage(why), Sent::Answered));
        }
        let cause = match body.and_then(TokenErrorResponse::printable_code) {
            Some(code) => RefreshFailure::Refused { status, code },
            None => RefreshFailure::Status(status),
        };
        Err(unavailable(cause, Sent::Answered))
    }

    fn is_invalid_grant(self, status: StatusCode, body: Option<&[u8]>) -> bool {
        let says_so = || {
            let error = body.and_then(|body| serde_json::from_slice::<TokenErrorResponse>(body).ok());
            error.is_some_and(|error| error.is_invalid_grant())
        };
        match (self, status) {
            (Self::OAuth, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) => says_so(),
            (Self::OAuth, _) => false,
            (Self::Exchange(_), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => true,
            (Self::Exchange(_), status) => (status.is_success() || status.is_client_error()) && says_so(),
        }
    }

    fn tokens(self, body: &[u8]) -> Result<TokenResponse, &'static str> {
        let mut tokens = match self {
            Self::OAuth => {
                let kind: TokenType = serde_json::from_slice(body).map_err(|_| "it cannot be read")?;
                if !kind.token_type.is_none_or(|kind| is_bearer(&kind)) {
                    return Err("its token_type is not Bearer");
                }
                serde_json::from_slice(body).map_err(|_| "it holds no access_token")?
            }
            Self::Exchange(pointers) => pointed_at(body, pointers)?,
        };
        if !is_token(tokens.access_token.expose()) {
            return Err("its access token is empty or no text of visible characters");
        }
        // Some issuers send an empty one when they mean none.
        tokens.refresh_token = tokens.refresh_token.filter(|token| !token.expose().is_empty());
        if !tokens.refresh_token.as_ref().is_none_or(|token| is_token(token.expose())) {
            return Err("its refresh token is no text of visible characters");
        }
        Ok(tokens)
    }
}

fn pointed_at(body: &[u8], pointers: &TokenPointers) -> Result<TokenResponse, &'static str> {
    let json: Value = serde_json::from_slice(body).map_err(|_| "it is not JSON")?;
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
    let access_token = text(&pointers.access_token).ok_or("it has no access token where one is configured")?;
    Ok(TokenResponse {
        access_token: AccessToken::new(access_token),
        refresh_token: pointers.refresh_token.as_deref().and_then(text).map(RefreshToken::new),
        id_token: None,
    })
}

/// `token_type` is compared without regard to case (RFC 6749 §5.1).
fn is_bearer(kind: &Value) -> bool {
    kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
}

/// `1*VSCHAR` (RFC 6749 appendix A.12 and A.17): anything else could not be a cookie or a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

#[cfg(test)]
mod tests;
