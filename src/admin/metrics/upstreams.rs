//! What is measured of each address of the applications.

use std::fmt;

use super::families::Families;
use crate::forwarding::AddressHealth;

pub(super) fn write(addresses: &[AddressHealth], families: &mut Families<'_>) -> fmt::Result {
    let healthy = addresses.iter().map(|health| (label(health), u64::from(health.state.is_healthy())));
    let help = "Whether an address of an application gets requests (1) or is passed over while others are well (0).";
    families.gauges("usher_upstream_address_healthy", help, healthy)?;
    let mut counts = |name, help, of: fn(&AddressHealth) -> u64| {
        families.counters(name, help, addresses.iter().map(|health| (label(health), of(health))))
    };
    let help = "How often an address was passed over for what became of requests.";
    counts("usher_upstream_ejections", help, |health| health.ejections)?;
    let help = "How often health checks found that an address is not well any more.";
    counts("usher_upstream_checks_failed", help, |health| health.failed_checks)?;
    let help = "Requests to an address that broke, and were sent once more.";
    counts("usher_upstream_retries", help, |health| health.retries)?;
    let help = "Requests to an address that broke, and were not sent once more because so many were already.";
    counts("usher_upstream_retries_refused", help, |health| health.retries_refused)?;
    let help = "How often a request found as many at an address as its circuit allows.";
    counts("usher_upstream_overloads", help, |health| health.overloads)
}

fn label(health: &AddressHealth) -> [(&'static str, &str); 1] {
    [("address", &health.address)]
}
