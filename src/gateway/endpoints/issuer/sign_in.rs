//! `POST /.usher/issuer/sign-in`: a user name and a password, as JSON, become a session.
//!
//! The access token is in the answer; the refresh token never is: it is in the cookies alone, out of reach of scripts.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::auth::credentials::Credentials;
use crate::auth::login::IssuedTokens;
use crate::auth::origin;
use crate::config::IssuerId;
use crate::forwarding::{Body, BodyError, RequestBody};
use crate::gateway::admit::Target;
use crate::gateway::answer::with_header;
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection};
use crate::issuer::local::Local;

/// Bytes of a request: a name and a password of 4 KiB each, some of it escaped.
const LIMIT: u64 = 16 * 1024;

/// What is sent. A member that is unknown, missing, of another type or there twice makes it unreadable.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    username: String,
    password: Zeroizing<String>,
}

/// 200 with the access token and the cookies of a new session. Only the site itself may ask for it: another site must not
/// sign people in as somebody else.
pub(super) async fn sign_in(
    gateway: &Gateway,
    target: &Target,
    request: Request<RequestBody>,
    credentials: &Credentials,
    (id, local): (IssuerId, &Local),
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    if !origin::may_act(request.method(), request.headers(), target.scheme(), target.authority(), &[]) {
        return Err(Rejection::CrossSite);
    }
    if !says_json(request.headers()) {
        return Err(Rejection::SignInRequest);
    }
    let patience = gateway.config.limits.body_timeout;
    let read = tokio::time::timeout(patience, read(request.into_body()));
    let SignIn { username, password } = read.await.map_err(|_| Rejection::SignInRequest)??;
    let response = local.sign_in(&username, password, exchange.client).await?;
    let tokens = IssuedTokens { access: response.access_token, refresh: response.refresh_token };
    // Whoever was signed in here before is signed out: a session is never handed over (ASVS 7.2.4).
    if credentials.cookies.any() {
        gateway.authenticator.replace_session(&tokens, &credentials.cookies, &[id], &mut exchange.jar).await;
    }
    let identity = gateway.authenticator.begin_session(id, &tokens, &mut exchange.jar).await?;
    exchange.note_identity(Some(&identity));
    let document = json!({
        "access_token": tokens.access.expose(),
        "token_type": "Bearer",
        "expires_in": identity.token.expires_at.since(gateway.clock.now()).as_secs(),
        "sub": identity.token.claims.subject(),
    });
    Ok(with_header(Body::full(document.to_string()), StatusCode::OK, &[(CONTENT_TYPE, "application/json")]))
}

/// Nothing but JSON: a form could come from anywhere.
fn says_json(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let mut parts = line.to_str().unwrap_or_default().split(';').map(|part| part.trim().to_ascii_lowercase());
    parts.next().is_some_and(|media_type| media_type == "application/json")
        && parts.all(|parameter| matches!(parameter.as_str(), "charset=utf-8" | "charset=\"utf-8\""))
}

async fn read(body: RequestBody) -> Result<SignIn, Rejection> {
    let mut body = body.limited(Some(LIMIT))?;
    // Of its whole size from the beginning: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(LIMIT).unwrap_or_default()));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error {
            BodyError::TooLarge => Rejection::BodyTooLarge,
            _ => Rejection::SignInRequest,
        })?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    // serde would count off the members of a list.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Rejection::SignInRequest);
    }
    serde_json::from_slice(&bytes).map_err(|_| Rejection::SignInRequest)
}
