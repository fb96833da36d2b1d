//! The applications' addresses, and how they are as far as requests have shown.

use serde::Serialize;

use crate::forwarding::AddressHealth;
use crate::gateway::Gateway;

/// One or more equivalent addresses.
#[derive(Debug, Serialize)]
pub(super) struct Upstream {
    pub(super) addresses: Vec<Address>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Address {
    /// Where, as configured.
    pub(super) at: String,
    /// Whether nothing is known against it.
    pub(super) up: bool,
    /// How often it did not work since the configuration is in force.
    pub(super) failures: u64,
    /// How many seconds ago it last did not.
    pub(super) last_failure_ago: Option<u64>,
}

/// All of them, in the order of the configuration.
pub(super) fn of(gateway: &Gateway) -> Vec<Upstream> {
    let address = |(at, health): (String, AddressHealth)| Address {
        at,
        up: health.failing_workers == 0,
        failures: health.failures,
        last_failure_ago: health.last_failure.map(|ago| ago.as_secs()),
    };
    let upstreams = gateway.upstream_health();
    upstreams.map(|upstream| Upstream { addresses: upstream.addresses.into_iter().map(address).collect() }).collect()
}
