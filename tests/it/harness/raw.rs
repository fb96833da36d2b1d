//! Byte-exact requests: for everything that a well-behaved client library would never send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client::tls;
use super::wait::PATIENCE;

/// A TLS connection on which a test writes HTTP/1.1 itself.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
}

/// What came back on a raw connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawAnswer {
    /// The status.
    pub(crate) status: u16,
    /// Status line and fields, with the empty line.
    pub(crate) head: String,
    /// The body as it stood on the wire.
    pub(crate) body: Vec<u8>,
}

impl Raw {
    /// Connects with this name in SNI.
    pub(crate) async fn connect(address: SocketAddr, server_name: &str) -> Self {
        Self { stream: tls(address, server_name, &[b"http/1.1"]).await, unread: Vec::new() }
    }

    /// Writes these bytes and no others.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads one answer. `None`: the connection was closed without one.
    ///
    /// The body is measured by `Content-Length`, or by its last chunk (chunks are kept as they stand); else it is what
    /// comes until the connection closes. An answer without a body by its status has none.
    pub(crate) async fn read(&mut self) -> Option<RawAnswer> {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end + 4;
            }
            if self.more().await == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end);
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = loop {
            if let Some(length) = body_length(status, &head, &self.unread) {
                break length;
            }
            if self.more().await == 0 {
                break self.unread.len();
            }
        };
        Some(RawAnswer { status, head, body: self.unread.drain(..length).collect() })
    }

    /// Sends one request and reads one answer.
    pub(crate) async fn exchange(
        address: SocketAddr,
        server_name: &str,
        request: impl AsRef<[u8]>,
    ) -> Option<RawAnswer> {
        let mut raw = Self::connect(address, server_name).await;
        raw.write(request).await;
        raw.read().await
    }

    /// Waits until the gateway has closed the connection, and returns what it still said.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// Reads what is there; zero at the end, however it came.
    async fn more(&mut self) -> usize {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        read.expect("the gateway answers or closes in time").unwrap_or(0)
    }
}

/// How long the body is, as soon as that can be said; `None` while it may still grow.
fn body_length(status: u16, head: &str, so_far: &[u8]) -> Option<usize> {
    if status < 200 || status == 204 || status == 304 {
        return Some(0);
    }
    let head = head.to_ascii_lowercase();
    let declared = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    if let Some(length) = declared.map(|value| value.trim().parse().unwrap()) {
        return (so_far.len() >= length).then_some(length);
    }
    if head.contains("transfer-encoding: chunked") {
        return if so_far.starts_with(b"0\r\n\r\n") {
            Some(5)
        } else {
            find(so_far, b"\r\n0\r\n\r\n").map(|at| at + 7)
        };
    }
    None
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
