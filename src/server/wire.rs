//! The socket as HTTP sees it: plain or TLS, noting what happens on it, holding the connection's place.
//!
//! The place ([`Permit`]) and the mark that a drain waits for live as long as the socket does, so an upgraded connection
//! counts for as long as its tunnel lasts.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::activity::Activity;
use super::limits::Permit;

/// What is under the HTTP.
#[derive(Debug)]
pub(super) enum Transport {
    /// A trusted proxy ends TLS, or nothing but a redirect is served.
    Plain(TcpStream),
    /// TLS; boxed, because its state is a kilobyte.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection's socket.
#[derive(Debug)]
pub(super) struct Wire {
    transport: Transport,
    activity: Arc<Activity>,
    closed: bool,
    _permit: Permit,
    _alive: TaskTrackerToken,
}

impl Wire {
    pub(super) const fn new(
        transport: Transport,
        activity: Arc<Activity>,
        permit: Permit,
        alive: TaskTrackerToken,
    ) -> Self {
        Self { transport, activity, closed: false, _permit: permit, _alive: alive }
    }

    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(count)) => self.activity.wrote(*count),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked(),
        }
    }

    /// Reads and throws away what the peer still sends, undeciphered, until it closes as well.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = match &mut self.transport {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream.get_mut().0,
        };
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut *socket).poll_read(cx, &mut buffer));
            // However it ended, there is nothing left to wait for.
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        };
        self.activity.received(buffer.filled().len().saturating_sub(before));
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        };
        self.note_write(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        };
        self.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        };
        match flushed {
            Poll::Pending => self.activity.blocked(),
            Poll::Ready(_) => self.activity.flushed(),
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            let closed = match &mut self.transport {
                Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
                Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            };
            if closed.is_pending() {
                self.activity.blocked();
            }
            ready!(closed)?;
            self.activity.flushed();
            self.closed = true;
        }
        if self.activity.lingers() { self.poll_discard(cx) } else { Poll::Ready(Ok(())) }
    }
}
