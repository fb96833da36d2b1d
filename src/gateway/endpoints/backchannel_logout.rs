//! `/.usher/backchannel-logout`: where an issuer says, server to server, that somebody has signed out there (OIDC Back-Channel
//! Logout 1.0 §2.5). No cookie and no origin is looked at: the signature of the logout token is what counts.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use url::form_urlencoded;

use crate::auth::verify::LogoutToken;
use crate::config::IssuerId;
use crate::forwarding::{Body, RequestBody};
use crate::gateway::answer::{answer_with, with_header};
use crate::gateway::audit::{self, By};
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection};

use super::small_body;

/// The path.
pub(super) const BACKCHANNEL_LOGOUT: &str = "/.usher/backchannel-logout";

/// Bytes of a request: more than the longest token.
const LIMIT: u64 = 32 * 1024;
/// The answer to everything that is wrong (§2.8), in the form of RFC 6749 §5.2.
const INVALID_REQUEST: &str = r#"{"error":"invalid_request"}"#;

/// 200 once it is denied, on every instance; 400 for everything that is no good logout token, and when the others cannot be told.
pub(super) async fn receive(
    gateway: &Gateway,
    request: Request<RequestBody>,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Response<Body> {
    match sign_out(gateway, request, issuers).await {
        Ok(LogoutToken { issuer, signed_out, .. }) => {
            audit::signed_out(exchange, By::BackChannel, Some(issuer), signed_out.subject());
            with_header(Body::Empty, StatusCode::OK, &[])
        }
        Err(rejection) => answer_with(exchange, &rejection, |_, answer| {
            with_header(Body::full(INVALID_REQUEST), answer.status, &[(CONTENT_TYPE, "application/json")])
        }),
    }
}

async fn sign_out(
    gateway: &Gateway,
    request: Request<RequestBody>,
    issuers: &[IssuerId],
) -> Result<LogoutToken, Rejection> {
    if !is_form(request.headers()) {
        return Err(Rejection::LogoutRequest);
    }
    let form = small_body::read(request.into_body(), LIMIT, gateway.config.limits.body_timeout).await?;
    let form = form.ok_or(Rejection::LogoutRequest)?;
    let token = only_token(&form).ok_or(Rejection::LogoutRequest)?;
    Ok(gateway.authenticator.sign_out_by_issuer(&token, issuers).await?)
}

fn is_form(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    media_type.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// The logout token, when there is exactly one. Other fields are none of our business (§2.5).
fn only_token(form: &[u8]) -> Option<String> {
    let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token");
    let (_, token) = tokens.next()?;
    tokens.next().is_none().then(|| token.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_one_logout_token_and_may_have_other_fields() {
        assert_eq!(only_token(b"x=1&logout_token=a.b.c&y").as_deref(), Some("a.b.c"));
        for form in ["", "logout_token", "token=a.b.c", "logout_token=a&logout_token=a"] {
            assert_eq!(only_token(form.as_bytes()).filter(|token| !token.is_empty()), None, "{form}");
        }
    }
}
