//! How many connections there may be at once: in all, and from one address.
//!
//! The counts are shared by all workers and kept by permits: a connection holds one for as long as it has a socket, be it
//! in a handshake, serving requests or upgraded to a tunnel. One address is one IPv4 address or one IPv6 /64, which is
//! what a single customer commands.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::descriptors;
use crate::config::Limits;

const TOO_MANY: &str =
    "limits.connections is more than the system has file descriptors for: raise its limit (ulimit -n)";

/// The counts and their bounds.
#[derive(Debug)]
pub(super) struct ConnectionLimits {
    all: AtomicUsize,
    per_address: AtomicUsize,
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    limits: Arc<ConnectionLimits>,
    address: Option<IpAddr>,
}

impl ConnectionLimits {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Self::within(limits, descriptors::connections())
    }

    fn within(limits: &Limits, served: Option<usize>) -> Arc<Self> {
        let all = lowered(limits, served);
        tell_if_lowered(limits, all);
        Arc::new(Self {
            all: AtomicUsize::new(all),
            per_address: AtomicUsize::new(limits.connections_per_address),
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
        })
    }

    /// Other bounds for connections to come; those that are open stay. What has been told already is not told again.
    pub(super) fn set(&self, limits: &Limits) {
        let all = lowered(limits, descriptors::connections());
        if self.all.swap(all, Ordering::Relaxed) != all {
            tell_if_lowered(limits, all);
        }
        self.per_address.store(limits.connections_per_address, Ordering::Relaxed);
    }

    /// A place for one more connection, unless there are too many.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Permit> {
        // The permit exists before the comparison, so that being refused gives the place back too.
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let permit = Permit { limits: Arc::clone(self), address: None };
        (before < self.all.load(Ordering::Relaxed)).then_some(permit)
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // The map is never left half-changed, so a panic elsewhere does no harm to it.
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Counts the connection for `address` as well. Returns whether that one may have it.
    #[must_use]
    pub(super) fn count_for(&mut self, address: IpAddr) -> bool {
        let address = network(address);
        let mut counts = self.limits.counts();
        let count = counts.entry(address).or_insert(0);
        if *count >= self.limits.per_address.load(Ordering::Relaxed) {
            return false;
        }
        *count += 1;
        drop(counts);
        self.address = Some(address);
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut counts = self.limits.counts();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// The bound of `limits`, lowered to what there are descriptors for.
fn lowered(limits: &Limits, served: Option<usize>) -> usize {
    served.map_or(limits.connections, |served| served.min(limits.connections))
}

fn tell_if_lowered(limits: &Limits, all: usize) {
    let limit = limits.connections;
    match (all < limit, limits.has_default_connections()) {
        (true, false) => tracing::warn!(limit, lowered_to = all, "{TOO_MANY}"),
        // That the system has no room for it is nobody's mistake.
        (true, true) => tracing::info!(limit, lowered_to = all, "{TOO_MANY}"),
        (false, _) => {}
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(all: usize, per_address: usize) -> Arc<ConnectionLimits> {
        let limits =
            Limits { connections: all, connections_per_address: per_address, ..super::super::testing::limits() };
        ConnectionLimits::new(&limits)
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let limits = limits(2, 2);
        let first = limits.admit().unwrap();
        let second = limits.admit().unwrap();
        assert!(limits.admit().is_none());
        assert!(limits.admit().is_none(), "a refusal takes no place");
        drop(first);
        assert!(limits.admit().is_some());
        drop(second);
    }

    #[test]
    fn there_are_never_more_connections_than_can_be_served() {
        let limits = ConnectionLimits::within(&super::super::testing::limits(), Some(1));
        let _only = limits.admit().unwrap();
        assert!(limits.admit().is_none());
        assert!(ConnectionLimits::within(&super::super::testing::limits(), None).admit().is_some());
    }

    #[test]
    fn one_address_cannot_take_the_places_of_the_others() {
        let limits = limits(10, 1);
        let mut first = limits.admit().unwrap();
        assert!(first.count_for("192.0.2.1".parse().unwrap()));
        let mut mapped = limits.admit().unwrap();
        assert!(!mapped.count_for("::ffff:192.0.2.1".parse().unwrap()), "the same address, written as IPv6");
        assert!(mapped.count_for("192.0.2.2".parse().unwrap()));
        drop(first);
        assert!(limits.admit().unwrap().count_for("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let limits = limits(10, 1);
        let mut first = limits.admit().unwrap();
        assert!(first.count_for("2001:db8:0:1::1".parse().unwrap()));
        let mut second = limits.admit().unwrap();
        assert!(!second.count_for("2001:db8:0:1:ffff::2".parse().unwrap()));
        assert!(second.count_for("2001:db8:0:2::1".parse().unwrap()));
    }

    #[test]
    fn nothing_is_remembered_of_addresses_that_have_gone() {
        let limits = limits(10, 1);
        let mut permit = limits.admit().unwrap();
        assert!(permit.count_for("192.0.2.1".parse().unwrap()));
        drop(permit);
        assert!(limits.counts().is_empty());
        assert_eq!(limits.open.load(Ordering::Relaxed), 0);
    }
}
