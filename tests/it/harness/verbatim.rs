//! A client that sends any target and any field, byte by byte, over HTTP/1.1 and HTTP/2, on connections that it keeps.
//!
//! Over HTTP/2 it writes the frames itself, for every library refuses some of what is to be tried. Requests have no body.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::application_server::{Address, Stream, connect};
use super::client::{Protocol, tls};
use super::wait::PATIENCE;

/// A request. Nothing is added to it, and nothing is checked.
#[derive(Clone, Debug)]
pub(crate) struct Verbatim {
    /// The method.
    pub(crate) method: &'static str,
    /// What stands in the request line, or in `:path`.
    pub(crate) target: Vec<u8>,
    /// `Host`, or `:authority`.
    pub(crate) host: String,
    /// The fields, in this order.
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Verbatim {
    /// A `GET` without fields.
    pub(crate) fn get(host: &str, target: impl Into<Vec<u8>>) -> Self {
        Self { method: "GET", target: target.into(), host: host.to_owned(), fields: Vec::new() }
    }

    /// Adds a field.
    pub(crate) fn field(mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// As it stands on an HTTP/1.1 connection.
    pub(crate) fn http1(&self) -> Vec<u8> {
        let mut bytes = [self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1\r\nHost: "].concat();
        bytes.extend_from_slice(self.host.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.fields {
            bytes.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// As a header block (RFC 7541 §6.2.2): every field literal, nothing indexed, nothing compressed.
    fn header_block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        let mut put = |name: &[u8], value: &[u8]| {
            block.push(0);
            for text in [name, value] {
                put_length(&mut block, text.len());
                block.extend_from_slice(text);
            }
        };
        put(b":method", self.method.as_bytes());
        put(b":scheme", b"https");
        put(b":authority", self.host.as_bytes());
        put(b":path", &self.target);
        for (name, value) in &self.fields {
            put(name, value);
        }
        block
    }
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn put_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        return block.push(u8::try_from(length).unwrap());
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct VerbatimAnswer {
    /// The status.
    pub(crate) status: u16,
    /// Over HTTP/1.1 the status line and the fields; over HTTP/2 nothing.
    pub(crate) head: Vec<u8>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Where such a client connects to.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// A gateway, over TLS, with this name in SNI.
    Gateway(SocketAddr, String, Protocol),
    /// A server itself, over HTTP/1.1.
    Server(Address),
}

/// The client. It dials again whenever its connection was closed.
pub(crate) struct VerbatimClient {
    peer: Peer,
    stream: Option<Box<dyn Stream>>,
    unread: Vec<u8>,
    /// The next stream of an HTTP/2 connection.
    stream_id: u32,
}

impl VerbatimClient {
    /// Not connected yet.
    pub(crate) const fn new(peer: Peer) -> Self {
        Self { peer, stream: None, unread: Vec::new(), stream_id: 1 }
    }

    /// Sends one request, and returns the answer. `None`: the connection was closed, or the stream reset, without one.
    pub(crate) async fn send(&mut self, request: &Verbatim) -> Option<VerbatimAnswer> {
        let http2 = matches!(self.peer, Peer::Gateway(_, _, Protocol::Http2));
        if self.stream.is_none() {
            self.dial(http2).await;
        }
        let answer = tokio::time::timeout(PATIENCE, async {
            if http2 { self.send_http2(request).await } else { self.send_http1(request).await }
        })
        .await
        .unwrap_or_else(|_| panic!("there is no answer to {}", request.http1().escape_ascii()));
        // A request line that is broken in two leaves a connection of which nothing is known.
        if !http2 && (answer.is_none() || request.target.iter().any(|byte| *byte <= b' ')) {
            self.stream = None;
        }
        answer
    }

    async fn dial(&mut self, http2: bool) {
        self.unread.clear();
        let mut stream: Box<dyn Stream> = match &self.peer {
            Peer::Gateway(address, name, _) => {
                let alpn: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
                Box::new(tls(*address, name, &[alpn]).await)
            }
            Peer::Server(address) => connect(address).await.unwrap(),
        };
        if http2 {
            let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            // No dynamic table, no push; and windows of 2 GiB, so that none need be kept.
            preface.extend_from_slice(&frame(
                4,
                0,
                0,
                &[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 255, 255, 255],
            ));
            preface.extend_from_slice(&frame(8, 0, 0, &[0x7f, 255, 0, 0]));
            drop(stream.write_all(&preface).await);
            self.stream_id = 1;
        }
        self.stream = Some(stream);
    }

    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        let stream = self.stream.as_mut()?;
        stream.write_all(bytes).await.ok()?;
        stream.flush().await.ok()
    }

    /// Reads what is there; `None` at the end, however it came.
    async fn more(&mut self) -> Option<()> {
        let read = self.stream.as_mut()?.read_buf(&mut self.unread).await;
        (read.unwrap_or(0) > 0).then_some(())
    }

    async fn send_http1(&mut self, request: &Verbatim) -> Option<VerbatimAnswer> {
        // A gateway that closes before everything is written has an answer ready all the same.
        let _ = self.write(&request.http1()).await;
        let end = loop {
            match find(&self.unread, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.more().await?,
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = text.split(' ').nth(1)?.trim().parse().ok()?;
        let declared = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let mut closed = text.contains("\r\nconnection: close");
        let body = if status < 200 || matches!(status, 204 | 304) || request.method == "HEAD" {
            Vec::new()
        } else if let Some(length) = declared {
            while self.unread.len() < length && self.more().await.is_some() {}
            self.unread.drain(..length.min(self.unread.len())).collect()
        } else if text.contains("\r\ntransfer-encoding: chunked") {
            let ended = |unread: &[u8]| unread.starts_with(b"0\r\n\r\n") || find(unread, b"\r\n0\r\n\r\n").is_some();
            while !ended(&self.unread) && self.more().await.is_some() {}
            std::mem::take(&mut self.unread)
        } else {
            closed = true;
            while self.more().await.is_some() {}
            std::mem::take(&mut self.unread)
        };
        if closed || status == 101 {
            self.stream = None;
        }
        Some(VerbatimAnswer { status, head, body })
    }

    async fn send_http2(&mut self, request: &Verbatim) -> Option<VerbatimAnswer> {
        let id = self.stream_id;
        self.stream_id += 2;
        let block = request.header_block();
        let mut parts = block.chunks(16_000).enumerate().peekable();
        let mut frames = Vec::new();
        while let Some((index, part)) = parts.next() {
            let (kind, end_stream) = if index == 0 { (1, 1) } else { (9, 0) };
            let end_headers = if parts.peek().is_none() { 4 } else { 0 };
            frames.extend_from_slice(&frame(kind, end_stream | end_headers, id, part));
        }
        let _ = self.write(&frames).await;
        let mut answer = None;
        loop {
            let Some((kind, flags, stream, payload)) = self.read_frame().await else {
                self.stream = None;
                return answer;
            };
            match kind {
                0 if stream == id => answer.as_mut().map(|answer: &mut VerbatimAnswer| answer.body.extend(payload))?,
                1 if stream == id && answer.is_none() => {
                    let status = status(&payload);
                    answer = Some(VerbatimAnswer { status, head: Vec::new(), body: Vec::new() });
                }
                3 if stream == id => return answer,
                4 if flags & 1 == 0 => drop(self.write(&frame(4, 1, 0, &[])).await),
                6 if flags & 1 == 0 => drop(self.write(&frame(6, 1, 0, &payload)).await),
                // After the last stream that it names, nothing was looked at.
                7 => {
                    let last = u32::from_be_bytes(payload[..4].try_into().unwrap());
                    if last < id {
                        self.stream = None;
                        return None;
                    }
                }
                _ => {}
            }
            if stream == id && kind <= 1 && flags & 1 == 1 {
                return answer;
            }
        }
    }

    async fn read_frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        while self.unread.len() < 9 {
            self.more().await?;
        }
        let length = u32::from_be_bytes([0, self.unread[0], self.unread[1], self.unread[2]]) as usize;
        while self.unread.len() < 9 + length {
            self.more().await?;
        }
        let whole: Vec<u8> = self.unread.drain(..9 + length).collect();
        let stream = u32::from_be_bytes(whole[5..9].try_into().unwrap()) & 0x7fff_ffff;
        Some((whole[3], whole[4], stream, whole[9..].to_vec()))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The status, which comes first in a header block of an answer; it has no dynamic table to look into.
fn status(block: &[u8]) -> u16 {
    let mut rest = block;
    while rest[0] & 0xe0 == 0x20 {
        // A new size of the table, which is zero.
        rest = &rest[1..];
    }
    match rest[0] {
        index @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        0x48 | 0x08 | 0x18 if rest[1] & 0x80 == 0 => std::str::from_utf8(&rest[2..5]).unwrap().parse().unwrap(),
        0x48 | 0x08 | 0x18 => huffman_digits(&rest[2..2 + usize::from(rest[1] & 0x7f)]),
        other => panic!("an answer begins with {other:#x}"),
    }
}

/// Three digits (RFC 7541, Appendix B): 0, 1 and 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let mut bits = bytes.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (32 - 8 * bytes.len());
    let mut number = 0;
    for _ in 0..3 {
        let (five, six) = (bits >> 27, bits >> 26);
        let (digit, length) = if five <= 2 { (five, 5) } else { (six - 0x19 + 3, 6) };
        number = number * 10 + u16::try_from(digit).unwrap();
        bits <<= length;
    }
    number
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
