//! Which address of an upstream gets the next request: the one with the fewest requests on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::forwarding::backend::{Backend, Connection, Demand, InFlight};
use crate::forwarding::error::ConnectError;
use crate::forwarding::upstreams::Address;

/// The addresses of one upstream.
pub(super) struct Balance {
    backends: Vec<Arc<Backend>>,
    /// Where the search starts, so that addresses of equal load take turns.
    turn: AtomicUsize,
}

/// A connection for one request.
pub(super) struct Lease {
    pub(super) connection: Connection,
    /// Whether the connection was used before, so that it may have been closed meanwhile.
    pub(super) reused: bool,
    pub(super) in_flight: InFlight,
}

impl Balance {
    pub(super) fn new(addresses: &[Arc<Address>]) -> Self {
        let backends = addresses.iter().map(|address| Arc::new(Backend::new(Arc::clone(address)))).collect();
        Self { backends, turn: AtomicUsize::new(0) }
    }

    /// A connection to one of the addresses. Nothing was sent as long as none stands, so each address is tried once.
    pub(super) async fn lease(&self, demand: Demand) -> Result<Lease, ConnectError> {
        let mut tried = Vec::new();
        let mut failure = ConnectError::Lost;
        while let Some((index, backend)) = self.pick(&tried) {
            let in_flight = InFlight::new(backend);
            match backend.connection(demand).await {
                Ok((connection, reused)) => return Ok(Lease { connection, reused, in_flight }),
                Err(error) => {
                    backend.failed();
                    tried.push(index);
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    fn pick(&self, tried: &[usize]) -> Option<(usize, &Arc<Backend>)> {
        if let ([only], []) = (self.backends.as_slice(), tried) {
            return Some((0, only));
        }
        let count = self.backends.len();
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..count)
            .map(|offset| start.wrapping_add(offset) % count)
            .filter(|index| !tried.contains(index))
            .filter_map(|index| self.backends.get(index).map(|backend| (index, backend)))
            .min_by_key(|(_, backend)| (backend.is_failing(), backend.load()))
    }
}
