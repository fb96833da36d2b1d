//! Whose request it is, read from what trusted proxies say.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client: that of the peer, or when it is a trusted proxy what it says in `X-Forwarded-For` or
/// `Forwarded`, read from the right over all trusted proxies. What stands left of the first address that is not trusted
/// could be invented and is never looked at. Nor is either looked at where they name different clients: a proxy that writes
/// one of them passes on what its client says in the other.
#[must_use]
pub fn client_address(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if trusted.iter().any(|net| net.contains(&peer)) {
        nearest_untrusted(&hops(headers, trusted), peer, trusted)
    } else {
        peer
    }
}

/// What somebody at this address is counted by: whoever has one IPv6 address mostly has the other 2^64 of its network too.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

/// The first of `hops`, the nearest first, that is no trusted proxy.
pub(super) fn nearest_untrusted(hops: &[IpAddr], peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    client(hops, trusted).unwrap_or(peer)
}

fn client(hops: &[IpAddr], trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    hops.iter().find(|hop| !is_trusted(hop)).or(hops.last()).copied()
}

/// The addresses that a request came through, the nearest first, up to the first one that is none. None where both fields
/// are there and name different clients.
pub(super) fn hops(headers: &HeaderMap, trusted: &[IpNet]) -> Vec<IpAddr> {
    let elements = |name: &HeaderName| {
        let lines: Vec<&str> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
        lines.into_iter().rev().flat_map(|line| line.rsplit(',')).map(str::trim).collect::<Vec<_>>()
    };
    let listed = headers.contains_key(X_FORWARDED_FOR).then(|| elements(&X_FORWARDED_FOR));
    let listed = listed.map(|elements| elements.into_iter().map_while(node).collect::<Vec<_>>());
    // It may tell of hosts and schemes alone.
    let forwarded = Some(elements(&FORWARDED)).filter(|all| all.iter().any(|element| said_for(element).is_some()));
    let node_for = |element| node(said_for(element)?);
    let forwarded = forwarded.map(|elements| elements.into_iter().map_while(node_for).collect::<Vec<_>>());
    match (listed, forwarded) {
        (Some(listed), Some(forwarded)) if client(&listed, trusted) != client(&forwarded, trusted) => Vec::new(),
        (Some(hops), _) | (None, Some(hops)) => hops,
        (None, None) => Vec::new(),
    }
}

/// The `for` parameter of one element of `Forwarded`.
fn said_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address, with or without port and brackets.
fn node(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    address.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        fields.collect()
    }

    #[test]
    fn the_client_is_the_nearest_address_that_is_not_a_trusted_proxy() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
        let address = |fields: &[(&'static str, &'static str)], peer: &str| {
            client_address(&headers(fields), peer.parse().unwrap(), &trusted).to_string()
        };
        assert_eq!(address(&[("x-forwarded-for", "1.2.3.4")], "192.0.2.7"), "192.0.2.7");
        assert_eq!(address(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.9.9.9")], "10.0.0.1"), "1.2.3.4");
        assert_eq!(address(&[("x-forwarded-for", "1.2.3.4:5678")], "::ffff:10.0.0.1"), "1.2.3.4");
        assert_eq!(address(&[("x-forwarded-for", "6.6.6.6, unknown, 10.0.0.3")], "10.0.0.1"), "10.0.0.3");
        assert_eq!(address(&[("x-forwarded-for", "6.6.6.6, ")], "10.0.0.1"), "10.0.0.1");
        assert_eq!(address(&[("x-forwarded-for", "10.0.0.4, 10.0.0.3")], "10.0.0.1"), "10.0.0.4");
        assert_eq!(address(&[("forwarded", "for=6.6.6.6, For=\"[2001:db8::2]:99\";by=x")], "10.0.0.1"), "2001:db8::2");
        assert_eq!(address(&[("forwarded", "proto=http;host=x")], "10.0.0.1"), "10.0.0.1");
        assert_eq!(address(&[], "10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn two_fields_that_name_different_clients_name_none() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let address = |listed, forwarded| {
            let fields = [("x-forwarded-for", listed), ("forwarded", forwarded)];
            client_address(&headers(&fields), "10.0.0.1".parse().unwrap(), &trusted).to_string()
        };
        assert_eq!(address("6.6.6.6", "for=1.2.3.4"), "10.0.0.1");
        assert_eq!(address("1.2.3.4", "for=6.6.6.6"), "10.0.0.1");
        assert_eq!(address("6.6.6.6", "for=unknown"), "10.0.0.1");
        assert_eq!(address("6.6.6.6", "for=1.2.3.4, for=10.0.0.2"), "10.0.0.1");
        // The same client, however long the way before it.
        assert_eq!(address("6.6.6.6, 1.2.3.4, 10.0.0.2", "for=\"1.2.3.4:99\", for=10.0.0.2"), "1.2.3.4");
        // One that names nobody contradicts nobody.
        assert_eq!(address("1.2.3.4", "proto=https;host=app.test"), "1.2.3.4");
    }
}
