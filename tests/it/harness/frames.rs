//! HTTP/2 written frame by frame: for everything that a client library refuses to send.
//!
//! Header blocks are literals without indexing (RFC 7541 §6.2.2), so a test says every byte of them. The gateway is told to
//! keep no dynamic table for what it sends, so a status can be read without one.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client::tls;
use super::wait::PATIENCE;

/// Kinds of frames (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITISED: u8 = 0x20;
/// A request without a body, all of its head in one frame.
pub(crate) const WHOLE: u8 = END_STREAM | END_HEADERS;

/// Error codes (RFC 9113 §7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Settings (RFC 9113 §6.5.2).
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With this status, and its body came to an end.
    Answered(u16),
    /// The stream was reset with this code.
    Reset(u32),
    /// The connection ended, with this code if it was said.
    Gone(Option<u32>),
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block: each field a literal without indexing, nothing in Huffman's code.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0, name.as_bytes(), value.as_bytes())).collect()
}

/// One literal with a new name; `kind` 0 is without indexing, 0x40 puts it into the table.
pub(crate) fn literal(kind: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[kind], &*integer(name.len()), name, &*integer(value.len()), value].concat()
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn integer(mut value: usize) -> Vec<u8> {
    if value < 127 {
        return vec![u8::try_from(value).unwrap()];
    }
    value -= 127;
    let mut bytes = vec![127];
    while value >= 128 {
        bytes.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// The fields of an ordinary request to `app.test`.
pub(crate) fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "https"), (":authority", "app.test"), (":path", path)]
}

/// A `GET` of `path`, whole.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &block(&request("GET", path)))
}

/// The head of a `POST` to `path` whose body follows.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&request("POST", path)))
}

/// A reset with this code.
pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// Opens a window by so much; stream 0 is the connection.
pub(crate) fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// Settings with these values.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        values.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A TLS connection on which a test writes HTTP/2 itself.
#[derive(Debug)]
pub(crate) struct Frames {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
}

