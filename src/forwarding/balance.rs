//! Which address of an upstream gets the next request: of those that are in, the one with the fewest requests on their way,
//! or that which belongs to whoever asks.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::forwarding::affinity::Affinity;
use crate::forwarding::backend::{Backend, Connection, Demand, InFlight};
use crate::forwarding::condition::{Evidence, Standing};
use crate::forwarding::error::{ConnectError, ForwardError};
use crate::forwarding::pool::Pool;

/// The addresses of one upstream.
pub(super) struct Balance {
    pool: Arc<Pool>,
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
    pub(super) fn new(pool: &Arc<Pool>) -> Self {
        let backend = |address| Arc::new(Backend::new(Arc::clone(address), Arc::clone(pool)));
        let backends = pool.addresses.iter().map(backend).collect();
        Self { pool: Arc::clone(pool), backends, turn: AtomicUsize::new(0) }
    }

    /// Counts a request, of which a share may be sent once more.
    pub(super) fn begin(&self) {
        self.pool.budget.deposit();
    }

    /// Whether a request that broke on its way to `backend` may be sent once more.
    pub(super) fn may_repeat(&self, backend: &Backend) -> bool {
        let (may, counts) =
            (self.pool.budget.withdraw(self.pool.care.circuit.retry_percent), &backend.condition().counts);
        if may {
            counts.retries.add();
        } else {
            counts.retries_refused.add();
        }
        may
    }

    /// A connection to one of the addresses. Nothing was sent as long as none stands, so each address is tried once.
    pub(super) async fn lease(&self, demand: Demand, affinity: Option<Affinity>) -> Result<Lease, ForwardError> {
        let mut tried = Vec::new();
        let (mut is_busy, mut is_one_in, mut failure) = (false, false, ConnectError::Lost);
        while let Some((standing, index, backend)) = self.pick(&tried, affinity) {
            // What is full is not out: those that are out are for when no other is in.
            if is_one_in && standing == Standing::Out {
                break;
            }
            let Some(in_flight) = InFlight::new(backend) else {
                (is_busy, is_one_in) = (true, is_one_in || standing != Standing::Out);
                tried.push(index);
                continue;
            };
            match backend.connection(demand).await {
                Ok((connection, reused)) => return Ok(Lease { connection, reused, in_flight }),
                Err(ConnectError::TooMany) => {
                    backend.condition().counts.overloads.add();
                    (is_busy, is_one_in) = (true, is_one_in || standing != Standing::Out);
                }
                // Only an upgrade offers HTTP/1.1 alone; others may find what they need, and tell of what is wrong otherwise.
                Err(error @ ConnectError::Tls(_)) if demand.upgrade => failure = error,
                Err(error) => {
                    in_flight.failed(Evidence::NoConnection, &error);
                    failure = error;
                }
            }
            tried.push(index);
        }
        // One that has enough to do is better than those that do not work.
        Err(if is_busy { ForwardError::Overloaded } else { failure.into() })
    }

    fn pick(&self, tried: &[usize], affinity: Option<Affinity>) -> Option<(Standing, usize, &Arc<Backend>)> {
        if let ([only], []) = (self.backends.as_slice(), tried) {
            return Some((Standing::In, 0, only));
        }
        let count = self.backends.len();
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        // Not the start itself, or it would be the same addresses that each search begins with and that are left out.
        let dice = affinity.map_or(start.checked_div(count).unwrap_or_default() as u64, Affinity::dice);
        let untried = (0..count)
            .map(|offset| start.wrapping_add(offset) % count)
            .filter(|index| !tried.contains(index))
            .filter_map(|index| self.backends.get(index).map(|backend| (index, backend)))
            .map(|(index, backend)| (backend.condition().standing(&self.pool.care.ejection, dice), index, backend));
        match affinity {
            Some(affinity) => untried
                .min_by_key(|(standing, _, backend)| (*standing, Reverse(affinity.nearness(backend.address().place)))),
            None => untried.min_by_key(|(standing, _, backend)| (*standing, backend.load())),
        }
    }
}
