//! What the application is told about the way that a request came: one consistent set of headers, ours.
//!
//! What a client says about its own address, scheme or host is worth nothing: this set replaces it, and the gateway has
//! removed everything else of the kind before. Only a trusted proxy may say it, and then its word goes on in the same set.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use http::header::{FORWARDED, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use ipnet::IpNet;

use crate::forwarding::client_address::{X_FORWARDED_FOR, hops, nearest_untrusted};

pub use crate::forwarding::client_address::client_address;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// How requests come in on one connection. Made once per connection: the values that never change are rendered then.
#[derive(Clone, Debug)]
pub struct ForwardingHeaders {
    peer: IpAddr,
    peer_trusted: bool,
    secure: bool,
    peer_value: Option<HeaderValue>,
    /// For the host that is asked for first, and mostly the only one.
    usual: OnceLock<Hosted>,
}

/// What depends on the host that is asked for.
#[derive(Clone, Debug)]
struct Hosted {
    host: HeaderValue,
    forwarded: HeaderValue,
    port: HeaderValue,
}

impl ForwardingHeaders {
    /// For requests from `peer`, which came over TLS or not. `peer_trusted`: it is a trusted proxy, whose word about where a
    /// request came from is believed.
    #[must_use]
    pub fn new(peer: SocketAddr, peer_trusted: bool, secure: bool) -> Self {
        let peer = peer.ip().to_canonical();
        Self { peer, peer_trusted, secure, peer_value: address_value(peer), usual: OnceLock::new() }
    }

    /// Writes `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`, `X-Real-IP`, `Forwarded` (RFC 7239) and `Via` (RFC 9110
    /// §7.6.3), whatever stood there before. `host` is what the client asked for, `received` the HTTP version it asked in,
    /// `trusted` the addresses of trusted proxies.
    pub fn write(&self, headers: &mut HeaderMap, host: &HeaderValue, received: Version, trusted: &[IpNet]) {
        if !self.peer_trusted {
            return self.write_own(headers, host, received);
        }
        let claims = Claims::read(headers, trusted);
        let scheme = claims.scheme.unwrap_or(self.scheme());
        let host = claims.host.as_ref().unwrap_or(host);
        let chain = Chain { hops: &claims.hops, peer: self.peer };

        headers.insert(FORWARDED, chain.forwarded(scheme, host));
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
        headers.insert(X_FORWARDED_HOST, host.clone());
        headers.insert(X_FORWARDED_PORT, claims.port.unwrap_or_else(|| public_port(host, scheme)));
        let client = nearest_untrusted(&claims.hops, self.peer, trusted);
        let client_value = if client == self.peer { self.peer_value.clone() } else { address_value(client) };
        let chain_value = if claims.hops.is_empty() { self.peer_value.clone() } else { chain.x_forwarded_for() };
        set_or_remove(headers, X_REAL_IP, client_value);
        set_or_remove(headers, X_FORWARDED_FOR, chain_value);
        // A line of its own says the same as an element in the list (RFC 9110 §5.3).
        headers.append(VIA, via(received));
    }

    /// The same where nobody's word is believed: nothing but the host and the version differs between the requests of a
    /// connection.
    fn write_own(&self, headers: &mut HeaderMap, host: &HeaderValue, received: Version) {
        let usual = self.usual.get_or_init(|| self.hosted(host));
        let other;
        let hosted = if usual.host == host {
            usual
        } else {
            other = self.hosted(host);
            &other
        };
        headers.insert(FORWARDED, hosted.forwarded.clone());
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(self.scheme()));
        headers.insert(X_FORWARDED_HOST, hosted.host.clone());
        headers.insert(X_FORWARDED_PORT, hosted.port.clone());
        set_or_remove(headers, X_REAL_IP, self.peer_value.clone());
        set_or_remove(headers, X_FORWARDED_FOR, self.peer_value.clone());
        headers.append(VIA, via(received));
    }

    fn hosted(&self, host: &HeaderValue) -> Hosted {
        let scheme = self.scheme();
        let chain = Chain { hops: &[], peer: self.peer };
        // Copied: a piece of what was read would keep all of that in memory for as long as the connection lasts.
        let host = &HeaderValue::from_bytes(host.as_bytes()).unwrap_or_else(|_| host.clone());
        Hosted { host: host.clone(), forwarded: chain.forwarded(scheme, host), port: public_port(host, scheme) }
    }

    const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// The port that the client believes to have dialled: the one that it names, else the usual one. The port that Usher listens
/// on may be another, behind a port mapping.
fn public_port(host: &HeaderValue, scheme: &str) -> HeaderValue {
    let usual = || HeaderValue::from_static(if scheme == "https" { "443" } else { "80" });
    let port = host.to_str().ok().and_then(|host| host.rsplit_once(':')?.1.parse::<u16>().ok());
    port.map_or_else(usual, HeaderValue::from)
}

/// What a trusted proxy says about a request.
#[derive(Default)]
struct Claims {
    /// The nearest first.
    hops: Vec<IpAddr>,
    scheme: Option<&'static str>,
    host: Option<HeaderValue>,
    port: Option<HeaderValue>,
}

