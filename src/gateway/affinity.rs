//! Whose request it is, for an upstream that keeps those of one user at one address.

use super::Gateway;
use super::exchange::Exchange;
use crate::auth::authenticate::Identity;
use crate::config::UpstreamId;
use crate::forwarding::Affinity;

/// The user where one is known, whatever the session; else the client's address. `None` where it does not matter.
pub(super) fn affinity(
    gateway: &Gateway,
    upstream: UpstreamId,
    identity: Option<&Identity>,
    exchange: &Exchange<'_>,
) -> Option<Affinity> {
    if !gateway.upstreams.keeps_together(upstream) {
        return None;
    }
    let user = identity.and_then(|identity| {
        let claims = &identity.token.claims;
        Some(Affinity::of_user(claims.text("iss").unwrap_or_default(), claims.subject()?))
    });
    Some(user.unwrap_or_else(|| Affinity::of_client(exchange.client)))
}
