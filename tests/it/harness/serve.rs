//! A small server of the harness: accepts on port 0 until it is dropped.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::body::TestBody;

/// A listening server. Dropping it closes the listener and every connection.
#[derive(Debug)]
pub(crate) struct Served {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    accepting: AbortHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts connections on port 0 of the loopback address and gives each to `connection`.
pub(crate) async fn serve<C, F>(connection: C) -> Served
where
    C: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    serve_at(SocketAddr::from(([127, 0, 0, 1], 0)), connection).await
}

/// How many connections wait to be accepted: the usual 128 are too few for a burst of them, whose others the system would
/// then let try again after a second.
const BACKLOG: u32 = 4096;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The same at an address that was in use before: a server that comes back after a restart.
pub(crate) async fn serve_at<C, F>(address: SocketAddr, connection: C) -> Served
where
    C: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    // The connections of a server that was dropped may need a moment to close.
    let mut bound = listen(address);
    for _ in 0..200 {
        if bound.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        bound = listen(address);
    }
    let listener = bound.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream.set_nodelay(true));
            connections.spawn(connection(stream));
            while connections.try_join_next().is_some() {}
        }
    });
    Served { address, accepting: accepting.abort_handle() }
}

/// Why a handler leaves without an answer: the connection closes at once.
#[derive(Debug, thiserror::Error)]
#[error("the test closes the connection without an answer")]
pub(crate) struct Hangup;

/// Serves HTTP/1.1 on `stream`, upgrades included.
pub(crate) async fn http1<S, H, F>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<TestBody>, Hangup>>,
    H: Send + 'static,
    F: Send + 'static,
{
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handler));
    drop(connection.with_upgrades().await);
}

/// Serves HTTP/2 with prior knowledge on `stream`.
pub(crate) async fn http2<S, H, F>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<TestBody>, Hangup>> + Send + 'static,
{
    let builder = http2::Builder::new(TokioExecutor::new());
    drop(builder.serve_connection(TokioIo::new(stream), service_fn(handler)).await);
}
