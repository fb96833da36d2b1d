//! A worker: one thread, one runtime, its own listening sockets and its own upstream pools.

use std::io;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use rustls::ServerConfig;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::arrival::Reception;
use super::connection::Http;
use super::limits::ConnectionLimits;
use super::listener;
use super::redirect::Redirect;
use super::service::{Handler, panic_message};
use super::socket::Role;
use super::throttle::Throttle;
use super::watchdog::Pulse;
use crate::config::Config;
use crate::routing::Router;

/// Where the server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It accepts and serves.
    Serving,
    /// It accepts nothing and lets what is at hand end.
    Draining,
    /// It drops whatever is left.
    Ended,
}

/// What all workers share: the configuration in the form that they need it in, and the counts.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) reception: Reception,
    pub(super) http: Http,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) accept_failures: Throttle,
    pub(super) refusals: Throttle,
    pub(super) crowds: Throttle,
    sites: Arc<Router>,
    https_port: Option<u16>,
}

impl Plan {
    pub(super) fn new(config: &Config, tls: Option<Arc<ServerConfig>>, https_port: Option<u16>) -> Self {
        Self {
            reception: Reception::new(config, tls),
            http: Http::new(config.limits),
            limits: ConnectionLimits::new(&config.limits),
            accept_failures: Throttle::default(),
            refusals: Throttle::default(),
            crowds: Throttle::default(),
            sites: Arc::new(Router::new(&config.sites)),
            https_port,
        }
    }
}

/// What the tasks of one worker share.
#[derive(Debug)]
pub(super) struct Worker<H> {
    pub(super) plan: Arc<Plan>,
    pub(super) handler: Arc<H>,
    pub(super) redirect: Arc<Redirect>,
    /// Cancelled when the drain begins. One per worker: every poll of a connection looks at it.
    pub(super) drain: CancellationToken,
    /// The connections, tunnels included.
    pub(super) connections: TaskTracker,
}

/// A worker's thread, seen from outside.
#[derive(Debug)]
pub(super) struct Thread {
    ended: Option<oneshot::Receiver<()>>,
}

impl Thread {
    /// Waits until the thread has ended, for whatever reason.
    pub(super) async fn ended(&mut self) {
        if let Some(ended) = &mut self.ended {
            // An error says that the thread is gone as well.
            let _ = ended.await;
            self.ended = None;
        }
    }
}

/// Starts worker number `index` on `sockets`. `handler` is called on its thread.
pub(super) fn start<H: Handler>(
    index: usize,
    sockets: Vec<(Role, TcpListener)>,
    plan: Arc<Plan>,
    handler: impl FnOnce() -> H + Send + 'static,
    phase: watch::Receiver<Phase>,
    pulse: Arc<Pulse>,
) -> io::Result<Thread> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (alive, ended) = oneshot::channel();
    let work = move || {
        let run = AssertUnwindSafe(|| {
            runtime.block_on(async {
                drop(tokio::spawn(pulse.beat()));
                run(sockets, plan, handler, phase).await
            })
        });
        let outcome = catch_unwind(run);
        // Whatever is left ends here, before the thread counts as ended.
        runtime.shutdown_background();
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(index, %error, "a worker could not go on"),
            Err(panic) => {
                let panic = panic_message(&*panic);
                tracing::error!(index, panic, "a defect of Usher: a worker panicked");
            }
        }
        drop(alive);
    };
    thread::Builder::new().name(format!("usher-worker-{index}")).spawn(work)?;
    Ok(Thread { ended: Some(ended) })
}

async fn run<H: Handler>(
    sockets: Vec<(Role, TcpListener)>,
    plan: Arc<Plan>,
    handler: impl FnOnce() -> H,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let worker = Arc::new(Worker {
        redirect: Arc::new(Redirect { sites: Arc::clone(&plan.sites), https_port: plan.https_port }),
        plan,
        handler: Arc::new(handler()),
        drain: CancellationToken::new(),
        connections: TaskTracker::new(),
    });
    let mut listeners = JoinSet::new();
    for (role, socket) in sockets {
        let listener = tokio::net::TcpListener::from_std(socket)?;
        listeners.spawn(listener::accept(listener, role, Arc::clone(&worker)));
    }

    tokio::select! {
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => {}
        // None ends by itself before the drain.
        Some(_) = listeners.join_next() => return Err(io::Error::other("a listener ended")),
    }
    worker.drain.cancel();
    let finished = async {
        while listeners.join_next().await.is_some() {}
        worker.connections.close();
        worker.connections.wait().await;
    };
    tokio::select! {
        () = finished => {}
        // So does a server that was dropped.
        _ = phase.wait_for(|phase| *phase == Phase::Ended) => {}
    }
    Ok(())
}
