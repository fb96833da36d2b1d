//! A worker: one thread, one runtime, its own listening sockets and its own upstream pools.

use std::io;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::arrival::Reception;
use super::client_refusals::ClientRefusals;
use super::connection::Http;
use super::limits::ConnectionLimits;
use super::listener;
use super::redirect::Redirect;
use super::service::{Handler, panic_message};
use super::socket::Role;
use super::tls::Handshakes;
use super::watchdog::Pulse;
use crate::acme::Challenges;
use crate::clock::Clock;
use crate::config::{ClientCertificates, Config, Limits, LogSubject};
use crate::routing::Router;
use crate::tally::Throttle;

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

/// What all workers share of one configuration, in the form that they need it in.
#[derive(Debug)]
pub(super) struct Plan {
    /// Plans are numbered in the order in which they come into force.
    pub(super) number: u64,
    pub(super) reception: Reception,
    pub(super) http: Http,
    /// How the log names people.
    pub(super) subjects: LogSubject,
    measures: Measures,
    sites: Arc<Router>,
    challenges: Option<Arc<Challenges>>,
    https_port: Option<u16>,
}

/// What is settled for a connection when it arrives.
#[derive(Debug, PartialEq)]
struct Measures {
    trusted_proxies: Vec<IpNet>,
    proxy_protocol: bool,
    limits: Limits,
    /// What was verified under other terms is no more than a connection that is answered 421 for ever.
    client_certificates: Vec<ClientCertificates>,
}

/// How often the log was told what would else fill it.
#[derive(Debug, Default)]
pub(super) struct Notices {
    pub(super) accept_failures: Throttle,
    pub(super) refusals: Throttle,
    pub(super) crowds: Throttle,
    pub(super) client_certificates: ClientRefusals,
    pub(super) plain_http: Throttle,
}

impl Plan {
    pub(super) fn new(number: u64, config: &Config, tls: Option<Arc<Handshakes>>, https_port: Option<u16>) -> Self {
        Self {
            number,
            challenges: tls.as_ref().map(|tls| Arc::clone(&tls.challenges)),
            reception: Reception::new(config, tls),
            http: Http::new(config.limits),
            subjects: config.log.subject,
            measures: Measures {
                trusted_proxies: config.trusted_proxies.clone(),
                proxy_protocol: config.listen.proxy_protocol,
                limits: config.limits,
                client_certificates: config.client_certificates.clone(),
            },
            sites: Arc::new(Router::new(&config.sites)),
            https_port,
        }
    }

    fn redirect(&self) -> Redirect {
        let (sites, challenges) = (Arc::clone(&self.sites), self.challenges.clone());
        Redirect { sites, challenges, https_port: self.https_port }
    }
}

/// What the tasks of one worker share.
#[derive(Debug)]
pub(super) struct Worker<H> {
    /// What connections that arrive now are served by.
    pub(super) terms: ArcSwap<Terms>,
    /// What answers requests that arrive now, on connections of whatever age.
    pub(super) handler: Arc<ArcSwap<H>>,
    pub(super) redirect: Arc<ArcSwap<Redirect>>,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) notices: Arc<Notices>,
    pub(super) clock: Clock,
    /// Cancelled when the drain begins. One per worker: every poll of a connection looks at it.
    pub(super) drain: CancellationToken,
    /// The connections, tunnels included.
    pub(super) connections: TaskTracker,
}

/// The terms under which connections are accepted, while they hold.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) plan: Arc<Plan>,
    /// Cancelled when connections under these terms have to make room: in a drain, or because other terms hold now.
    pub(super) retired: CancellationToken,
}

impl<H: Handler> Worker<H> {
    /// Puts another plan and handler in force. Requests at hand end as they began. Connections stay, unless what was
    /// settled for them when they arrived is settled otherwise now: those are closed after their requests at hand.
    fn adopt(&self, plan: &Arc<Plan>, handler: H) {
        self.handler.store(Arc::new(handler));
        self.redirect.store(Arc::new(plan.redirect()));
        let before = self.terms.load_full();
        let alike = before.plan.measures == plan.measures;
        let retired = if alike { before.retired.clone() } else { self.drain.child_token() };
        self.terms.store(Arc::new(Terms { plan: Arc::clone(plan), retired }));
        if !alike {
            before.retired.cancel();
        }
    }
}

