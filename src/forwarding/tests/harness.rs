//! Upstreams that follow a script, a small front that stands for the gateway, and raw clients.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::{Timeouts, Upstream, UpstreamAddress, UpstreamCare, UpstreamId, UpstreamTls};
use crate::forwarding::{
    Body, BodyError, ForwardError, Forwarder, RequestBody, TrailerFilter, UpstreamBody, Upstreams, hop_by_hop, upgrade,
};

pub(super) const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(5), response: Duration::from_secs(10), idle: Duration::from_secs(10) };

/// An upstream that runs a script for every connection.
pub(super) struct Script {
    pub(super) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Script {
    /// `script` is given each connection with its number, from 0.
    pub(super) async fn start<F>(script: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(script(stream, count.fetch_add(1, Ordering::SeqCst)));
            }
        });
        Self { address, accepted }
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(super) fn http1(&self) -> Upstream {
        upstream(vec![http1(self.address)])
    }

    pub(super) fn h2c(&self) -> Upstream {
        let (host, port) = (self.address.ip().to_string(), self.address.port());
        upstream(vec![UpstreamAddress::H2c { host, port }])
    }
}

pub(super) fn http1(address: SocketAddr) -> UpstreamAddress {
    UpstreamAddress::Http { host: address.ip().to_string(), port: address.port() }
}

pub(super) fn upstream(addresses: Vec<UpstreamAddress>) -> Upstream {
    Upstream { addresses, tls: UpstreamTls::default(), care: UpstreamCare::default() }
}

pub(super) fn forwarder(upstream: Upstream) -> Forwarder {
    Forwarder::new(&Upstreams::new(&[upstream], &Clock::system()).unwrap())
}

pub(super) fn request(method: Method, path: &str) -> Request<RequestBody> {
    Request::builder().method(method).uri(path).header("host", "app.test").body(RequestBody::empty()).unwrap()
}

pub(super) async fn send(
    forwarder: &Forwarder,
    request: Request<RequestBody>,
) -> Result<Response<UpstreamBody>, ForwardError> {
    forwarder.send(UpstreamId(0), Box::new(request), &TIMEOUTS, None).await
}

/// Sends a GET and reads the whole answer.
pub(super) async fn get(forwarder: &Forwarder, path: &str) -> (StatusCode, Bytes) {
    let response = send(forwarder, request(Method::GET, path)).await.unwrap();
    let status = response.status();
    (status, text(response).await.unwrap())
}

pub(super) async fn text(response: Response<UpstreamBody>) -> Result<Bytes, BodyError> {
    Ok(response.into_body().collect().await?.to_bytes())
}

/// Reads up to and including the empty line after a head. Empty when the peer closed instead.
pub(super) async fn read_head(stream: &mut TcpStream) -> String {
    read_until(stream, "\r\n\r\n").await
}

/// Reads up to and including `end`, or to the end of the stream.
pub(super) async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        match stream.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(read).unwrap()
}

/// Everything up to the end of the stream, however that comes.
pub(super) async fn read_all(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    String::from_utf8_lossy(&read).into_owned()
}

pub(super) async fn write(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).await.unwrap();
}

/// Waits until the peer has closed its end; whatever it says meanwhile is thrown away.
pub(super) async fn closed_by_peer(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What stands for the gateway.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) timeouts: Timeouts,
    pub(super) body_limit: Option<u64>,
    pub(super) client_idle: Duration,
    pub(super) http2: bool,
    /// Ends the tunnels.
    pub(super) end: Arc<Notify>,
}

impl Default for Front {
    fn default() -> Self {
        Self {
            timeouts: TIMEOUTS,
            body_limit: None,
            client_idle: Duration::from_secs(10),
            http2: false,
            end: Arc::default(),
        }
    }
}

impl Front {
    /// Serves clients in front of `upstream`; returns where.
    pub(super) async fn start(self, upstream: Upstream) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let forwarder = Arc::new(forwarder(upstream));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (front, forwarder) = (self.clone(), Arc::clone(&forwarder));
                let service = service_fn(move |request| {
                    let (front, forwarder) = (front.clone(), Arc::clone(&forwarder));
                    async move { Ok::<_, Infallible>(front.handle(&forwarder, request).await) }
                });
                let io = TokioIo::new(stream);
                if self.http2 {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    tokio::spawn(server.serve_connection(io, service));
                } else {
                    let server = hyper::server::conn::http1::Builder::new();
                    tokio::spawn(server.serve_connection(io, service).with_upgrades());
                }
            }
        });
        address
    }

    /// Serves and connects.
    pub(super) async fn connect(self, upstream: Upstream) -> TcpStream {
        TcpStream::connect(self.start(upstream).await).await.unwrap()
    }

    async fn handle(&self, forwarder: &Forwarder, mut request: Request<Incoming>) -> Response<Body> {
        let protocol = upgrade::requested(&request);
        let client = hyper::upgrade::on(&mut request);
        hop_by_hop::remove_from_request(request.headers_mut());
        if !request.headers().contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, HeaderValue::from_static("app.test"));
        }
        if let Some(path) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = path.into();
        }
        let (head, body) = request.into_parts();
        let mut body = RequestBody::new(body, head.version, self.client_idle);
        if body.limit(self.body_limit).is_err() {
            return status(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let filter: TrailerFilter = Arc::new(|trailers: &mut HeaderMap| drop(trailers.remove("x-user")));
        body.pass_trailers(&filter);
        let mut request = Request::from_parts(head, body);
        if let Some(protocol) = protocol {
            request.extensions_mut().insert(protocol);
        }
        match forwarder.send(UpstreamId(0), Box::new(request), &self.timeouts, None).await {
            Ok(mut response) => {
                let chosen = response.headers().get(header::UPGRADE).cloned();
                hop_by_hop::remove_from_response(response.headers_mut());
                if let (Some(switched), Some(chosen)) = (response.body_mut().take_switched(), chosen) {
                    upgrade::restore(response.headers_mut(), &chosen);
                    let (end, idle) = (Arc::clone(&self.end), self.timeouts.idle);
                    tokio::spawn(upgrade::tunnel(client, switched, idle, async move {
                        end.notified().await;
                        upgrade::Goodbye::GoingAway
                    }));
                }
                response.map(Body::from)
            }
            Err(error) => status(code(&error)),
        }
    }
}

pub(super) fn code(error: &ForwardError) -> StatusCode {
    match error {
        ForwardError::UnknownUpstream => StatusCode::INTERNAL_SERVER_ERROR,
        ForwardError::InvalidAuthority => StatusCode::BAD_REQUEST,
        ForwardError::Unreachable(_) | ForwardError::Broken { .. } | ForwardError::Protocol(_) => {
            StatusCode::BAD_GATEWAY
        }
        ForwardError::ConnectTimedOut | ForwardError::ResponseTimedOut | ForwardError::UploadStalled => {
            StatusCode::GATEWAY_TIMEOUT
        }
        ForwardError::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        ForwardError::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ForwardError::ClientIdle => StatusCode::REQUEST_TIMEOUT,
        ForwardError::ClientGone => StatusCode::from_u16(499).unwrap(),
        ForwardError::SessionOver => StatusCode::UNAUTHORIZED,
    }
}

fn status(status: StatusCode) -> Response<Body> {
    Response::builder().status(status).body(Body::full(status.as_str().to_owned())).unwrap()
}
