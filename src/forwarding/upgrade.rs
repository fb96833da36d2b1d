//! Switching protocols: WebSocket and whatever else asks with `Upgrade` (RFC 9110 §7.8).
//!
//! `Upgrade` is hop-by-hop, so it is taken out and asked for anew towards the upstream. Nothing the client sends after
//! its request reaches the upstream before that has answered 101, and protocols that are HTTP again are never asked for:
//! their requests would go past every check.
//!
//! ```text
//! let protocol = upgrade::requested(&request);            // before hop_by_hop::remove_from_request
//! let client = hyper::upgrade::on(&mut request);
//! request.extensions_mut().insert(protocol);              // what Forwarder::send looks for
//! … 101 → let upstream = response.body_mut().take_switched();
//! upgrade::start(client, upstream, idle, until, report);
//! ```

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Version};

use crate::forwarding::backend::InFlight;
use crate::forwarding::hop_by_hop;
use crate::forwarding::stream::Stream;

pub use crate::forwarding::tunnel::{TunnelEnd, TunnelReport, start, tunnel};
pub use crate::forwarding::websocket_frames::Goodbye;

/// The protocols that a client asks to switch to, as the upstream is asked for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol(HeaderValue);

/// The upstream's side of a connection that switched protocols.
pub struct Switched {
    pub(super) stream: Stream,
    /// What the upstream said after its 101 already.
    pub(super) first: Bytes,
    pub(super) in_flight: InFlight,
    /// Whether the protocol is WebSocket.
    pub(super) websocket: bool,
}

impl Switched {
    /// What an answer of 101 with these fields leaves of a connection.
    pub(super) fn new(answer: &HeaderMap, stream: Stream, first: Bytes, in_flight: InFlight) -> Self {
        let websocket = answer.get_all(UPGRADE).iter().flat_map(tokens).all(|token| is(token, "websocket"));
        Self { stream, first, in_flight, websocket }
    }
}

/// What a request asks to switch to. `None` unless it is an HTTP/1.1 request without a body (bytes after its head would
/// be taken for the new protocol) whose `Connection` names `Upgrade`.
#[must_use]
pub fn requested<B: http_body::Body>(request: &Request<B>) -> Option<Protocol> {
    if request.version() != Version::HTTP_11 || !request.headers().contains_key(UPGRADE) {
        return None;
    }
    if !request.body().is_end_stream() || !hop_by_hop::options(request.headers()).any(|name| is(name, "upgrade")) {
        return None;
    }
    let values: Vec<&HeaderValue> = request.headers().get_all(UPGRADE).iter().collect();
    if let [only] = values.as_slice()
        && tokens(only).all(is_other_than_http)
        && tokens(only).next().is_some()
    {
        return Some(Protocol((*only).clone()));
    }
    let wanted: Vec<&str> = values.into_iter().flat_map(tokens).filter(|token| is_other_than_http(token)).collect();
    if wanted.is_empty() { None } else { HeaderValue::from_str(&wanted.join(", ")).ok().map(Protocol) }
}

impl Protocol {
    pub(super) const fn value(&self) -> &HeaderValue {
        &self.0
    }

    /// Whether a 101 switches to something that was asked for.
    pub(super) fn matches(&self, answer: &HeaderMap) -> bool {
        let mut chosen = answer.get_all(UPGRADE).iter().flat_map(tokens).peekable();
        chosen.peek().is_some() && chosen.all(|token| tokens(&self.0).any(|asked| is(asked, token)))
    }
}

/// Puts `Upgrade` back on an answer of 101, whose hop-by-hop headers were removed: this hop switches as well.
pub fn restore(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// HTTP inside a switched connection (`h2c`, `HTTP/2.0`) or TLS inside it (`TLS/1.0`, RFC 2817) would carry requests
/// that nobody looks at.
fn is_other_than_http(token: &str) -> bool {
    let name = token.split_once('/').map_or(token, |(name, _)| name);
    !["h2c", "h2", "http", "https", "tls"].iter().any(|http| is(name, http))
}

fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};

    use super::*;

    fn request(connection: &str, upgrade: &str) -> Request<Empty<Bytes>> {
        Request::builder().header(CONNECTION, connection).header(UPGRADE, upgrade).body(Empty::new()).unwrap()
    }

    fn asked(connection: &str, upgrade: &str) -> Option<String> {
        requested(&request(connection, upgrade)).map(|protocol| protocol.0.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_upgrade_must_be_named_by_connection() {
        assert_eq!(asked("keep-alive, Upgrade", "websocket").as_deref(), Some("websocket"));
        assert_eq!(asked("keep-alive", "websocket"), None);
        assert_eq!(asked("upgrade", ""), None);
    }

    #[test]
    fn http_in_any_form_is_never_asked_for() {
        for protocol in ["h2c", "H2C", "HTTP/2.0", "TLS/1.0", "h2c, tls/1.2", ", ,"] {
            assert_eq!(asked("upgrade", protocol), None, "{protocol}");
        }
        assert_eq!(asked("upgrade", "h2c, WebSocket").as_deref(), Some("WebSocket"));
    }

    #[test]
    fn a_request_with_a_body_or_of_another_version_stays_http() {
        let (head, _) = request("upgrade", "websocket").into_parts();
        assert_eq!(requested(&Request::from_parts(head, Full::new(Bytes::from_static(b"x")))), None);
        let mut old = request("upgrade", "websocket");
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(requested(&old), None);
    }

    #[test]
    fn an_answer_must_choose_what_was_asked_for() {
        let protocol = Protocol(HeaderValue::from_static("websocket, chat/2"));
        let answer = |value| HeaderMap::from_iter([(UPGRADE, HeaderValue::from_static(value))]);
        assert!(protocol.matches(&answer("WebSocket")));
        assert!(protocol.matches(&answer("chat/2")));
        assert!(!protocol.matches(&answer("h2c")));
        assert!(!protocol.matches(&answer("")));
        assert!(!protocol.matches(&HeaderMap::new()));
    }
}
