//! `/.usher/go-back`: where a sign-in leads that was begun in a new tab, beside a page that has kept a form.

use http::Response;

use crate::auth::credentials::Credentials;
use crate::config::IssuerId;
use crate::forwarding::Body;
use crate::gateway::admit::Target;
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection};

/// The page that sends people back to the other tab; 401 for whoever is not signed in, so that it says nothing that is not so.
pub(super) async fn show(
    gateway: &Gateway,
    target: &Target,
    credentials: &Credentials,
    issuers: &[IssuerId],
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    let may_renew = exchange.kind.may_renew;
    let identity = gateway.authenticator.identify(credentials, issuers, may_renew, &mut exchange.jar).await?;
    exchange.note_identity(Some(&identity));
    Ok(gateway.pages.go_back(&target.host, &exchange.reader()))
}
