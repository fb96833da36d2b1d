//! One address of an upstream, as one worker has it: its connections, its load. How it is, all workers know alike.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::forwarding::condition::{Condition, Evidence};
use crate::forwarding::connect::{Dialler, Offer};
use crate::forwarding::error::ConnectError;
use crate::forwarding::http1::Http1;
use crate::forwarding::http2::{self, Http2, Shared, Step};
use crate::forwarding::parked::Parked;
use crate::forwarding::pool::Pool;
use crate::forwarding::room::Place;
use crate::forwarding::stream::Stream;
use crate::forwarding::upstreams::{Address, Security};

/// How often a request waits for a shared connection that is gone, or full, before it can be used.
const ROUNDS: usize = 4;

/// One address.
pub(super) struct Backend {
    dialler: Dialler,
    pool: Arc<Pool>,
    parked: Parked,
    shared: Shared,
    protocol: AtomicU8,
    in_flight: AtomicUsize,
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

impl Connection {
    /// HTTP on a connection that stands, of the version that was agreed on.
    pub(super) async fn new(address: &Address, stream: Stream) -> Result<Self, ConnectError> {
        if stream.negotiated_http2() || matches!(address.security, Security::Http2) {
            Http2::new(stream, &address.learnt).await.map(Self::Http2)
        } else {
            Http1::new(stream).await.map(Self::Http1)
        }
    }

    /// A shared one, and whether it was used before.
    fn used(connection: Arc<Http2>) -> (Self, bool) {
        let reused = connection.mark_used();
        (Self::Http2(connection), reused)
    }

    const fn protocol(&self) -> Protocol {
        match self {
            Self::Http1(_) => Protocol::Http1,
            Self::Http2(_) => Protocol::Http2,
        }
    }
}

impl Backend {
    pub(super) fn new(address: Arc<Address>, pool: Arc<Pool>) -> Self {
        let protocol = match address.security {
            Security::Http1 => Protocol::Http1,
            Security::Http2 => Protocol::Http2,
            Security::Tls(_) => Protocol::Unknown,
        };
        Self {
            dialler: Dialler::new(address),
            pool,
            parked: Parked::default(),
            shared: Shared::default(),
            protocol: AtomicU8::new(protocol as u8),
            in_flight: AtomicUsize::new(0),
        }
    }

    pub(super) fn address(&self) -> &Address {
        self.dialler.address()
    }

    pub(super) fn condition(&self) -> &Condition {
        &self.address().condition
    }

    /// Room for making one more connection.
    fn room_to_connect(&self) -> Result<Option<Place<'_>>, ConnectError> {
        match self.pool.care.circuit.max_connects {
            Some(most) => self.condition().connects.hold(most).map(Some).ok_or(ConnectError::TooMany),
            None => Ok(None),
        }
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
        let mut failure = ConnectError::Lost;
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
            let attempt = match self.shared.step(&self.address().learnt) {
                Step::Use(connection) => return Ok(Connection::used(connection)),
                Step::Wait(attempt) => attempt,
                Step::Connect(outcome, attempt) => {
                    http2::connect_for_all(Arc::clone(self), demand.connect, outcome);
                    attempt
                }
            };
            if let Err(error) = Box::pin(http2::wait(attempt)).await {
                failure = error;
                break;
            }
        }
        // Where one more is not to be had, or not before others have it, one that stands will do.
        self.shared.idlest().map(Connection::used).ok_or(failure)
    }

    /// A connection that the next requests find where they look for it.
    pub(super) async fn connect_shared(self: &Arc<Self>, limit: Duration) -> Result<(), ConnectError> {
        if let Connection::Http1(connection) = self.connect(limit).await? {
            self.parked.park(connection, self);
        }
        Ok(())
    }

    async fn connect_to_upgrade(&self, limit: Duration) -> Result<Connection, ConnectError> {
        let _connecting = self.room_to_connect()?;
        let stream = self.dialler.connect(Offer::Http1, limit).await?;
        Ok(Connection::Http1(Http1::new(stream).await?))
    }

    async fn connect(&self, limit: Duration) -> Result<Connection, ConnectError> {
        let _connecting = self.room_to_connect()?;
        let connection = Connection::new(self.address(), self.dialler.connect(Offer::Any, limit).await?).await?;
        if let Connection::Http2(connection) = &connection {
            self.shared.add(Arc::clone(connection));
        }
        self.learn(connection.protocol());
        Ok(connection)
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
}

/// A request on its way: it counts for the load of the address until it is dropped.
pub(super) struct InFlight {
    backend: Arc<Backend>,
    /// How the address stood when it began.
    stage: u32,
    /// When it began, if it is the one that shows whether an address works again, which others wait for.
    probe: Option<u64>,
    /// It has one of the places that there are for requests.
    counted: bool,
}

impl InFlight {
    /// `None` when the address has as many requests as it may have.
    pub(super) fn new(backend: &Arc<Backend>) -> Option<Self> {
        let condition = backend.condition();
        let counted = match backend.pool.care.circuit.max_requests {
            None => false,
            Some(most) if condition.requests.enter(most) => true,
            Some(_) => {
                condition.counts.overloads.add();
                return None;
            }
        };
        backend.in_flight.fetch_add(1, Ordering::Relaxed);
        let stage = condition.stage();
        let probe = condition.probe(stage, &backend.pool.care.ejection);
        Some(Self { backend: Arc::clone(backend), stage, probe, counted })
    }

    pub(super) const fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Nothing came of it, and the address is to blame.
    pub(super) fn failed(&self, evidence: Evidence, cause: &dyn Error) {
        self.backend.pool.failed(self.backend.address(), (self.stage, evidence), cause);
    }

    /// The address has answered.
    pub(super) fn answered(&self, status: StatusCode) {
        self.backend.pool.answered(self.backend.address(), self.stage, status);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.backend.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.counted {
            self.backend.condition().requests.leave();
        }
        if let Some(began) = self.probe {
            self.backend.condition().probe_is_over(began);
        }
    }
}
