//! Sockets to requests.
//!
//! A connection's way: `listener` accepts and counts it (`limits`), `arrival` reads the PROXY header
//! (`proxy_protocol`) and shakes hands (`tls`), `connection` speaks HTTP on it, `service` hands each request to the
//! gateway. `redirect` answers on the plain listener that only points at https, and `plain_http` whoever forgets the TLS.
//!
//! Every worker thread (`worker`) has a runtime, listening sockets and upstream pools of its own: nothing is shared on
//! the way of a request but read-mostly tables. What a peer may hold is bounded in number by `limits` and in time by
//! `activity`; a peer that exceeds either loses its connection and nobody else's. `descriptors` says how many the system
//! allows, and `watchdog` notices a worker that stands still.
//!
//! Another configuration reaches each worker as a new plan (`reload`); a request finds the handler in force with one
//! relaxed load, and nothing else of its way knows that there is such a thing.
//!
//! The server does *not* look into requests: that is the gateway's part. It does not decide about signals either: whoever
//! started it calls [`Server::drain`].

mod activity;
mod arrival;
mod certificates;
mod client_certificates;
mod client_chains;
mod client_refusals;
mod connection;
mod descriptors;
mod divided_lists;
mod drive;
mod error;
mod header_block;
mod joined;
mod last_words;
mod limits;
mod listener;
mod plain_http;
mod proxy_protocol;
mod redirect;
mod refused_certificates;
mod reload;
mod self_signed;
mod service;
mod socket;
mod stream;
mod tls;
mod watchdog;
mod wire;
mod worker;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::acme::Challenges;
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, Tls};
use crate::gateway::{self, Gateway};
use crate::service_manager::Sockets;

pub use certificates::{
    CertificateError, CertificateExpiry, CertificateWarning, certificate_expiry, certificate_warnings,
};
use certificates::{CertificateTable, Certificates};
use client_certificates::Asking;
pub use client_certificates::examine_client_certificate;
pub use client_refusals::ClientRefusal;
pub use descriptors::raise_descriptor_limit;
pub use error::StartupError;
use limits::ConnectionLimits;
pub use reload::{Prepared, Reload};
use service::Handler;
pub(crate) use service::panic_message;
use socket::{Bound, Role};
use tls::Handshakes;
use watchdog::{Finding, Pulse, Watchdog};
use worker::{Common, Notices, Phase, Plan, Thread};

/// Where the server listens, ports resolved; in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// TLS.
    pub https: Vec<SocketAddr>,
    /// Plain HTTP, redirects only.
    pub http: Vec<SocketAddr>,
    /// Plain HTTP for trusted proxies.
    pub plain: Vec<SocketAddr>,
    /// Plain HTTP for the questions of other proxies.
    pub verify: Vec<SocketAddr>,
}

/// A running server. Dropping it closes every connection at once; [`Server::drain`] is the polite way.
#[derive(Debug)]
pub struct Server {
    addresses: Addresses,
    phase: watch::Sender<Phase>,
    threads: Vec<Thread>,
    _watchdog: Watchdog,
    reload: Reload,
}

impl Server {
    /// Reads the certificates, binds every address that no socket of `sockets` listens on already, and starts one worker
    /// thread per core.
    ///
    /// # Errors
    ///
    /// A certificate that cannot be used, an address that cannot be bound, a thread that cannot be started.
    pub fn start(
        config: &Config,
        gateway: &Arc<Gateway>,
        clock: &Clock,
        sockets: &mut Sockets,
    ) -> Result<Self, StartupError> {
        let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let current = Arc::new(ArcSwap::from(Arc::clone(gateway)));
        let latest = Arc::clone(&current);
        let handler = move || Arc::new(gateway::Worker::new(latest.load_full()));
        let mut server = Self::start_with(config, clock, (workers, sockets), handler, Finding::tell)?;
        server.reload.gateway = Some(current);
        Ok(server)
    }

