//! Health and metrics, on a listener of its own that is never public.
//!
//! `/healthz` says that the process lives, `/readyz` whether it wants traffic: 503 from the moment a drain begins. An
//! issuer whose keys cannot be had makes it `degraded`, which is still ready: other processes could not have them either.
//! [`/metrics`](metrics) is what Prometheus reads. Everything else is 404. A page in an operator's browser must not be able
//! to ask (a request from another origin is refused), and nothing here is ever cached. This listener has time-outs and a
//! bound of its own, so that it answers when the public ones are full.

pub mod metrics;

use std::borrow::Cow;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::metrics::Scrape;
use crate::config::listening_remedy;
use crate::gateway::Readiness;

/// Connections at once.
const CONNECTIONS: usize = 64;
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
    pub async fn run(self, readiness: Readiness, metrics: Scrape) -> Infallible {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let (readiness, metrics) = (readiness.clone(), Arc::clone(&metrics));
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            drop(tokio::spawn(async move {
                // What becomes of a health check's connection is the health checker's affair.
                let _ = timeout(AGE, serve(stream, readiness, metrics)).await;
                drop(place);
            }));
        }
    }
}

async fn serve(stream: TcpStream, readiness: Readiness, metrics: Scrape) -> hyper::Result<()> {
    let respond = service_fn(move |request| {
        let response = respond(&request, &readiness, &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), respond)
        .await
}

fn respond<B>(request: &Request<B>, readiness: &Readiness, metrics: &Scrape) -> Response<Full<Bytes>> {
    if is_foreign(request.headers()) {
        return text(StatusCode::FORBIDDEN, "not from another origin\n");
    }
    let path = request.uri().path();
    let (status, word): (_, Cow<'static, str>) = match path {
        "/healthz" => (StatusCode::OK, "alive\n".into()),
        "/readyz" if readiness.is_ready() => {
            (StatusCode::OK, say_ready(&readiness.failing_issuers(), readiness.is_store_away()))
        }
        "/metrics" => (StatusCode::OK, metrics().into()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()),
        _ => (StatusCode::NOT_FOUND, "not found\n".into()),
    };
    if status != StatusCode::NOT_FOUND && request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = text(status, word);
    if path == "/metrics" {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    }
    response
}

/// Whether a page of another origin sent the request.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let host = headers.get(HOST).map_or(&[][..], HeaderValue::as_bytes);
    headers.get_all(ORIGIN).iter().any(|origin| origin.as_bytes().strip_prefix(b"http://") != Some(host))
}

fn say_ready(failing_issuers: &[Arc<str>], store_away: bool) -> Cow<'static, str> {
    let issuers = (!failing_issuers.is_empty())
        .then(|| format!("the keys of these issuers cannot be had: {}", failing_issuers.join(", ")));
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
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().method(method).uri(path).header(HOST, "127.0.0.1:9901");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    fn none() -> Scrape {
        Arc::new(String::new)
    }

    fn status(method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
        respond(&request(method, path, headers), &Readiness::default(), &none()).status().as_u16()
    }

    #[test]
    fn only_the_three_paths_exist_and_only_for_reading() {
        assert_eq!(status(Method::GET, "/healthz", &[]), 200);
        assert_eq!(status(Method::HEAD, "/readyz", &[]), 200);
        assert_eq!(status(Method::GET, "/metrics", &[]), 200);
        assert_eq!(status(Method::POST, "/readyz", &[]), 405);
        assert_eq!(status(Method::GET, "/", &[]), 404);
        assert_eq!(status(Method::GET, "/healthz/x", &[]), 404);
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        for headers in [
            [("sec-fetch-site", "cross-site")],
            [("sec-fetch-site", "same-site")],
            [("origin", "https://evil.test")],
            [("origin", "null")],
        ] {
            assert_eq!(status(Method::GET, "/readyz", &headers), 403, "{headers:?}");
        }
        assert_eq!(status(Method::GET, "/readyz", &[("origin", "http://127.0.0.1:9901")]), 200);
        assert_eq!(status(Method::GET, "/readyz", &[("sec-fetch-site", "none")]), 200);
    }

    #[test]
    fn no_answer_is_kept() {
        for path in ["/healthz", "/nothing"] {
            let response = respond(&request(Method::GET, path, &[]), &Readiness::default(), &none());
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        }
    }

    #[tokio::test]
    async fn readiness_ends_when_a_drain_begins_and_health_does_not() {
        let readiness = Readiness::default();
        let admin = Admin::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let address = admin.address();
        let running = tokio::spawn(admin.run(readiness.clone(), none()));

        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        readiness.begin_drain();
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        running.abort();
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}
