//! Health, metrics and the status page, on a listener of its own that is never public.
//!
//! `/healthz` says that the process lives, `/readyz` whether it wants traffic: 503 from the moment a drain begins. An
//! issuer that fails makes it `degraded`, which is still ready: other processes would be no better off.
//! [`/metrics`](metrics) is what Prometheus reads, [`/`](status) what people look at. Everything else is 404. Who may read
//! more than health is decided in [`guard`]; nothing here is ever cached. This listener has time-outs and a bound of its own
//! ([`places`]), so that it answers when the public ones are full, and whoever fills it keeps no probe out.

mod guard;
pub mod metrics;
mod places;
mod readings;
mod status;

use std::borrow::Cow;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

pub use readings::{Certificate, CertificateOrders, Process, Readings, ReloadFailure, Reloads, RevocationList};

use self::guard::Denied;
use self::places::{Place as Seat, Places};
use self::status::View;
use crate::config::listening_remedy;
use crate::gateway::Readiness;
use crate::tally::Throttle;

/// For browsers: no other site embeds or reads what is answered here, not even without looking into it.
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Until a request's head is complete; between requests too.
const HEAD: Duration = Duration::from_secs(10);
/// A connection does not last longer.
const AGE: Duration = Duration::from_secs(300);
/// Between two attempts to accept when the system is out of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the admin listener cannot start: the operator, or whoever else has the port.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}, which listen.admin names{}", listening_remedy(source))]
pub struct AdminError {
    /// As it stands in the configuration.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// The bound admin listener.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Binds `address`, or takes the socket that listens there already. To be called on the runtime that will run it.
    ///
    /// # Errors
    ///
    /// The address cannot be bound.
    pub async fn bind(address: SocketAddr, inherited: Option<std::net::TcpListener>) -> Result<Self, AdminError> {
        let failed = |source| AdminError { address, source };
        let listener = match inherited {
            Some(socket) => TcpListener::from_std(socket),
            None => TcpListener::bind(address).await,
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens, the port resolved.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for as long as it is polled.
    pub async fn run(self, process: Arc<dyn Process>) -> Infallible {
        let (places, refusals) = (Arc::new(Places::default()), Arc::new(Throttle::default()));
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Some(seat) = Places::take(&places) else { continue };
            let asker = Asker { peer, seat: Arc::new(seat), refusals: Arc::clone(&refusals) };
            let process = Arc::clone(&process);
            drop(tokio::spawn(async move {
                let seat = Arc::clone(&asker.seat);
                tokio::select! {
                    // What becomes of a health check's connection is the health checker's affair.
                    _ = timeout(AGE, serve(stream, asker, process)) => {}
                    () = seat.is_wanted() => {}
                }
            }));
        }
    }
}

/// Whoever is connected.
#[derive(Clone)]
struct Asker {
    peer: SocketAddr,
    seat: Arc<Seat>,
    /// Those of everybody.
    refusals: Arc<Throttle>,
}

impl Asker {
    /// Somebody may be guessing. What was presented is told to nobody; a browser that presents nothing yet is no guess.
    fn note(&self, request: &Request<()>, status: StatusCode) {
        if status != StatusCode::UNAUTHORIZED || !request.headers().contains_key(AUTHORIZATION) {
            return;
        }
        if let Some(times) = self.refusals.note(Instant::now()) {
            let (client, path) = (self.peer.ip(), request.uri().path());
            tracing::warn!(fault = "client", %client, path, times, "a wrong token was presented to listen.admin");
        }
    }
}

async fn serve(stream: TcpStream, asker: Asker, process: Arc<dyn Process>) -> hyper::Result<()> {
    let respond = service_fn(move |request: Request<Incoming>| {
        let (process, asker) = (Arc::clone(&process), asker.clone());
        let request = request.map(drop);
        async move {
            let _answering = asker.seat.answering();
            let response = respond(&request, &*process).await;
            asker.note(&request, response.status());
            Ok::<_, Infallible>(response)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), respond)
        .await
}

/// What may be asked for.
enum Place {
    Healthz,
    Readyz,
    Metrics,
    Status(View),
}

impl Place {
    fn of(request: &Request<()>) -> Option<Self> {
        match request.uri().path() {
            "/healthz" => Some(Self::Healthz),
            "/readyz" => Some(Self::Readyz),
            "/metrics" => Some(Self::Metrics),
            path => View::of(path, request.headers()).map(Self::Status),
        }
    }
}

async fn respond(request: &Request<()>, process: &dyn Process) -> Response<Full<Bytes>> {
    let place = Place::of(request);
    if guard::is_foreign(request.headers(), matches!(place, Some(Place::Status(_)))) {
        return text(StatusCode::FORBIDDEN, "not from another origin\n");
    }
    let Some(place) = place else { return text(StatusCode::NOT_FOUND, "not found\n") };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let config = process.config();
    let verdict = guard::may_read(config.listen.admin.as_ref(), request.headers());
    match (place, verdict) {
        (Place::Healthz, _) => text(StatusCode::OK, "alive\n"),
        (Place::Readyz, verdict) => ready(process.readiness(), verdict.is_ok()),
        (_, Err(denied)) => refuse(denied),
        (Place::Metrics, Ok(())) => {
            let mut response = text(StatusCode::OK, metrics::text(process.readings()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            response
        }
        (Place::Status(view), Ok(())) => status::respond(&view, process).await,
    }
}

fn refuse(denied: Denied) -> Response<Full<Bytes>> {
    match denied {
        Denied::Token => {
            let mut response = text(StatusCode::UNAUTHORIZED, "present the token of listen.admin\n");
            // Browsers ask for a password, and take the first scheme that they know.
            for challenge in [r#"Basic realm="Usher", charset="UTF-8""#, r#"Bearer realm="Usher""#] {
                response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            response
        }
        Denied::Host => {
            let remedy = "ask by an address or localhost, or add this name to listen.admin.hosts\n";
            text(StatusCode::MISDIRECTED_REQUEST, remedy)
        }
    }
}

/// Names of issuers are for whoever may read the rest.
fn ready(readiness: &Readiness, with_names: bool) -> Response<Full<Bytes>> {
    if !readiness.is_ready() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    let (issuers, store_away) = (readiness.failing_issuers(), readiness.is_store_away());
    let is_well = issuers.is_empty() && !store_away;
    let word = if with_names || is_well { say_ready(&issuers, store_away) } else { "degraded\n".into() };
    text(StatusCode::OK, word)
}

fn say_ready(failing_issuers: &[Arc<str>], store_away: bool) -> Cow<'static, str> {
    let issuers =
        (!failing_issuers.is_empty()).then(|| format!("these issuers are failing: {}", failing_issuers.join(", ")));
    let store = store_away.then(|| "the shared store is out of reach".to_owned());
    let missing: Vec<String> = issuers.into_iter().chain(store).collect();
    if missing.is_empty() { "ready\n".into() } else { format!("degraded: {}\n", missing.join("; ")).into() }
}

fn text(status: StatusCode, word: impl Into<Cow<'static, str>>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(word.into().into_owned())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests;
