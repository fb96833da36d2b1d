//! What all workers share about upstreams: addresses, TLS settings, and how each address is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use rustls::client::ClientConfig;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::Clock;
use crate::config::{HealthCheck, Upstream, UpstreamAddress, UpstreamId, UpstreamTls};
use crate::forwarding::budget::RetryBudget;
use crate::forwarding::condition::Condition;
use crate::forwarding::connect::Learnt;
use crate::forwarding::health::AddressHealth;
use crate::forwarding::pool::Pool;
use crate::forwarding::tls::{self, TlsClient, UpstreamTlsError};
use crate::forwarding::{affinity, checks};
use crate::tasks::Tasks;

/// Every upstream, by [`UpstreamId`].
#[derive(Debug)]
pub struct Upstreams {
    pools: Vec<Arc<Pool>>,
    /// Checks go on until then, or until this is dropped.
    checking: CancellationToken,
    _end_checking: DropGuard,
    clock: Clock,
}

/// One address, ready to be dialled.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) endpoint: Endpoint,
    pub(super) security: Security,
    /// As it stands in the configuration.
    pub(super) name: Arc<str>,
    /// Stands for it in the order of a user's addresses.
    pub(super) place: u64,
    tls: UpstreamTls,
    check: Option<HealthCheck>,
    pub(super) condition: Arc<Condition>,
    pub(super) learnt: Arc<Learnt>,
}

/// Where to connect to.
#[derive(Debug)]
pub(super) enum Endpoint {
    /// A name or an IP address (without brackets), and a port.
    Tcp { host: String, port: u16 },
    /// A Unix socket.
    Unix(PathBuf),
}

/// What is spoken on the connection.
#[derive(Debug)]
pub(super) enum Security {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP/2 with prior knowledge, in the clear.
    Http2,
    /// TLS; ALPN decides.
    Tls(Box<TlsClient>),
}

impl Upstreams {
    /// Prepares every upstream of the configuration. Nothing is connected or resolved.
    ///
    /// # Errors
    /// [`UpstreamTlsError`] when certificates, keys or names for TLS cannot be used.
    pub fn new(upstreams: &[Upstream], clock: &Clock) -> Result<Arc<Self>, UpstreamTlsError> {
        Self::after(&[], upstreams, clock)
    }

    /// The upstreams of another configuration. What is known of an address that is in both stays known.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn succeeded_by(&self, upstreams: &[Upstream]) -> Result<Arc<Self>, UpstreamTlsError> {
        Self::after(&self.pools, upstreams, &self.clock)
    }

    fn after(before: &[Arc<Pool>], upstreams: &[Upstream], clock: &Clock) -> Result<Arc<Self>, UpstreamTlsError> {
        let mut known: Vec<Arc<Address>> = before.iter().flat_map(|pool| &pool.addresses).cloned().collect();
        let mut pools = Vec::with_capacity(upstreams.len());
        for upstream in upstreams {
            let addresses = prepare(upstream, &mut known, clock)?;
            let alike = before.iter().find(|pool| pool.is_at(&addresses));
            let budget = alike.map(|pool| Arc::clone(&pool.budget));
            let budget = budget.unwrap_or_else(|| Arc::new(RetryBudget::new(clock.clone())));
            pools.push(Arc::new(Pool { addresses, care: upstream.care.clone(), budget }));
        }
        let checking = CancellationToken::new();
        let end_checking = checking.clone().drop_guard();
        Ok(Arc::new(Self { pools, checking, _end_checking: end_checking, clock: clock.clone() }))
    }

    /// Every upstream, in the order of their ids.
    pub(super) fn pools(&self) -> &[Arc<Pool>] {
        &self.pools
    }

    /// Whether an upstream keeps those who belong together at one address.
    #[must_use]
    pub fn keeps_together(&self, upstream: UpstreamId) -> bool {
        self.pools.get(upstream.0).is_some_and(|pool| pool.keeps_together())
    }

    /// Begins to ask addresses how they are, where that is configured.
    pub fn begin_checks(&self, tasks: &Tasks) {
        let mut begun: Vec<&Arc<Condition>> = Vec::new();
        for address in self.pools.iter().flat_map(|pool| &pool.addresses) {
            let Some(check) = &address.check else { continue };
            if begun.iter().all(|condition| !Arc::ptr_eq(condition, &address.condition)) {
                begun.push(&address.condition);
                tasks.attend(checks::run(Arc::clone(address), check.clone(), self.checking.clone()));
            }
        }
    }

    /// Ends that: another configuration is in force, while requests that began under this one may go on for hours.
    pub fn end_checks(&self) {
        self.checking.cancel();
    }

    /// How each address is, in the order of the configuration.
    #[must_use]
    pub fn health(&self) -> Vec<AddressHealth> {
        let mut all: Vec<AddressHealth> = Vec::new();
        for pool in &self.pools {
            for address in &pool.addresses {
                let health = AddressHealth::of(address, pool.care.ejection.slow_start);
                match all.iter_mut().find(|other| other.address == health.address) {
                    // The same with other settings, and with the same counts.
                    Some(other) if other.state < health.state => *other = health,
                    Some(_) => {}
                    None => all.push(health),
                }
            }
        }
        all
    }
}

