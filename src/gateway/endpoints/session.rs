//! `/.usher/session`: what a single-page application may know of its session. Never a token.

use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use serde_json::json;

use crate::auth::credentials::Credentials;
use crate::auth::unauthenticated::Unauthenticated;
use crate::config::IssuerId;
use crate::forwarding::Body;
use crate::gateway::answer::with_header;
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection};

/// `{"signed_in", "sub", "access_expires_in", "session_expires_in"}`, seconds; the last three only when signed in, the last
/// one only where Usher's own cookies say so. Asking renews like any other request.
pub(super) async fn show(
    gateway: &Gateway,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    let may_renew = exchange.kind.may_renew;
    let outcome = gateway.authenticator.identify(credentials, issuers, may_renew, &mut exchange.jar).await;
    let document = match outcome {
        Ok(identity) => {
            exchange.note_identity(Some(&identity));
            let now = gateway.clock.now();
            let session_ends = gateway.authenticator.session_ends_at(&identity);
            json!({
                "signed_in": true,
                "sub": identity.token.claims.subject(),
                "access_expires_in": identity.token.expires_at.since(now).as_secs(),
                "session_expires_in": session_ends.map(|end| end.since(now).as_secs()),
            })
        }
        Err(
            error @ (Unauthenticated::IssuerUnavailable { .. }
            | Unauthenticated::Unverified { .. }
            | Unauthenticated::StoreAway { .. }),
        ) => return Err(error.into()),
        Err(_) => json!({ "signed_in": false }),
    };
    Ok(with_header(Body::full(document.to_string()), StatusCode::OK, &[(CONTENT_TYPE, "application/json")]))
}
