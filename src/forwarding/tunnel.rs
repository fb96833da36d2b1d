//! The bytes of a connection that switched protocols, in both directions until both are at their end.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use crate::forwarding::silence::Silence;
use crate::forwarding::upgrade::Switched;
use crate::forwarding::websocket_frames::{Goodbye, WebsocketFrames};

/// What is read at once.
const CHUNK: usize = 16 * 1024;

/// How long a client may take to be told that a tunnel ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a tunnel went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelReport {
    /// Why it ended.
    pub end: TunnelEnd,
    /// Bytes from the client to the upstream.
    pub sent: u64,
    /// Bytes from the upstream to the client.
    pub received: u64,
}

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelEnd {
    /// Both sides had said all they had to say.
    Closed,
    /// Neither side said anything for the idle time-out.
    Idle,
    /// It was ended from outside.
    Ended(Goodbye),
    /// A connection broke.
    Broken,
    /// The client's connection never became a tunnel.
    NeverOpened,
}

/// Starts a [`tunnel`] in a task of its own on this worker's runtime, which the connections of both sides belong to;
/// `report` hears how it went.
pub fn start(
    client: OnUpgrade,
    upstream: Box<Switched>,
    idle: Duration,
    until: impl Future<Output = Goodbye> + Send + 'static,
    report: impl FnOnce(TunnelReport) + Send + 'static,
) {
    drop(tokio::spawn(async move { report(tunnel(client, upstream, idle, until).await) }));
}

/// Carries bytes between a client and an upstream that have switched protocols. When one side has ended, the other may
/// go on; at the end both connections are closed.
///
/// `idle` bounds the silence of both sides together, `until` ends the tunnel from outside: the client of a WebSocket is
/// then told why. While nobody speaks, no buffer is held.
pub async fn tunnel(
    client: OnUpgrade,
    upstream: Box<Switched>,
    idle: Duration,
    until: impl Future<Output = Goodbye> + Send,
) -> TunnelReport {
    let Switched { stream, first, in_flight: _in_flight, websocket } = *upstream;
    let mut down = Direction::new(first, websocket);
    let mut up = Direction::new(Bytes::new(), false);
    let Ok(Ok(client)) = timeout(idle, client).await else {
        return TunnelReport { end: TunnelEnd::NeverOpened, sent: 0, received: 0 };
    };
    let (mut client, mut stream) = (TokioIo::new(client), stream);
    let mut silence = Silence::new(idle);
    let mut until = pin!(until);
    let end = poll_fn(|context| {
        if let Poll::Ready(goodbye) = until.as_mut().poll(context) {
            return Poll::Ready(TunnelEnd::Ended(goodbye));
        }
        let before = up.moved.wrapping_add(down.moved);
        let outcomes = [up.poll(&mut client, &mut stream, context), down.poll(&mut stream, &mut client, context)];
        match outcomes {
            [Poll::Ready(Err(_)), _] | [_, Poll::Ready(Err(_))] => return Poll::Ready(TunnelEnd::Broken),
            [Poll::Ready(Ok(())), Poll::Ready(Ok(()))] => return Poll::Ready(TunnelEnd::Closed),
            _ => {}
        }
        if up.moved.wrapping_add(down.moved) != before {
            silence.broken();
        }
        silence.poll(None, context).map(|()| TunnelEnd::Idle)
    })
    .await;
    // Ended by us, a client is told so before its connection is dropped.
    if matches!(end, TunnelEnd::Idle | TunnelEnd::Ended(_)) {
        let farewell = async {
            if let TunnelEnd::Ended(goodbye) = end
                && down.may_say_goodbye()
            {
                client.write_all(&goodbye.close_frame()).await?;
            }
            client.shutdown().await
        };
        drop(timeout(FAREWELL, farewell).await);
    }
    TunnelReport { end, sent: up.moved, received: down.moved }
}

/// One direction of a tunnel.
struct Direction {
    /// Read, but not written yet.
    rest: Bytes,
    moved: u64,
    unflushed: bool,
    state: DirectionState,
    /// The frames that the writer got, where something of ours may be put behind them.
    frames: Option<WebsocketFrames>,
}

enum DirectionState {
    Flowing,
    /// The reader is at its end, which the writer has yet to be told.
    Ending,
    Ended,
}

impl Direction {
    fn new(rest: Bytes, follow_frames: bool) -> Self {
        let frames = follow_frames.then(WebsocketFrames::default);
        Self { rest, moved: 0, unflushed: false, state: DirectionState::Flowing, frames }
    }

    /// Whether a close frame in this place is one to the reader, and no part of somebody's message.
    fn may_say_goodbye(&self) -> bool {
        matches!(self.state, DirectionState::Flowing)
            && self.frames.as_ref().is_some_and(WebsocketFrames::is_at_a_boundary)
    }

    /// Moves what can be moved. Ready once the writer knows that the reader is at its end.
    fn poll(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.state {
                DirectionState::Ended => return Poll::Ready(Ok(())),
                DirectionState::Ending => {
                    ready!(self.poll_write_rest(writer, context))?;
                    ready!(Pin::new(&mut *writer).poll_shutdown(context))?;
                    self.state = DirectionState::Ended;
                }
                DirectionState::Flowing => {
                    ready!(self.poll_write_rest(writer, context))?;
                    if ready!(self.poll_transfer(reader, writer, context))? == 0 {
                        self.state = DirectionState::Ending;
                    }
                }
            }
        }
    }

    fn poll_write_rest(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let count = ready!(Pin::new(&mut *writer).poll_write(context, &self.rest))?;
            let written = self.rest.split_to(count.min(self.rest.len()));
            self.wrote(&written)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, into the stack, and writes what the writer takes; only what it does not take is kept on the heap.
    /// Before it waits for the reader, the writer is flushed.
    fn poll_transfer(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::<u8>::uninit(); CHUNK];
        let mut chunk = ReadBuf::uninit(&mut space);
        match Pin::new(reader).poll_read(context, &mut chunk) {
            Poll::Ready(outcome) => outcome?,
            Poll::Pending => {
                if self.unflushed && Pin::new(writer).poll_flush(context)?.is_ready() {
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
        let read = chunk.filled();
        let mut pending = read;
        while !pending.is_empty() {
            match Pin::new(&mut *writer).poll_write(context, pending)? {
                Poll::Ready(count) => {
                    self.wrote(pending.get(..count).unwrap_or(pending))?;
                    pending.advance(count);
                }
                Poll::Pending => {
                    self.rest = Bytes::copy_from_slice(pending);
                    break;
                }
            }
        }
        Poll::Ready(Ok(read.len()))
    }

    fn wrote(&mut self, written: &[u8]) -> io::Result<()> {
        if written.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if let Some(frames) = &mut self.frames {
            frames.follow(written);
        }
        self.moved = self.moved.wrapping_add(written.len() as u64);
        self.unflushed = true;
        Ok(())
    }
}