/// The addresses of one upstream, which are `known` from then on.
fn prepare(
    upstream: &Upstream,
    known: &mut Vec<Arc<Address>>,
    clock: &Clock,
) -> Result<Vec<Arc<Address>>, UpstreamTlsError> {
    // Reading the system's roots takes a while, so it is done for upstreams that have https addresses only.
    let https = upstream.addresses.iter().any(|address| matches!(address, UpstreamAddress::Https { .. }));
    let config = if https { Some(tls::client_config(&upstream.tls)?) } else { None };
    let mut addresses = Vec::with_capacity(upstream.addresses.len());
    for configured in &upstream.addresses {
        let (endpoint, security) = reach(configured, config.as_ref(), &upstream.tls)?;
        let name: Arc<str> = configured.to_string().into();
        let check = upstream.care.health.clone();
        let condition = condition(known, (&name, &upstream.tls, check.as_ref()), clock);
        let learnt = known.iter().find(|other| other.name == name).map(|other| Arc::clone(&other.learnt));
        let (place, tls, learnt) = (affinity::place(&name), upstream.tls.clone(), learnt.unwrap_or_default());
        let address = Arc::new(Address { endpoint, security, name, place, tls, check, condition, learnt });
        known.push(Arc::clone(&address));
        addresses.push(address);
    }
    Ok(addresses)
}

/// How an address is that may be known already, under these settings or others.
fn condition(
    known: &[Arc<Address>],
    (name, tls, check): (&str, &UpstreamTls, Option<&HealthCheck>),
    clock: &Clock,
) -> Arc<Condition> {
    let named = || known.iter().filter(|other| &*other.name == name);
    let reached = || named().filter(|other| other.tls == *tls);
    if let Some(same) = reached().find(|other| other.check.as_ref() == check) {
        return Arc::clone(&same.condition);
    }
    Arc::new(match (reached().next(), named().next()) {
        (Some(other), _) => other.condition.anew(check.is_some()),
        (None, Some(other)) => Condition::new(clock.clone(), Arc::clone(&other.condition.counts)),
        (None, None) => Condition::new(clock.clone(), Arc::default()),
    })
}

fn reach(
    address: &UpstreamAddress,
    config: Option<&Arc<ClientConfig>>,
    tls: &UpstreamTls,
) -> Result<(Endpoint, Security), UpstreamTlsError> {
    let tcp = |host: &str, port| Endpoint::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port };
    Ok(match address {
        UpstreamAddress::Http { host, port } => (tcp(host, *port), Security::Http1),
        UpstreamAddress::H2c { host, port } => (tcp(host, *port), Security::Http2),
        UpstreamAddress::Unix(path) => (Endpoint::Unix(path.clone()), Security::Http1),
        UpstreamAddress::Https { host, port } => {
            let config = match config {
                Some(config) => Arc::clone(config),
                None => tls::client_config(tls)?,
            };
            (tcp(host, *port), Security::Tls(Box::new(TlsClient::new(config, tls, host)?)))
        }
    })
}

impl Address {
    /// The scheme of requests to it.
    pub(super) fn scheme(&self) -> Scheme {
        match self.security {
            Security::Http1 | Security::Http2 => Scheme::HTTP,
            Security::Tls(_) => Scheme::HTTPS,
        }
    }

    /// What stands for the host of a request that names none.
    pub(super) fn authority(&self) -> Option<Authority> {
        match &self.endpoint {
            Endpoint::Tcp { .. } => Authority::try_from(self.to_string()).ok(),
            Endpoint::Unix(_) => Some(Authority::from_static("localhost")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Endpoint::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Endpoint::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}