    /// As [`Server::start`], with so many threads that answer requests with what `handler` makes for each of them, and
    /// a watchdog that tells `told` what it notices about them.
    fn start_with<H: Handler>(
        config: &Config,
        clock: &Clock,
        (workers, sockets): (usize, &mut Sockets),
        handler: impl Fn() -> H + Clone + Send + 'static,
        told: impl Fn(Finding) + Send + 'static,
    ) -> Result<Self, StartupError> {
        let tls = certificates_of(config, clock.now())?.map(|table| Arc::new(Certificates::new(table)));
        let challenges = Arc::<Challenges>::default();
        let tls = tls.map(|certificates| {
            let handshakes = Handshakes::new(Arc::clone(&certificates), Arc::clone(&challenges));
            let asking = Asking::new(config, &certificates)?;
            let handshakes = handshakes.map_err(StartupError::Tls)?.with(asking);
            Ok::<_, StartupError>((certificates, Arc::new(handshakes)))
        });
        let tls = tls.transpose()?;

        let listen = &config.listen;
        let wanted = [
            (Role::Https, &listen.https),
            (Role::Redirect, &listen.http),
            (Role::Plain, &listen.plain),
            (Role::Verify, &listen.verify),
        ];
        let bound = wanted
            .into_iter()
            .flat_map(|(role, addresses)| addresses.iter().map(move |address| (role, *address)))
            .map(|(role, address)| Bound::new(role, address, workers, sockets.take(address)))
            .collect::<Result<Vec<_>, _>>()?;
        let addresses = Addresses {
            https: addresses_of(&bound, Role::Https),
            http: addresses_of(&bound, Role::Redirect),
            plain: addresses_of(&bound, Role::Plain),
            verify: addresses_of(&bound, Role::Verify),
        };

        let https_port = addresses.https.first().map(SocketAddr::port);
        let handshakes = tls.as_ref().map(|(_, handshakes)| Arc::clone(handshakes));
        let (plans, latest) = watch::channel(Arc::new(Plan::new(0, config, handshakes, https_port)));
        let limits = ConnectionLimits::new(&config.limits);
        let clock = clock.clone();
        let notices = Arc::<Notices>::default();
        let common = Common { limits: Arc::clone(&limits), notices: Arc::clone(&notices), clock, plans: latest };
        let (phase, watched) = watch::channel(Phase::Serving);
        let pulses: Vec<_> = (0..workers).map(|_| Pulse::new()).collect();
        let threads = socket::deal(bound, workers)
            .into_iter()
            .zip(&pulses)
            .enumerate()
            .map(|(index, (sockets, pulse))| {
                let (common, pulse) = (common.clone(), Arc::clone(pulse));
                worker::start(index, sockets, common, handler.clone(), watched.clone(), pulse)
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(StartupError::Thread)?;
        let adopted = threads.iter().map(|thread| thread.plan.clone()).collect();
        let reload = Reload { plans: Arc::new(plans), adopted, gateway: None, limits, notices, tls, https_port };
        let watchdog = Watchdog::start(pulses, told).map_err(StartupError::Thread)?;
        Ok(Self { addresses, phase, threads, reload, _watchdog: watchdog })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The handle through which the server is changed while it serves.
    #[must_use]
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Waits until a worker has ended without having been asked to: a defect of ours. Its core no longer serves, so the
    /// process had better drain and be started anew.
    pub async fn failed(&mut self) {
        let ends = self.threads.iter_mut().map(|thread| Box::pin(thread.ended()));
        futures_util::future::select_all(ends).await;
    }

    /// Closes the listeners, says goodbye on every connection (HTTP/2 GOAWAY, HTTP/1.1 `Connection: close`), lets the
    /// requests at hand end, and cuts what is left after `deadline`. Returns whether nothing had to be cut.
    pub async fn drain(mut self, deadline: Duration) -> bool {
        self.phase.send_replace(Phase::Draining);
        let finished = tokio::time::timeout(deadline, self.ended()).await.is_ok();
        self.phase.send_replace(Phase::Ended);
        self.ended().await;
        finished
    }

    async fn ended(&mut self) {
        for thread in &mut self.threads {
            thread.ended().await;
        }
    }
}

/// The certificates that clients are shown; `None` without TLS.
fn certificates_of(config: &Config, now: Timestamp) -> Result<Option<CertificateTable>, CertificateError> {
    Ok(match &config.tls {
        Tls::Files(files) => Some(certificates::load(files, now)?),
        Tls::Acme(acme) => {
            let (table, errors) = certificates::load(&acme.beside, now)?.reread(acme.certificates(), now);
            for error in errors {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                tracing::error!(fault = "operator", %error, cause, "a certificate that was issued is not used");
            }
            Some(table)
        }
        Tls::SelfSigned => Some(self_signed::load(&config.sites, config.state_directory.as_deref(), now)?),
        Tls::None => None,
    })
}

fn addresses_of(bound: &[Bound], role: Role) -> Vec<SocketAddr> {
    bound.iter().filter(|bound| bound.role == role).map(|bound| bound.address).collect()
}
