//! Idle HTTP/1.1 connections to one address.
//!
//! Nobody polls them, so that a parked connection costs no task. That one was closed meanwhile is noticed when it is
//! used next, before a byte is written, or when the sweep comes by.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::sleep;

use crate::forwarding::backend::Backend;
use crate::forwarding::http1::Http1;

/// How many idle connections are kept per address and worker. Fewer than are in use at a time would be opened and closed
/// for ever.
const CAPACITY: usize = 1024;

/// How often the sweep comes by.
const SWEEP: Duration = Duration::from_secs(10);

/// A connection that has been idle for so many sweeps is closed: 50 to 60 s, less than what common servers wait.
const SWEEPS: u32 = 6;

/// The idle connections, the one used last on top.
#[derive(Default)]
pub(super) struct Parked {
    lot: Mutex<Lot>,
}

#[derive(Default)]
struct Lot {
    /// Each with the sweep it was parked in.
    connections: Vec<(u32, Box<Http1>)>,
    sweep: u32,
    sweeping: bool,
}

impl Parked {
    /// The connection that was used last: the least likely to be stale.
    pub(super) fn take(&self) -> Option<Box<Http1>> {
        self.lot().connections.pop().map(|(_, connection)| connection)
    }

    /// Keeps `connection` for the next request to `backend`, whose lot this is.
    pub(super) fn park(&self, connection: Box<Http1>, backend: &Arc<Backend>) {
        let mut lot = self.lot();
        if lot.connections.len() >= CAPACITY {
            return;
        }
        let sweep = lot.sweep;
        lot.connections.push((sweep, connection));
        if !lot.sweeping {
            lot.sweeping = true;
            drop(tokio::spawn(sweep_until_empty(Arc::downgrade(backend))));
        }
    }

    /// Closes what is stale or was idle for too long. Returns whether anything is left.
    pub(super) fn sweep(&self) -> bool {
        let mut lot = self.lot();
        lot.sweep = lot.sweep.wrapping_add(1);
        let now = lot.sweep;
        let mut nobody = Context::from_waker(Waker::noop());
        lot.connections
            .retain_mut(|(since, connection)| now.wrapping_sub(*since) < SWEEPS && !connection.is_stale(&mut nobody));
        lot.sweeping = !lot.connections.is_empty();
        lot.sweeping
    }

    fn lot(&self) -> MutexGuard<'_, Lot> {
        self.lot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep_until_empty(backend: Weak<Backend>) {
    loop {
        sleep(SWEEP).await;
        match backend.upgrade() {
            Some(backend) if backend.parked().sweep() => {}
            _ => return,
        }
    }
}
