//! The one form of a host name: lower case, without port and without the dot at the end.
//!
//! What is not plainly a DNS name or an address is refused rather than looked up: a name that one part of the system
//! reads differently from another is how a request reaches a weaker site than the one that it is forwarded to.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Bytes of a whole name (RFC 1035 §2.3.4, in its textual form) and of one label of it.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Why an authority (`Host`, `:authority`, or that of an absolute target) is refused. The client's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// There is no name.
    #[error("the host is empty")]
    Empty,
    /// The name, or one label of it, is longer than DNS allows.
    #[error("the host name is too long")]
    TooLong,
    /// Userinfo, a list, an empty label, a control, a character that no host name has.
    #[error("the host is neither a name nor an address")]
    BadName,
    /// What follows the colon is not a number from 1 to 65535.
    #[error("the port of the host is not a number from 1 to 65535")]
    BadPort,
}

/// The host of an authority (RFC 9110 §7.2), as sites are looked up: `APP.example.com.:443` is `app.example.com`.
///
/// A port may be absent or empty (`host:`, RFC 3986 §3.2.3) and is otherwise checked and dropped. Labels are letters,
/// digits, `-` and `_`; an IPv4 address passes as such a name; an IPv6 address stands in brackets, without a zone, and
/// comes back in the form of RFC 5952. Internationalised names are their `xn--` labels: nothing is decoded or folded
/// beyond ASCII. Allocates only when something must change.
///
/// # Errors
/// [`HostError`] for everything else: userinfo, commas, spaces, `#`, empty labels, controls, anything outside ASCII.
pub fn canonical_host(authority: &str) -> Result<Cow<'_, str>, HostError> {
    if authority.starts_with('[') {
        return bracketed_address(authority);
    }
    let (name, port) = authority.split_once(':').map_or((authority, None), |(name, port)| (name, Some(port)));
    port.map_or(Ok(()), check_port)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    check_name(name)?;
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(name))
}

fn bracketed_address(authority: &str) -> Result<Cow<'_, str>, HostError> {
    let (inside, after) =
        authority.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or(HostError::BadName)?;
    match after.strip_prefix(':') {
        Some(port) => check_port(port)?,
        None if after.is_empty() => {}
        None => return Err(HostError::BadName),
    }
    let address: Ipv6Addr = inside.parse().map_err(|_| HostError::BadName)?;
    let written = format!("[{address}]");
    // The port, if any, comes after; a canonical address is handed back as it was given.
    match authority.get(..written.len()) {
        Some(given) if given == written => Ok(Cow::Borrowed(given)),
        _ => Ok(Cow::Owned(written)),
    }
}

fn check_port(port: &str) -> Result<(), HostError> {
    if port.is_empty() {
        return Ok(());
    }
    // `u16::from_str` would let a plus sign pass.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(1..) if digits => Ok(()),
        _ => Err(HostError::BadPort),
    }
}

fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(HostError::TooLong);
    }
    name.split('.').try_for_each(|label| {
        let known = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        match label.len() {
            _ if !known => Err(HostError::BadName),
            0 => Err(HostError::BadName),
            1..=MAX_LABEL => Ok(()),
            _ => Err(HostError::TooLong),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_valid_spelling_of_a_host_is_one_host() {
        for authority in
            ["app.test", "app.test:443", "app.test:8443", "app.test:", "APP.test", "app.test.", "App.Test.:1"]
        {
            assert_eq!(canonical_host(authority).as_deref(), Ok("app.test"), "{authority}");
        }
    }

    #[test]
    fn addresses_are_hosts() {
        assert_eq!(canonical_host("127.0.0.1:8443").as_deref(), Ok("127.0.0.1"));
        for authority in ["[::1]", "[::1]:443", "[::1]:", "[0:0:0:0:0:0:0:1]", "[0000::0001]:80"] {
            assert_eq!(canonical_host(authority).as_deref(), Ok("[::1]"), "{authority}");
        }
        assert_eq!(canonical_host("[2001:DB8::A]").as_deref(), Ok("[2001:db8::a]"));
    }

    #[test]
    fn ports_outside_1_to_65535_are_refused() {
        for port in ["0", "99999", "65536", "+443", "-1", "44 3", "443x", "443:443", "0x1bb", "00000000443x"] {
            assert_eq!(canonical_host(&format!("app.test:{port}")), Err(HostError::BadPort), "{port}");
            assert_eq!(canonical_host(&format!("[::1]:{port}")), Err(HostError::BadPort), "{port}");
        }
    }

    #[test]
    fn what_is_neither_a_name_nor_an_address_is_refused() {
        for authority in [
            "",
            ".",
            ":443",
            "app.test..",
            ".app.test",
            "app..test",
            "app.test, pub.test",
            "app.test,pub.test",
            "app.test@pub.test",
            "user:password@app.test",
            "pub.test#app.test",
            "app.test/..",
            "app.test\\x",
            "app.test?x",
            " app.test",
            "app.test ",
            "app.test\0",
            "app.test\t",
            "app%2etest",
            "*.test",
            "[::1",
            "::1",
            "[::1]x",
            "[::1].",
            "[fe80::1%eth0]",
            "[v1.a:b]",
            "[127.0.0.1]",
            "[]",
            "b\u{fc}cher.test",
            "app\u{3002}test",
            "\u{ff41}pp.test",
        ] {
            assert!(canonical_host(authority).is_err(), "{authority}");
        }
    }

    #[test]
    fn labels_and_names_are_as_long_as_dns_allows() {
        let label = "a".repeat(63);
        assert!(canonical_host(&format!("{label}.test")).is_ok());
        assert_eq!(canonical_host(&format!("{label}a.test")), Err(HostError::TooLong));
        let name_of = |last: usize| format!("{label}.{label}.{label}.{}", "a".repeat(last));
        assert!(canonical_host(&name_of(61)).is_ok());
        assert_eq!(canonical_host(&name_of(62)), Err(HostError::TooLong));
    }

    #[test]
    fn a_canonical_host_is_not_copied() {
        for authority in ["app.test", "app.test:443", "app.test.", "[::1]:443"] {
            assert!(matches!(canonical_host(authority), Ok(Cow::Borrowed(_))), "{authority}");
        }
    }

    proptest! {
        #[test]
        fn canonical_hosts_stay_as_they_are(authority in "[a-cA-C0-9.:\\[\\]_@, -]{0,20}") {
            if let Ok(host) = canonical_host(&authority) {
                let again = canonical_host(&host);
                prop_assert_eq!(again.as_deref(), Ok(&*host));
            }
        }
    }
}
