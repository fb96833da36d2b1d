//! One address of an upstream, as one worker knows it: its connections, its load, its health.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::forwarding::connect::{Dialler, Offer};
use crate::forwarding::error::ConnectError;
use crate::forwarding::http1::Http1;
use crate::forwarding::http2::{self, Http2, Shared, Step};
use crate::forwarding::parked::Parked;
use crate::forwarding::upstreams::{Address, Security};

/// How long an address that did not work is passed over while there are others: doubled each time that it does not
/// work when it is tried again, up to the longest.
const FIRST_PENALTY: Duration = Duration::from_secs(3);
const LONGEST_PENALTY: Duration = Duration::from_secs(30);

/// How often a request waits for a shared connection that is gone before it can be used.
const ROUNDS: usize = 4;

/// One address.
pub(super) struct Backend {
    dialler: Dialler,
    parked: Parked,
    shared: Shared,
    protocol: AtomicU8,
    in_flight: AtomicUsize,
    started: Instant,
    /// How often it did not work since it last did.
    failures: AtomicU32,
    /// Milliseconds after `started` until which the address is passed over.
    failing_until: AtomicU64,
    /// A request is on its way to see whether it works again.
    probed: AtomicBool,
}

/// What an address speaks, as far as is known. TLS tells with the first connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Protocol {
    Unknown,
    Http1,
    Http2,
}

/// A connection for one request.
pub(super) enum Connection {
    Http1(Box<Http1>),
    Http2(Arc<Http2>),
}

/// What a request demands of its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// A connection that was used before will do.
    pub(super) reuse: bool,
    /// The request wants to switch protocols, which takes a fresh HTTP/1.1 connection.
    pub(super) upgrade: bool,
    /// The limit on connecting.
    pub(super) connect: Duration,
}

impl Backend {
    pub(super) fn new(address: Arc<Address>) -> Self {
        let protocol = match address.security {
            Security::Http1 => Protocol::Http1,
            Security::Http2 => Protocol::Http2,
            Security::Tls(_) => Protocol::Unknown,
        };
        Self {
            dialler: Dialler::new(address),
            parked: Parked::default(),
            shared: Shared::default(),
            protocol: AtomicU8::new(protocol as u8),
            in_flight: AtomicUsize::new(0),
            started: Instant::now(),
            failures: AtomicU32::new(0),
            failing_until: AtomicU64::new(0),
            probed: AtomicBool::new(false),
        }
    }

    pub(super) fn address(&self) -> &Address {
        self.dialler.address()
    }

    pub(super) const fn parked(&self) -> &Parked {
        &self.parked
    }

    pub(super) const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// A connection, and whether it was used before.
    pub(super) async fn connection(self: &Arc<Self>, demand: Demand) -> Result<(Connection, bool), ConnectError> {
        if demand.upgrade && !matches!(self.address().security, Security::Http2) {
            return Ok((Box::pin(self.connect_to_upgrade(demand.connect)).await?, false));
        }
        // Every round that does not return has made a connection, or waited for one.
        for _ in 0..ROUNDS {
            if self.protocol() == Protocol::Http1 {
                if demand.reuse
                    && let Some(connection) = self.parked.take()
                {
                    return Ok((Connection::Http1(connection), true));
                }
                // Boxed, as all below that is not done for every request: its place would be in each of them.
                return Ok((Box::pin(self.connect(demand.connect)).await?, false));
            }
            match self.shared.step() {
                Step::Use(connection) => {
                    let reused = connection.mark_used();
                    return Ok((Connection::Http2(connection), reused));
                }
                Step::Wait(attempt) => Box::pin(http2::wait(attempt)).await?,
                Step::Connect(outcome, attempt) => {
                    http2::connect_for_all(Arc::clone(self), demand.connect, outcome);
                    Box::pin(http2::wait(attempt)).await?;
                }
            }
        }
        Err(ConnectError::Lost)
    }

    /// A connection that the next requests find where they look for it.
    pub(super) async fn connect_shared(self: &Arc<Self>, limit: Duration) -> Result<(), ConnectError> {
        if let Connection::Http1(connection) = self.connect(limit).await? {
            self.parked.park(connection, self);
        }
        Ok(())
    }

    async fn connect_to_upgrade(&self, limit: Duration) -> Result<Connection, ConnectError> {
        let stream = self.dialler.connect(Offer::Http1, limit).await?;
        Ok(Connection::Http1(Http1::new(stream).await?))
    }

    async fn connect(&self, limit: Duration) -> Result<Connection, ConnectError> {
        let stream = self.dialler.connect(Offer::Any, limit).await?;
        if stream.negotiated_http2() || matches!(self.address().security, Security::Http2) {
            let connection = Http2::new(stream).await?;
            self.shared.add(Arc::clone(&connection));
            self.learn(Protocol::Http2);
            Ok(Connection::Http2(connection))
        } else {
            self.learn(Protocol::Http1);
            Ok(Connection::Http1(Http1::new(stream).await?))
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn park(self: &Arc<Self>, connection: Box<Http1>) {
        self.parked.park(connection, self);
    }

    fn protocol(&self) -> Protocol {
        match self.protocol.load(Ordering::Relaxed) {
            protocol if protocol == Protocol::Http1 as u8 => Protocol::Http1,
            protocol if protocol == Protocol::Http2 as u8 => Protocol::Http2,
            _ => Protocol::Unknown,
        }
    }

    fn learn(&self, protocol: Protocol) {
        self.protocol.store(protocol as u8, Ordering::Relaxed);
    }

    /// How many requests are on their way.
    pub(super) fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Notes that the address did not work. Requests that fail together count once.
    pub(super) fn failed(&self) {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures != 0 && self.now() < self.failing_until.load(Ordering::Relaxed) {
            return;
        }
        let penalty = (FIRST_PENALTY * 2_u32.saturating_pow(failures.min(8))).min(LONGEST_PENALTY);
        self.failures.store(failures.saturating_add(1), Ordering::Relaxed);
        self.address().reachability.failed(failures == 0);
        self.probed.store(false, Ordering::Relaxed);
        self.failing_until.store(self.now().saturating_add(millis(penalty)), Ordering::Relaxed);
    }

    /// Notes that the address has answered, whatever it said: it is like any other again.
    pub(super) fn worked(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.address().reachability.recovered();
            // Its stream may go on for hours.
            self.probed.store(false, Ordering::Relaxed);
        }
    }

    /// Whether others are to be preferred: the address did not work a moment ago, or it has not answered since and one
    /// request is on its way already to see whether it does.
    pub(super) fn is_failing(&self) -> bool {
        self.failures.load(Ordering::Relaxed) != 0
            && (self.probed.load(Ordering::Relaxed) || self.now() < self.failing_until.load(Ordering::Relaxed))
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.address().reachability.recovered();
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A request on its way: it counts for the load of the address until it is dropped.
pub(super) struct InFlight {
    backend: Arc<Backend>,
    /// It is the one that shows whether an address works again, which others wait for.
    probes: bool,
}

impl InFlight {
    pub(super) fn new(backend: &Arc<Backend>) -> Self {
        backend.in_flight.fetch_add(1, Ordering::Relaxed);
        let failed = backend.failures.load(Ordering::Relaxed) != 0;
        let probes = failed && !backend.probed.swap(true, Ordering::Relaxed);
        Self { backend: Arc::clone(backend), probes }
    }

    pub(super) const fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.backend.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.probes {
            self.backend.probed.store(false, Ordering::Relaxed);
        }
    }
}
