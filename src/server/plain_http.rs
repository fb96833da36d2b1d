//! HTTP without TLS at a port that speaks TLS: somebody has typed `http://`, or a proxy in front was told so.
//!
//! Whoever does so is told in words that it understands, instead of in the bytes of a TLS alert. Nothing of what was sent is
//! parsed or repeated.

use std::io;

use tokio::net::TcpStream;

use super::last_words;
use super::proxy_protocol::SIGNATURE_V1;

const TEXT: &str = "This port speaks HTTPS: ask for https:// instead of http://.\n";

/// Whether the connection begins with a request of HTTP, or as one would. TLS begins with 0x16, and a method with an
/// upper-case letter (RFC 9110 §9.1); a PROXY header of somebody who is not believed is no request.
pub(super) async fn is_begun(stream: &TcpStream) -> io::Result<bool> {
    let mut ahead = [0; SIGNATURE_V1.len()];
    let peeked = stream.peek(&mut ahead).await?;
    let ahead = ahead.get(..peeked).unwrap_or_default();
    Ok(ahead.first().is_some_and(u8::is_ascii_uppercase) && ahead != SIGNATURE_V1)
}

/// Says what is wrong, and lets the client read that.
pub(super) async fn answer(stream: &mut TcpStream) {
    let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncache-control: no-store\r\n";
    let length = TEXT.len();
    let body = format!("content-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\r\n{TEXT}");
    last_words::part(stream, format!("{head}{body}").as_bytes()).await;
}
