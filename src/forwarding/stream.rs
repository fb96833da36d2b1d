//! A connection's bytes: TCP, TLS over TCP, or a Unix socket.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// The byte stream to one address.
pub(super) struct Stream {
    transport: Transport,
    heard: Heard,
    writes: Writes,
}

/// What becomes of writing once the peer takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    /// It fails.
    Fail,
    /// It waits, and what is left to read says how the connection ends.
    Wait,
    /// It has begun to wait.
    Waits,
}

/// What carries the bytes.
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

/// How often the peer has said something: a request that was answered in part must not be repeated, and a connection on which
/// nothing came may lead nowhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<AtomicU64>);

impl Heard {
    /// As often by now.
    pub(super) fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Stream {
    pub(super) fn new(transport: Transport) -> Self {
        Self { transport, heard: Heard::default(), writes: Writes::Fail }
    }

    /// The same for whoever reads as well whenever it writes, and is to hear an answer that came before the peer closed the
    /// connection: that of an application that refuses an upload, and closes upon the rest of it.
    pub(super) fn heard_out(self) -> Self {
        Self { writes: Writes::Wait, ..self }
    }

    /// The same where a write that fails is told at once.
    pub(super) fn told_at_once(self) -> Self {
        Self { writes: Writes::Fail, ..self }
    }

    fn wrote<T>(&mut self, outcome: Poll<io::Result<T>>, context: &Context<'_>) -> Poll<io::Result<T>> {
        let is_closed = |error: &io::Error| matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
        if self.writes == Writes::Fail || !matches!(&outcome, Poll::Ready(Err(error)) if is_closed(error)) {
            return outcome;
        }
        if self.writes == Writes::Wait {
            self.writes = Writes::Waits;
            // Reading may have been tried before, and whatever else happens to the connection has happened.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }

    /// Whether TLS negotiated HTTP/2 by ALPN.
    pub(super) fn negotiated_http2(&self) -> bool {
        match &self.transport {
            Transport::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            Transport::Tcp(_) | Transport::Unix(_) => false,
        }
    }
}

/// Calls a method on whichever transport there is.
macro_rules! on_transport {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &mut $self.transport {
            Transport::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Transport::Tls(stream) => Pin::new(stream).$method($($argument),*),
            Transport::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(on_transport!(self.poll_read(context, buffer)))?;
        if buffer.filled().len() > before {
            self.heard.0.fetch_add(1, Ordering::Relaxed);
        } else if self.writes == Writes::Waits {
            // The system tells of a reset once, and writing was told: this is where the peer broke off.
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = on_transport!(self.poll_write(context, bytes));
        self.wrote(outcome, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = on_transport!(self.poll_flush(context));
        self.wrote(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(self.poll_shutdown(context))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = on_transport!(self.poll_write_vectored(context, slices));
        self.wrote(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Tcp(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
            Transport::Unix(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_reset_that_writing_has_met_is_no_clean_end_of_what_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut stream = Stream::new(Transport::Tcp(stream)).heard_out();
        stream.write_all(b"to be left unread").await.unwrap();
        peer.readable().await.unwrap();
        peer.write_all(b"half of").await.unwrap();
        drop(peer);
        // Until writing waits, which it does as soon as it meets the reset.
        while timeout(Duration::from_secs(1), stream.write_all(b"x")).await.is_ok() {}
        let mut read = Vec::new();
        assert!(stream.read_to_end(&mut read).await.is_err());
        assert_eq!(read, b"half of");
    }
}
