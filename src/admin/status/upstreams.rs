//! The applications' addresses, and how they are: as requests have shown, and checks where there are some.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::gateway::Gateway;

/// One address.
#[derive(Debug, Serialize)]
pub(super) struct Address {
    /// Where, as configured.
    pub(super) at: String,
    /// Whether it gets requests.
    pub(super) up: bool,
    /// `untried`, `in`, `returning`, `ejected` or `ill`.
    pub(super) state: &'static str,
    /// Why it is one of the last two; `None` of the others.
    pub(super) failure: Option<Failure>,
    /// How often it was passed over for what became of requests.
    pub(super) ejections: u64,
    /// How often checks found that it is not well any more.
    pub(super) failed_checks: u64,
    /// Requests to it that broke, and were sent once more.
    pub(super) retries: u64,
    /// How often a request found as many at it as there may be.
    pub(super) overloads: u64,
}

/// What keeps an address out.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) since: Timestamp,
    /// What was seen last, as the log says it.
    pub(super) cause: String,
}

/// All of them, in the order of the configuration.
pub(super) fn of(gateway: &Gateway) -> Vec<Address> {
    let address = |health: crate::forwarding::AddressHealth| Address {
        at: health.address.to_string(),
        up: health.state.is_healthy(),
        state: health.state.word(),
        failure: health.failure.map(|failure| Failure { since: failure.since, cause: failure.cause.clone() }),
        ejections: health.ejections,
        failed_checks: health.failed_checks,
        retries: health.retries,
        overloads: health.overloads,
    };
    gateway.address_health().into_iter().map(address).collect()
}