impl Claims {
    fn read(headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let scheme = scheme(headers);
        let port = last(headers, &X_FORWARDED_PORT).and_then(|port| port.parse::<u16>().ok()).map(HeaderValue::from);
        let host = said_host(headers).and_then(|host| HeaderValue::from_str(host).ok());
        Self { hops: hops(headers, trusted), scheme, host, port }
    }
}

/// Whether a trusted proxy says that its client speaks TLS: the same reading of its word as the one that is forwarded.
#[must_use]
pub fn says_https(headers: &HeaderMap) -> bool {
    scheme(headers) == Some("https")
}

/// The host that a trusted proxy says it was asked for, which is forwarded in place of the one that it asks for.
#[must_use]
pub fn said_host(headers: &HeaderMap) -> Option<&str> {
    last(headers, &X_FORWARDED_HOST)
}

fn scheme(headers: &HeaderMap) -> Option<&'static str> {
    let said = last(headers, &X_FORWARDED_PROTO)?;
    ["https", "http"].into_iter().find(|scheme| said.eq_ignore_ascii_case(scheme))
}

/// The last element of a list over all lines: what the nearest proxy added, or all there is.
fn last<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim).filter(|element| !element.is_empty())
}

/// The way from the client to us.
struct Chain<'a> {
    /// The nearest first.
    hops: &'a [IpAddr],
    peer: IpAddr,
}

impl Chain<'_> {
    fn x_forwarded_for(&self) -> Option<HeaderValue> {
        let mut text = String::with_capacity(16 * (self.hops.len() + 1));
        for hop in self.hops.iter().rev() {
            let _ = write!(text, "{hop}, ");
        }
        let _ = write!(text, "{}", self.peer);
        HeaderValue::try_from(text).ok()
    }

    /// RFC 7239: IPv6 addresses and hosts with a port are quoted.
    fn forwarded(&self, scheme: &str, host: &HeaderValue) -> HeaderValue {
        let mut text = String::with_capacity(64 + 24 * self.hops.len());
        for hop in self.hops.iter().rev() {
            write_for(&mut text, *hop);
            text.push_str(", ");
        }
        write_for(&mut text, self.peer);
        // A host that would need escaping is no host.
        if let Ok(host) = host.to_str()
            && !host.contains(['"', '\\'])
        {
            let _ = write!(text, ";host=\"{host}\"");
        }
        let _ = write!(text, ";proto={scheme}");
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("for=unknown"))
    }
}

fn write_for(text: &mut String, address: IpAddr) {
    let _ = match address {
        IpAddr::V4(address) => write!(text, "for={address}"),
        IpAddr::V6(address) => write!(text, "for=\"[{address}]\""),
    };
}

fn address_value(address: IpAddr) -> Option<HeaderValue> {
    HeaderValue::try_from(address.to_string()).ok()
}

fn set_or_remove(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

fn via(received: Version) -> HeaderValue {
    HeaderValue::from_static(match received {
        Version::HTTP_10 => "1.0 usher",
        Version::HTTP_2 => "2.0 usher",
        _ => "1.1 usher",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn written(peer: &str, peer_trusted: bool, mut headers: HeaderMap) -> HeaderMap {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
        let peer = SocketAddr::new(peer.parse().unwrap(), 40000);
        let host = HeaderValue::from_static("app.test:8443");
        ForwardingHeaders::new(peer, peer_trusted, true).write(&mut headers, &host, Version::HTTP_2, &trusted);
        headers
    }

    #[test]
    fn what_an_untrusted_client_says_of_its_way_is_replaced() {
        let claimed = headers(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-port", "1"),
            ("x-real-ip", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4;host=evil.test"),
            ("accept", "*/*"),
        ]);
        let expected = headers(&[
            ("accept", "*/*"),
            ("forwarded", "for=192.0.2.7;host=\"app.test:8443\";proto=https"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "app.test:8443"),
            ("x-forwarded-port", "8443"),
            ("x-real-ip", "192.0.2.7"),
            ("x-forwarded-for", "192.0.2.7"),
            ("via", "2.0 usher"),
        ]);
        assert_eq!(written("192.0.2.7", false, claimed), expected);
    }

    #[test]
    fn what_a_trusted_proxy_says_goes_on_in_every_header_of_the_set() {
        let claimed = headers(&[
            ("x-forwarded-for", "1.2.3.4, 2001:db8::9"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "www.test"),
            ("x-forwarded-port", "80"),
            ("via", "1.1 edge"),
        ]);
        let result = written("10.0.0.1", true, claimed);
        let text =
            |name: &str| result.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>().join(" | ");
        assert_eq!(text("x-forwarded-for"), "1.2.3.4, 2001:db8::9, 10.0.0.2, 10.0.0.1");
        assert_eq!(
            text("forwarded"),
            "for=1.2.3.4, for=\"[2001:db8::9]\", for=10.0.0.2, for=10.0.0.1;host=\"www.test\";proto=http"
        );
        assert_eq!(text("x-real-ip"), "2001:db8::9");
        assert_eq!(text("x-forwarded-proto"), "http");
        assert_eq!(text("x-forwarded-port"), "80");
        assert_eq!(text("via"), "1.1 edge | 2.0 usher");
    }
}
