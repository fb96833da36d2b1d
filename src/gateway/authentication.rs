//! Step 5 of the journey, in earnest. What only looks is in [`explain`](super::explain).

use super::Rejection;
use super::exchange::Exchange;
use crate::auth::authenticate::Identity;
use crate::auth::credentials::Credentials;
use crate::config::Route;

/// Step 5, in which a request that is made and one that is only talked about differ.
pub(super) trait Authentication {
    /// Whose request it is, if anybody's.
    async fn whose(
        &mut self,
        credentials: &Credentials,
        route: &Route,
        exchange: &mut Exchange<'_>,
    ) -> Result<Option<Identity>, Rejection>;
}

/// Does what must be done: verifies, renews, and asks the issuer or the store.
pub(super) struct InEarnest;

impl Authentication for InEarnest {
    async fn whose(
        &mut self,
        credentials: &Credentials,
        route: &Route,
        exchange: &mut Exchange<'_>,
    ) -> Result<Option<Identity>, Rejection> {
        let (authenticator, may_renew) = (&exchange.gateway().authenticator, exchange.kind.may_renew);
        let started = exchange.clock().instant();
        let outcome = authenticator.authenticate(credentials, route, may_renew, &mut exchange.jar).await;
        exchange.note_authentication(started);
        Ok(outcome?)
    }
}
