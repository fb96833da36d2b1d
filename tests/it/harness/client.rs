//! A client that hides nothing: each answer with its head, its trailers, and whether it came to a clean end.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::body::{TestBody, full};
use super::certificates::authority;
use super::cookies::{Jar, SetCookie, set_cookies};

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1, one connection per request unless the test keeps one.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Dials one TLS listener, whatever the host of the request is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    /// What is spoken.
    pub(crate) protocol: Protocol,
}

impl Client {
    /// Sends one request on a connection of its own and reads the whole answer.
    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        self.connect(ask.host()).await.send(ask).await
    }

    /// The same from a gateway that may not be there, or not let everybody in: `None` without a whole answer.
    pub(crate) async fn try_send(&self, ask: Ask) -> Option<Answer> {
        let mut connection = self.try_connect(ask.host()).await.ok()?;
        Some(Answer::read(connection.open(ask).await.ok()?).await).filter(|answer| answer.complete)
    }

    /// Opens a connection for `host` (SNI).
    pub(crate) async fn connect(&self, host: &str) -> Connection {
        self.try_connect(host).await.unwrap()
    }

    /// The same where there may be none.
    pub(crate) async fn try_connect(&self, host: &str) -> io::Result<Connection> {
        let alpn: &[u8] = if self.protocol == Protocol::Http2 { b"h2" } else { b"http/1.1" };
        let stream = try_tls(self.address, host, &[alpn]).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn), "the protocol that was asked for");
        let stream = TokioIo::new(stream);
        match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::Builder::new()
                    .preserve_header_case(true)
                    .handshake(stream)
                    .await
                    .map_err(io::Error::other)?;
                tokio::spawn(async move { drop(connection.with_upgrades().await) });
                Ok(Connection::Http1(sender))
            }
            Protocol::Http2 => {
                let builder = http2::Builder::new(TokioExecutor::new());
                let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
                tokio::spawn(async move { drop(connection.await) });
                Ok(Connection::Http2(sender))
            }
        }
    }
}

/// A TLS connection to `address` for `host`, for tests that write the bytes themselves.
pub(crate) async fn tls(address: SocketAddr, host: &str, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    try_tls(address, host, alpn).await.unwrap()
}

/// The same where there may be none.
pub(crate) async fn try_tls(address: SocketAddr, host: &str, alpn: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(authority().client(alpn)).connect(name, stream).await
}

/// A connection over HTTP/1.1 from this address of the machine.
pub(crate) async fn connect_from(here: [u8; 4], there: SocketAddr, host: &str) -> Connection {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((here, 0).into()).unwrap();
    let stream = socket.connect(there).await.unwrap();
    let connector = TlsConnector::from(authority().client(&[b"http/1.1"]));
    let stream = connector.connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    Connection::Http1(sender)
}

/// One connection to the gateway.
#[derive(Debug)]
pub(crate) enum Connection {
    /// HTTP/1.1: one request after the other.
    Http1(http1::SendRequest<TestBody>),
    /// HTTP/2: as many as one likes, see [`Connection::share`].
    Http2(http2::SendRequest<TestBody>),
}

impl Connection {
    /// Sends one request and reads the whole answer.
    pub(crate) async fn send(&mut self, ask: Ask) -> Answer {
        Answer::read(self.open(ask).await.unwrap()).await
    }

    /// Sends one request and returns once the head of the answer is there.
    pub(crate) async fn open(&mut self, ask: Ask) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(ask.into_request(Version::HTTP_11)).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(ask.into_request(Version::HTTP_2)).await
            }
        }
    }

    /// The same HTTP/2 connection for another request at the same time.
    ///
    /// # Panics
    ///
    /// On HTTP/1.1, which has no such thing.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::Http1(_) => panic!("HTTP/1.1 has one request at a time"),
            Self::Http2(sender) => Self::Http2(sender.clone()),
        }
    }

    /// Whether the gateway has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

/// A `GET` of `https://host/path`.
pub(crate) fn get(url: &str) -> Ask {
    Ask::new(Method::GET, url)
}

/// A `POST` to `https://host/path`.
pub(crate) fn post(url: &str) -> Ask {
    Ask::new(Method::POST, url)
}

/// A request in the making.
#[derive(Debug)]
pub(crate) struct Ask {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: TestBody,
}

impl Ask {
    /// A request with any method.
    pub(crate) fn new(method: Method, url: &str) -> Self {
        Self { method, uri: url.parse().unwrap(), headers: HeaderMap::new(), body: full("") }
    }

    /// Adds a field; the same name twice makes two lines.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.header_bytes(name, value.as_bytes())
    }

    /// The same with any bytes that a field may hold.
    pub(crate) fn header_bytes(mut self, name: &str, value: &[u8]) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value).unwrap());
        self
    }

    /// Presents an access token in the header.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Presents what a browser keeps.
    pub(crate) fn cookies(self, jar: &Jar) -> Self {
        match jar.line() {
            Some(line) => self.header(COOKIE.as_str(), &line),
            None => self,
        }
    }

    /// What a browser sends along with a click on a link.
    pub(crate) fn navigation(self) -> Self {
        self.header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", "none")
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    }

    /// Sends these bytes.
    pub(crate) fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = full(bytes);
        self
    }

    /// Sends a body that the test feeds.
    pub(crate) fn streamed(mut self, body: TestBody) -> Self {
        self.body = body;
        self
    }

    /// Sends JSON.
    pub(crate) fn json(self, value: &Value) -> Self {
        self.header(CONTENT_TYPE.as_str(), "application/json").body(value.to_string())
    }

    /// The host of the URL.
    pub(crate) fn host(&self) -> &str {
        self.uri.host().unwrap()
    }

    /// HTTP/1.1 has the host in a field and the target in origin form, HTTP/2 has `:authority`.
    fn into_request(self, version: Version) -> Request<TestBody> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        if version == Version::HTTP_11 {
            let host = HeaderValue::from_str(self.uri.authority().unwrap().as_str()).unwrap();
            request.headers_mut().entry(HOST).or_insert(host);
            *request.uri_mut() = self.uri.path_and_query().unwrap().as_str().parse().unwrap();
        } else {
            *request.uri_mut() = self.uri;
        }
        request
    }
}

/// The request as it stands on an HTTP/1.1 connection.
pub(crate) fn origin_form(ask: Ask) -> Request<TestBody> {
    ask.into_request(Version::HTTP_11)
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The fields.
    pub(crate) headers: HeaderMap,
    /// As much of the body as came.
    pub(crate) body: Bytes,
    /// The trailers, when there were any.
    pub(crate) trailers: Option<HeaderMap>,
    /// Whether the body came to a clean end; `false` is a visible truncation.
    pub(crate) complete: bool,
}

impl Answer {
    /// Reads a body to its end, clean or not.
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut trailers, mut complete) = (Vec::new(), None, true);
        while let Some(frame) = incoming.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => body.extend_from_slice(&data),
                Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
                Err(_) => {
                    complete = false;
                    break;
                }
            }
        }
        Self { status: head.status, headers: head.headers, body: body.into(), trailers, complete }
    }

    /// The first value of a field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Every `Set-Cookie`.
    pub(crate) fn set_cookies(&self) -> Vec<SetCookie> {
        set_cookies(&self.headers)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none; the message shows the whole answer.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Fails with the whole answer in the message when the status is another.
    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "the status of {self:?}");
        self
    }
}
