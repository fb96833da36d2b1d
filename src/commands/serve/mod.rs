//! `usher serve`: runs the gateway until a signal ends it.
//!
//! The first SIGTERM or SIGINT begins a drain: `/readyz` turns 503, after `shutdown.delay` the listeners close, requests at
//! hand get until `shutdown.deadline`, renewals in the background are waited for, and the exit code is 0. A second signal
//! ends the process at once, with 128 and the signal's number (130 or 143). SIGHUP, or a change of a file, reloads the
//! configuration ([`mod@reload`]); in a drain it does nothing. A service manager is told of all that, and its sockets are
//! used ([`crate::service_manager`]).

mod acme;
mod files;
mod outcomes;
mod process;
pub mod reload;
mod watch;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use files::Source;
use reload::Reloads;

use super::source::SourceArgs;
use super::{Failure, log};
use crate::admin::{Admin, AdminError};
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::gateway::{self, Gateway, Readiness};
use crate::server::{self, Server};
use crate::service_manager::{self, Sockets, SocketsError, Word};
use crate::tasks::Tasks;

/// Threads for what is not a request: health, renewals, key fetches.
const BACKGROUND_THREADS: usize = 2;

/// How long a drain waits at most for renewals that are still under way when the requests have ended: what a token
/// endpoint has rotated must not be lost.
const LAST_TASKS: Duration = Duration::from_secs(10);

/// What `usher serve` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the configuration comes from.
    #[command(flatten)]
    source: SourceArgs,
}

