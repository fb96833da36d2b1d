//! The socket as HTTP sees it: plain or TLS, noting what happens on it, holding the connection's place.
//!
//! The place ([`Permit`]) and the mark that a drain waits for live as long as the socket does, so an upgraded connection
//! counts for as long as its tunnel lasts.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::activity::Activity;
use super::header_block::HeaderBlocks;
use super::joined::Joined;
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
    /// On HTTP/2, whose heads may come in many frames.
    blocks: Option<HeaderBlocks>,
    /// On HTTP/2, where what is written comes in small pieces.
    joined: Option<Joined>,
    /// What was read too early and is read once more.
    given_back: Bytes,
    closed: bool,
    _permit: Permit,
    _alive: TaskTrackerToken,
}

impl Wire {
    pub(super) fn new(transport: Transport, activity: Arc<Activity>, permit: Permit, alive: TaskTrackerToken) -> Self {
        let joined = activity.is_http2().then(Joined::default);
        let blocks = activity.is_http2().then(HeaderBlocks::new);
        Self {
            transport,
            activity,
            blocks,
            joined,
            given_back: Bytes::new(),
            closed: false,
            _permit: permit,
            _alive: alive,
        }
    }

    /// Takes back what was read and is of the next request.
    pub(super) fn give_back(&mut self, bytes: Bytes) {
        self.given_back = bytes;
    }

    /// Ready when there is something to read, if only the end. What HTTP has read to the end of what there was leaves
    /// nothing deciphered behind, so it is the socket that tells.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.given_back.is_empty() {
            return Poll::Ready(());
        }
        self.socket().poll_read_ready(cx).map(drop)
    }

    fn socket(&mut self) -> &mut TcpStream {
        match &mut self.transport {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream.get_mut().0,
        }
    }

    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(count)) => self.activity.wrote(*count),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked(),
        }
    }

    /// Writes what has been joined, all of it.
    fn poll_write_joined(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(joined) = &mut self.joined else { return Poll::Ready(Ok(())) };
        while let Some(rest) = joined.rest() {
            let written = self.transport.poll_write(cx, &[IoSlice::new(rest)]);
            match &written {
                Poll::Ready(Ok(count)) => self.activity.wrote(*count),
                Poll::Ready(Err(_)) => {}
                Poll::Pending => self.activity.blocked(),
            }
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => joined.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and throws away what the peer still sends, undeciphered, until it closes as well.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.socket();
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

impl Drop for Wire {
    /// A connection that ends within an answer whose end is that of the connection is reset, so that its client does not take
    /// what it has for all of it.
    fn drop(&mut self) {
        if self.activity.is_cut_unseen() {
            // An error says that the peer has gone.
            let _ = self.socket().set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.given_back.is_empty() {
            let count = self.given_back.len().min(buffer.remaining());
            buffer.put_slice(&self.given_back.split_to(count));
            self.activity.received(count);
            return Poll::Ready(Ok(()));
        }
        let read = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        };
        let received = buffer.filled().get(before..).unwrap_or_default();
        self.activity.received(received.len());
        if let Some(blocks) = &mut self.blocks {
            let block = blocks.follow(received);
            self.activity.amid(block);
        }
        read
    }
}

impl Transport {
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.joined.as_ref().is_some_and(|joined| !joined.has_room()) {
            ready!(self.poll_write_joined(cx))?;
        }
        let this = &mut *self;
        if let Some(joined) = &mut this.joined {
            this.activity.puts_flush_off();
            return Poll::Ready(Ok(joined.append(slices)));
        }
        let written = this.transport.poll_write(cx, slices);
        self.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.joined.as_mut().is_some_and(Joined::puts_off) {
            return Poll::Ready(Ok(()));
        }
        self.activity.flushes();
        ready!(self.poll_write_joined(cx))?;
        let flushed = self.transport.poll_flush(cx);
        match flushed {
            Poll::Pending => self.activity.blocked(),
            Poll::Ready(_) => self.activity.flushed(),
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            ready!(self.poll_write_joined(cx))?;
            let closed = self.transport.poll_shutdown(cx);
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