/// A worker's thread, seen from outside.
#[derive(Debug)]
pub(super) struct Thread {
    ended: Option<oneshot::Receiver<()>>,
    /// The number of the plan that it works by.
    pub(super) plan: watch::Receiver<u64>,
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

/// What is the same for all workers for as long as the process lives.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) notices: Arc<Notices>,
    pub(super) clock: Clock,
    pub(super) plans: watch::Receiver<Arc<Plan>>,
}

/// Starts worker number `index` on `sockets`. `handler` is called on its thread, for each plan.
pub(super) fn start<H: Handler>(
    index: usize,
    sockets: Vec<(Role, TcpListener)>,
    common: Common,
    handler: impl Fn() -> H + Send + 'static,
    phase: watch::Receiver<Phase>,
    pulse: Arc<Pulse>,
) -> io::Result<Thread> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (alive, ended) = oneshot::channel();
    let (adopted, plan) = watch::channel(0);
    let work = move || {
        let run = AssertUnwindSafe(|| {
            runtime.block_on(async {
                drop(tokio::spawn(pulse.beat()));
                run(sockets, common, &adopted, handler, phase).await
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
    Ok(Thread { ended: Some(ended), plan })
}

async fn run<H: Handler>(
    sockets: Vec<(Role, TcpListener)>,
    Common { limits, notices, clock, mut plans }: Common,
    adopted: &watch::Sender<u64>,
    handler: impl Fn() -> H,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let plan = Arc::clone(&plans.borrow_and_update());
    let number = plan.number;
    let drain = CancellationToken::new();
    let worker = Arc::new(Worker {
        redirect: Arc::new(ArcSwap::from_pointee(plan.redirect())),
        handler: Arc::new(ArcSwap::from_pointee(handler())),
        terms: ArcSwap::from_pointee(Terms { plan, retired: drain.child_token() }),
        limits,
        notices,
        clock,
        drain,
        connections: TaskTracker::new(),
    });
    // A reload may have come before this thread: whoever waits for it to be adopted waits for this.
    adopted.send_replace(number);
    let mut listeners = JoinSet::new();
    for (role, socket) in sockets {
        let listener = tokio::net::TcpListener::from_std(socket)?;
        listeners.spawn(listener::accept(listener, role, Arc::clone(&worker)));
    }

    loop {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
            // None ends by itself before the drain.
            Some(_) = listeners.join_next() => return Err(io::Error::other("a listener ended")),
            Ok(()) = plans.changed() => {
                let plan = Arc::clone(&plans.borrow_and_update());
                worker.adopt(&plan, handler());
                adopted.send_replace(plan.number);
            }
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::http::Response;
    use tokio::time::timeout;

    use super::super::testing::{Answer, config, whole};
    use super::*;

    #[tokio::test]
    async fn a_plan_that_came_before_the_thread_is_adopted_as_well() {
        let (plans, latest) = watch::channel(Arc::new(Plan::new(0, &config(), None, None)));
        let limits = ConnectionLimits::new(&config().limits);
        let common = Common { limits, notices: Arc::default(), clock: Clock::system(), plans: latest };
        let (phase, watched) = watch::channel(Phase::Serving);
        let answer = || Answer::new(|_, _| async { Response::new(whole("well")) });
        plans.send_replace(Arc::new(Plan::new(1, &config(), None, None)));
        let mut thread = start(0, Vec::new(), common, answer, watched, Pulse::new()).unwrap();
        let adopted = timeout(Duration::from_secs(10), thread.plan.wait_for(|plan| *plan == 1)).await;
        adopted.expect("whoever reloads is not left waiting").unwrap();
        phase.send_replace(Phase::Ended);
        thread.ended().await;
    }
}