/// Why the gateway cannot start. The configuration itself has been checked before.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The system: a runtime cannot be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// The operator or the world: see the cause.
    #[error("cannot build the gateway")]
    Gateway(#[from] gateway::BuildError),
    /// The operator or the world: see the cause.
    #[error(transparent)]
    Server(#[from] server::StartupError),
    /// The operator, or whoever else has the port.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The operator: units and configuration do not fit together.
    #[error(transparent)]
    Sockets(#[from] SocketsError),
    /// Us: starting panicked.
    #[error("a defect of Usher: starting panicked")]
    Defect(#[from] tokio::task::JoinError),
}

impl From<StartupError> for Failure {
    fn from(error: StartupError) -> Self {
        match &error {
            StartupError::Server(server) if server.is_configuration() => Self::configuration(error),
            StartupError::Gateway(gateway) if gateway.is_configuration() => Self::configuration(error),
            StartupError::Sockets(_) => Self::configuration(error),
            _ => Self::world(error),
        }
    }
}

/// Where a gateway listens, ports resolved; each list in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// TLS.
    pub https: Vec<SocketAddr>,
    /// Plain HTTP, redirects only.
    pub http: Vec<SocketAddr>,
    /// Plain HTTP for trusted proxies.
    pub plain: Vec<SocketAddr>,
    /// Where other proxies ask about requests of theirs.
    pub verify: Vec<SocketAddr>,
    /// Health, metrics and the status page.
    pub admin: Option<SocketAddr>,
}

impl fmt::Display for Addresses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = [
            ("https", &self.https[..]),
            ("http", &self.http),
            ("plain", &self.plain),
            ("verify", &self.verify),
            ("admin", self.admin.as_slice()),
        ];
        let all = keys.into_iter().flat_map(|(key, addresses)| addresses.iter().map(move |address| (key, address)));
        for (index, (key, address)) in all.enumerate() {
            write!(formatter, "{}{key} {address}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A gateway that serves. Dropping it ends everything at once; [`Running::drain`] is the polite way.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    server: Server,
    background: Background,
    tasks: Tasks,
    readiness: Readiness,
    reloads: Reloads,
}

/// Starts a gateway: it serves when this returns. Takes no notice of signals and leaves logging alone.
///
/// # Errors
///
/// See [`StartupError`].
pub async fn start(config: Config, clock: Clock) -> Result<Running, StartupError> {
    start_on(Sockets::default(), config, clock).await
}

/// As [`start`], with these sockets where the configuration names their addresses, and others elsewhere.
async fn start_on(mut sockets: Sockets, config: Config, clock: Clock) -> Result<Running, StartupError> {
    // For libraries that ask the process for its provider. Whoever came first has installed the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let background = Background::start().map_err(StartupError::Runtime)?;
    let tasks = Tasks::new(background.handle().clone());
    let readiness = Readiness::default();
    let admin = match config.listen.admin.as_ref().map(|admin| admin.address) {
        // On the background runtime, to which the socket then belongs.
        Some(address) => Some(background.handle().spawn(Admin::bind(address, sockets.take(address))).await??),
        None => None,
    };
    // Reading certificates and building the tables is not for a thread that has requests to serve.
    let build = {
        let (tasks, readiness, runtime) = (tasks.clone(), readiness.clone(), background.handle().clone());
        let orders = tasks.clone();
        move || -> Result<(Server, Reloads), StartupError> {
            let config = Arc::new(config);
            let gateway = Gateway::new(Arc::clone(&config), tasks, clock.clone(), readiness)?;
            runtime.block_on(gateway.catch_up());
            let server = Server::start(&config, &gateway, &clock, &mut sockets)?;
            sockets.all_taken()?;
            gateway.watch_upstreams(None);
            let challenges = server.reload().challenges();
            let reloads = Reloads::new(server.reload(), config, gateway, clock.clone());
            if let Some(challenges) = challenges {
                orders.attend(acme::run(reloads.clone(), challenges, clock));
            }
            Ok((server, reloads))
        }
    };
    let (server, reloads) = background.handle().spawn_blocking(build).await??;

    let addresses = server.addresses().clone();
    let addresses = Addresses {
        https: addresses.https,
        http: addresses.http,
        plain: addresses.plain,
        verify: addresses.verify,
        admin: admin.as_ref().map(Admin::address),
    };
    if let Some(admin) = admin {
        let serving = process::Serving { readiness: readiness.clone(), reloads: reloads.clone() };
        drop(background.handle().spawn(admin.run(Arc::new(serving))));
    }
    Ok(Running { addresses, server, background, tasks, readiness, reloads })
}

impl Running {
    /// Readiness first, then `shutdown.delay`, then the connections as [`Server::drain`] does, then the background work.
    pub async fn drain(self) {
        let Self { server, background, tasks, readiness, reloads, .. } = self;
        let shutdown = reloads.config().shutdown;
        readiness.begin_drain();
        tokio::time::sleep(shutdown.delay).await;
        if !server.drain(shutdown.deadline).await {
            tracing::warn!("requests were still at hand at the deadline of the drain and have been cut");
        }
        if !tasks.finish(LAST_TASKS).await {
            tracing::warn!("background work was still under way at the end of the drain");
        }
        drop(background);
    }

    /// The handle through which another configuration is put in force.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        self.reloads.clone()
    }

    /// Waits until a worker has ended by itself: a defect of ours.
    pub async fn failed(&mut self) {
        self.server.failed().await;
    }
}

/// Runs the gateway until a signal ends it.
///
/// # Errors
///
/// The configuration cannot be used (78); the gateway cannot start or a worker has failed (1); a second signal (128 and
/// its number).
pub async fn run(args: &Args) -> Result<(), Failure> {
    let mut source = Source::new(args.source.sources());
    let Loaded { config, notes, .. } = source.load(None)?;
    let _log = log::start(&config.log).map_err(Failure::configuration)?;
    for note in &notes {
        tracing::warn!("{note}");
    }
    reload::tell_of_client_certificates(&config, Clock::system().now());
    if let Err(error) = server::raise_descriptor_limit() {
        tracing::warn!(%error, "the limit of file descriptors stays as it is");
    }
    let sockets = Sockets::inherited().map_err(Failure::configuration)?;
    let mut signals = Signals::new().map_err(Failure::world)?;
    let hang_ups = signal(SignalKind::hangup()).map_err(Failure::world)?;
    let mut running = start_on(sockets, config, Clock::system()).await?;
    service_manager::tell(Word::Serving);
    tracing::info!(addresses = %running.addresses, "serving");
    // So that an issuer that is out of reach is told of at once, not when somebody wants to sign in.
    running.readiness.look_for_keys();
    let reloading = running.background.handle().spawn(reload::run(source, running.reloads(), hang_ups));

    let failed = tokio::select! {
        _ = signals.end() => false,
        () = running.failed() => true,
    };
    // The end has begun: no other configuration is put in force.
    reloading.abort();
    tracing::info!("draining");
    service_manager::tell(Word::Draining);
    tokio::select! {
        () = running.drain() => {}
        code = signals.end() => return Err(Failure::world("ended at once by a second signal").with_code(code)),
    }
    tracing::info!("ended");
    if failed { Err(Failure::world("a worker ended by itself, which the log tells more of")) } else { Ok(()) }
}

/// The runtime of everything that is not a request. Ends without waiting when dropped, wherever that is.
#[derive(Debug)]
struct Background(Option<Runtime>, runtime::Handle);

impl Background {
    fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(BACKGROUND_THREADS)
            .thread_name("usher-background")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    const fn handle(&self) -> &runtime::Handle {
        &self.1
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // An ordinary drop would block, which tokio forbids within another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal that ends the process; returns the exit code that a shell would make of it.
    async fn end(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 128 + 2,
            _ = self.terminate.recv() => 128 + 15,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::config::{self, Listen, Shutdown};
    use crate::server::testing;

    fn configuration() -> Config {
        let config = testing::config();
        let admin = config::Admin { address: "127.0.0.1:0".parse().unwrap(), token: None, hosts: Vec::new() };
        let listen = Listen { admin: Some(admin), ..config.listen };
        Config { listen, ..config }
    }

    async fn status(admin: SocketAddr, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(admin).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split(' ').nth(1).map(str::to_owned)
    }

    #[tokio::test]
    async fn a_drain_is_announced_before_the_listeners_close() {
        let shutdown = Shutdown { delay: Duration::from_millis(500), deadline: testing::PATIENCE };
        let running = start(Config { shutdown, ..configuration() }, Clock::system()).await.unwrap();
        let (admin, https) = (running.addresses.admin.unwrap(), running.addresses.https[0]);
        assert_eq!(status(admin, "/readyz").await.as_deref(), Some("200"));

        let draining = tokio::spawn(running.drain());
        let announced = async { while status(admin, "/readyz").await.as_deref() != Some("503") {} };
        tokio::time::timeout(testing::PATIENCE, announced).await.unwrap();
        assert!(TcpStream::connect(https).await.is_ok(), "connections are still accepted");
        assert_eq!(status(admin, "/healthz").await.as_deref(), Some("200"));

        tokio::time::timeout(testing::PATIENCE, draining).await.unwrap().unwrap();
        assert!(TcpStream::connect(https).await.is_err());
    }

    #[tokio::test]
    async fn a_drain_waits_for_what_runs_in_the_background() {
        let running = start(configuration(), Clock::system()).await.unwrap();
        let (finish, finished) = tokio::sync::oneshot::channel();
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        running.tasks.start(async move {
            finished.await.unwrap();
            ended.send(()).unwrap();
        });
        let draining = tokio::spawn(running.drain());
        finish.send(()).unwrap();
        draining.await.unwrap();
        has_ended.await.unwrap();
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_the_worlds_fault_and_named() {
        let first = start(configuration(), Clock::system()).await.unwrap();
        let mut second = configuration();
        second.listen.https = first.addresses.https.clone();
        let failure = Failure::from(start(second, Clock::system()).await.unwrap_err());
        assert_eq!(failure.exit_code(), Failure::WORLD);
        assert!(failure.report().contains(&first.addresses.https[0].to_string()), "{}", failure.report());
    }
}
