//! Accepting connections, whatever the system or the crowd outside does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::arrival::{Accepted, Turned};
use super::service::Handler;
use super::socket::Role;
use super::worker::Worker;

/// When the system has no more file descriptors or memory, waiting is all that helps: first so long, at last so long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts on `listener` until the worker drains; what is in the kernel's queue by then is accepted too.
pub(super) async fn accept<H: Handler>(listener: TcpListener, role: Role, worker: Arc<Worker<H>>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = worker.drain.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                admit(stream, peer, role, &worker);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if let Some(times) = worker.notices.accept_failures.note(Instant::now()) {
                    tracing::error!(%error, times, "cannot accept connections; trying again");
                }
                tokio::select! {
                    () = worker.drain.cancelled() => break,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                }
            }
        }
    }
    // Closing a listener resets the connections in its queue, whose clients believe that they are connected.
    if let Ok(listener) = listener.into_std() {
        while let Ok((stream, peer)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                admit(stream, peer, role, &worker);
            }
        }
    }
}

/// Finds a place for the connection and serves it in a task of its own, or closes it.
fn admit<H: Handler>(stream: TcpStream, peer: SocketAddr, role: Role, worker: &Arc<Worker<H>>) {
    let Some(permit) = worker.limits.admit() else {
        if let Some(times) = worker.notices.refusals.note(Instant::now()) {
            tracing::warn!(times, "too many connections: new ones are closed");
        }
        return;
    };
    let accepted = Accepted { stream, peer, permit };
    drop(worker.connections.spawn(serve(accepted, role, Arc::clone(worker))));
}

async fn serve<H: Handler>(accepted: Accepted, role: Role, worker: Arc<Worker<H>>) {
    let peer = accepted.peer;
    let terms = worker.terms.load_full();
    // Boxed: the handshake's place is not needed for the rest of the connection's life.
    let received = Box::pin(terms.plan.reception.receive(accepted, role, &worker.connections)).await;
    let arrived = match received {
        Ok(arrived) => arrived,
        Err(Turned::TooMany) => {
            if let Some(times) = worker.notices.crowds.note(Instant::now()) {
                tracing::warn!(%peer, times, "too many connections from one address: new ones are closed");
            }
            return;
        }
        Err(Turned::PlainHttp(_)) => {
            if let Some(times) = worker.notices.plain_http.note(Instant::now()) {
                tracing::info!(%peer, times, "plain HTTP at a port that speaks HTTPS: answered with 400");
            }
            return;
        }
        Err(Turned::ClientCertificate(refused, _)) => {
            worker.notices.client_certificates.note(&refused, peer, terms.plan.subjects);
            return;
        }
        Err(turned) => {
            tracing::debug!(%peer, error = &turned as &dyn std::error::Error, "a connection came to nothing");
            return;
        }
    };
    let (http, now) = (&terms.plan.http, worker.clock.now());
    match role {
        Role::Redirect => http.serve(arrived, Arc::clone(&worker.redirect), &terms.retired, now).await,
        Role::Https | Role::Plain | Role::Verify => {
            http.serve(arrived, Arc::clone(&worker.handler), &terms.retired, now).await;
        }
    }
}

/// Whether accepting the next connection may succeed at once: the one at the head of the queue had broken already.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