impl Frames {
    /// Connects and says the preface, with ordinary windows.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with_settings(address, &[]).await
    }

    /// Connects and says the preface with these settings.
    pub(crate) async fn with_settings(address: SocketAddr, values: &[(u16, u32)]) -> Self {
        let mut frames = Self::bare(address).await;
        let values = [&[(HEADER_TABLE_SIZE, 0)], values].concat();
        frames.write([PREFACE, &settings(&values), &frame(SETTINGS, ACK, 0, &[])].concat()).await;
        frames
    }

    /// Connects and says nothing.
    pub(crate) async fn bare(address: SocketAddr) -> Self {
        let stream = tls(address, "app.test", &[b"h2"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self { stream, unread: Vec::new() }
    }

    /// Writes these bytes and no others, reading what comes in the meantime. Returns whether the gateway took them all.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let mut bytes = bytes.as_ref();
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        let all = async {
            let mut reading = true;
            while !bytes.is_empty() {
                tokio::select! {
                    written = writer.write(bytes) => match written {
                        Ok(count) if count > 0 => bytes = &bytes[count..],
                        _ => return false,
                    },
                    read = reader.read_buf(&mut self.unread), if reading => reading = read.is_ok_and(|count| count > 0),
                }
            }
            writer.flush().await.is_ok()
        };
        tokio::time::timeout(PATIENCE, all).await.expect("the gateway reads or closes in time")
    }

    /// Writes without reading anything, for as long as the gateway takes it, at most so long.
    pub(crate) async fn write_deaf(&mut self, bytes: &[u8], at_most: std::time::Duration) -> bool {
        matches!(tokio::time::timeout(at_most, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// The next frame. `None`: the connection is at its end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(length) = self.unread.get(..3).map(|b| u32::from_be_bytes([0, b[0], b[1], b[2]]) as usize)
                && self.unread.len() >= 9 + length
            {
                let bytes: Vec<u8> = self.unread.drain(..9 + length).collect();
                let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
                return Some(Frame { kind: bytes[3], flags: bytes[4], stream, payload: bytes[9..].to_vec() });
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
            if read.expect("the gateway answers or closes in time").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Reads until it is known how `stream` ended; windows are opened on the way.
    pub(crate) async fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut goodbye) = (0, None);
        while let Some(next) = self.next().await {
            match next.kind {
                GOAWAY => goodbye = Some(u32::from_be_bytes(next.payload[4..8].try_into().unwrap())),
                RST_STREAM if next.stream == stream => {
                    let code = u32::from_be_bytes(next.payload[..4].try_into().unwrap());
                    // RFC 9113 §8.1: an answer in full, and the rest of the request is not wanted.
                    return if code == NO_ERROR && status > 0 {
                        Outcome::Answered(status)
                    } else {
                        Outcome::Reset(code)
                    };
                }
                HEADERS if next.stream == stream && status == 0 => status = read_status(&next.payload),
                DATA if !next.payload.is_empty() => {
                    let by = u32::try_from(next.payload.len()).unwrap();
                    self.write([window(0, by), window(next.stream, by)].concat()).await;
                }
                _ => {}
            }
            if next.stream == stream && matches!(next.kind, DATA | HEADERS) && next.flags & END_STREAM != 0 {
                return Outcome::Answered(status);
            }
        }
        Outcome::Gone(goodbye)
    }

    /// Writes, then reads how `stream` ended.
    pub(crate) async fn ask(&mut self, stream: u32, bytes: impl AsRef<[u8]>) -> Outcome {
        self.write(bytes).await;
        self.outcome(stream).await
    }

    /// Reads to the end of the connection, and returns the code of its goodbye.
    pub(crate) async fn gone(&mut self) -> Option<u32> {
        match self.outcome(u32::MAX).await {
            Outcome::Gone(code) => code,
            other => panic!("nobody has used that stream: {other:?}"),
        }
    }
}

/// The status at the head of a response's block: an entry of the static table, or a literal with its name.
fn read_status(block: &[u8]) -> u16 {
    // Changes of the table's size come first, in one byte or more.
    let mut at = 0;
    while block[at] & 0xe0 == 0x20 {
        let more = block[at] == 0x3f;
        at += 1;
        while more && block[at] & 0x80 != 0 {
            at += 1;
        }
        at += usize::from(more);
    }
    match block[at] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        _ => {
            let (length, huffman) = (usize::from(block[at + 1] & 0x7f), block[at + 1] & 0x80 != 0);
            let value = &block[at + 2..at + 2 + length];
            let digits = if huffman { decode_digits(value) } else { String::from_utf8(value.to_vec()).unwrap() };
            digits.parse().unwrap_or_else(|_| panic!("a status in {block:?}"))
        }
    }
}

/// Digits in Huffman's code (RFC 7541 appendix B): 0 to 2 are five bits, the others six.
fn decode_digits(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let (mut at, mut digits) = (0, String::new());
    while at + 5 <= bits.len() {
        let value = |count: usize| bits[at..at + count].iter().fold(0, |value, bit| value << 1 | bit);
        let digit = match value(5) {
            short @ 0..=2 => (short, 5),
            _ if at + 6 <= bits.len() && (25..=31).contains(&value(6)) => (value(6) - 22, 6),
            _ => break,
        };
        digits.push(char::from(b'0' + digit.0));
        at += digit.1;
    }
    digits
}

#[test]
fn statuses_are_read_from_every_form() {
    assert_eq!(read_status(&[0x20, 0x88]), 200);
    assert_eq!(read_status(&[0x20, 0x3f, 0xe1, 0x1f, 0x88]), 200);
    assert_eq!(read_status(&[0x08, 0x03, b'4', b'3', b'1']), 431);
    // RFC 7541 §C.6: 302 and 307.
    assert_eq!(read_status(&[0x48, 0x82, 0x64, 0x02]), 302);
    assert_eq!(read_status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), 307);
}
