//! An application that a test writes itself, byte by byte, and whose connections it counts.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::serve::{Served, serve};

/// A running application.
#[derive(Debug)]
pub(crate) struct Scripted {
    served: Served,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Scripted {
    /// Gives every connection to `connection`.
    pub(crate) async fn start<C, F>(connection: C) -> Self
    where
        C: Fn(Line) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (accepted, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (all, now) = (Arc::clone(&accepted), Arc::clone(&open));
        let served = serve(move |stream| {
            all.fetch_add(1, Ordering::SeqCst);
            connection(Line { stream, unread: Vec::new(), _open: Open::new(&now) })
        })
        .await;
        Self { served, accepted, open }
    }

    /// What the configuration names.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.served.address
    }

    /// How many connections were opened to it.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    unread: Vec<u8>,
    _open: Open,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The request line and the fields.
    pub(crate) head: String,
    /// The body, if it has a `Content-Length`.
    pub(crate) body: Vec<u8>,
}

impl Line {
    /// The next head; `None` at the end of the connection.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if self.stream.read_buf(&mut self.unread).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next request with its body; `None` at the end of the connection.
    pub(crate) async fn request(&mut self) -> Option<Request> {
        let head = self.head().await?;
        let length = field(&head, "content-length").map_or(0, |value| value.parse().unwrap());
        while self.unread.len() < length {
            if self.stream.read_buf(&mut self.unread).await.unwrap_or(0) == 0 {
                return None;
            }
        }
        Some(Request { body: self.unread.drain(..length).collect(), head })
    }

    /// Reads at most so many bytes of what follows a head, and returns how many.
    pub(crate) async fn take(&mut self, most: usize) -> usize {
        let ahead = self.unread.len().min(most);
        if ahead > 0 {
            self.unread.drain(..ahead);
            return ahead;
        }
        let mut buffer = vec![0; most];
        self.stream.read(&mut buffer).await.unwrap_or(0)
    }

    /// Some of what follows a head; nothing at the end of the connection, however it came.
    pub(crate) async fn read(&mut self) -> Vec<u8> {
        if self.unread.is_empty() {
            drop(self.stream.read_buf(&mut self.unread).await);
        }
        std::mem::take(&mut self.unread)
    }

    /// Says that nothing more will be said, and goes on listening.
    pub(crate) async fn half_close(&mut self) {
        drop(self.stream.shutdown().await);
    }

    /// Writes; that the gateway has gone is no matter.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()).await);
    }

    /// Waits until the gateway closes.
    pub(crate) async fn closed(&mut self) {
        while self.take(64 * 1024).await > 0 {}
    }

    /// Resets the connection instead of ending it.
    pub(crate) fn reset(self) {
        drop(socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
    }
}

impl Request {
    /// The path of the request line, without the query.
    pub(crate) fn path(&self) -> &str {
        target(&self.head).split('?').next().unwrap()
    }

    /// An answer that says what was seen, as [`super::load::Load`] wants it.
    pub(crate) fn echo(&self) -> String {
        echo(&self.head)
    }
}

/// An answer that says what was seen: target and user.
pub(crate) fn echo(head: &str) -> String {
    let user = field(head, "x-user-id").map(|user| json!([["x-user-id", user]])).unwrap_or(json!([]));
    answer(&json!({ "target": target(head), "headers": user }).to_string())
}

/// 200 with this body.
pub(crate) fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = head.lines().find(|line| line.split(':').next().unwrap().eq_ignore_ascii_case(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// Counts as an open connection until it is dropped.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
