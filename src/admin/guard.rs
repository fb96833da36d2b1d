//! Who may read what the admin listener shows, beyond health, which is told to whoever asks.
//!
//! Where a token is configured, it decides alone. Without one the listener is on this machine only, and what is left to keep
//! out are pages of other sites in a browser here: by Fetch Metadata and `Origin`, and by the name that was asked for, since a
//! site can have its own name lead to this machine (DNS rebinding), but neither an address nor `localhost`.

use std::net::{Ipv4Addr, Ipv6Addr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use crate::config::Admin;

/// Why somebody may not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// There is a token, and it was not presented.
    Token,
    /// There is none, and the name that was asked for may be that of another site.
    Host,
}

/// Whether whoever sends these fields may read.
pub(super) fn may_read(admin: Option<&Admin>, headers: &HeaderMap) -> Result<(), Denied> {
    let Some(Admin { token, hosts, .. }) = admin else { return Err(Denied::Token) };
    match token {
        Some(token) => {
            let is_right = |presented: Zeroizing<Vec<u8>>| verify_slices_are_equal(&presented, token.expose()).is_ok();
            if presented(headers).is_some_and(is_right) { Ok(()) } else { Err(Denied::Token) }
        }
        None => {
            if is_named(headers, hosts) {
                Ok(())
            } else {
                Err(Denied::Host)
            }
        }
    }
}

/// A bearer token, or the password of Basic, whatever the name beside it.
fn presented(headers: &HeaderMap) -> Option<Zeroizing<Vec<u8>>> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, credentials) = line.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Zeroizing::new(credentials.trim_start().into()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = Zeroizing::new(STANDARD.decode(credentials.trim_start()).ok()?);
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon + 1..).map(|password| Zeroizing::new(password.into()))
}

/// Whether the name that was asked for is one that no other site can have.
fn is_named(headers: &HeaderMap, hosts: &[String]) -> bool {
    let mut lines = headers.get_all(HOST).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let Ok(host) = line.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.parse::<Ipv4Addr>().is_ok() || name == "localhost" || hosts.contains(&name)
}

/// Whether a page of another origin sent the request. Following a link from one is no harm: it learns nothing.
pub(super) fn is_foreign(headers: &HeaderMap, is_page: bool) -> bool {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|said| said == value);
    let is_link = is_page && says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if !is_link && site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let host = headers.get(HOST).map_or(&[][..], HeaderValue::as_bytes);
    headers.get_all(ORIGIN).iter().any(|origin| origin.as_bytes().strip_prefix(b"http://") != Some(host))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::config::Secret;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| -> (HeaderName, HeaderValue) {
            (name.parse().unwrap(), value.parse().unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    fn admin(token: Option<&str>) -> Admin {
        let token = token.map(|token| Secret::new(token.into()));
        Admin { address: "127.0.0.1:0".parse().unwrap(), token, hosts: vec!["status.example.com".to_owned()] }
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn without_a_token_only_names_that_no_other_site_can_have_are_answered() {
        let verdict = |host: &str| may_read(Some(&admin(None)), &headers(&[("host", host)]));
        for host in ["127.0.0.1:9901", "127.0.0.1", "[::1]:9901", "[::1]", "localhost:9901", "LOCALHOST", "localhost."]
        {
            assert_eq!(verdict(host), Ok(()), "{host}");
        }
        assert_eq!(verdict("Status.Example.com:9901"), Ok(()));
        for host in
            ["evil.test", "evil.test:9901", "localhost.evil.test", "127.0.0.1.evil.test", "x@localhost", "", ":1"]
        {
            assert_eq!(verdict(host), Err(Denied::Host), "{host}");
        }
        assert_eq!(may_read(Some(&admin(None)), &headers(&[])), Err(Denied::Host));
        let two = headers(&[("host", "localhost"), ("host", "evil.test")]);
        assert_eq!(may_read(Some(&admin(None)), &two), Err(Denied::Host));
    }

    #[test]
    fn a_token_decides_alone_as_bearer_or_as_the_password_of_anybody() {
        let token = "0123456789abcdef:0";
        let verdict = |lines: &[&str]| {
            let fields: Vec<_> = lines.iter().map(|line| ("authorization", *line)).collect();
            may_read(Some(&admin(Some(token))), &headers(&fields))
        };
        let bearer = format!("Bearer {token}");
        let (any, none) = (basic(&format!("anybody:{token}")), basic(&format!(":{token}")));
        for line in [&bearer, &any, &none] {
            assert_eq!(verdict(&[line.as_str()]), Ok(()), "{line}");
        }
        let wrong = [
            "Bearer 0123456789abcdef:1".to_owned(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            token.to_owned(),
            format!("Digest {token}"),
            basic(token),
            basic(&format!("{token}:x")),
            "Basic !".to_owned(),
        ];
        for line in &wrong {
            assert_eq!(verdict(&[line.as_str()]), Err(Denied::Token), "{line}");
        }
        assert_eq!(verdict(&[]), Err(Denied::Token));
        assert_eq!(verdict(&[&bearer, &bearer]), Err(Denied::Token), "two are none");
        assert_eq!(may_read(None, &headers(&[("host", "localhost")])), Err(Denied::Token));
    }

    #[test]
    fn a_link_from_another_site_leads_to_the_page_and_nowhere_else() {
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(!is_foreign(&headers(&link), true));
        assert!(is_foreign(&headers(&link), false));
        let framed = [link[0], link[1], ("sec-fetch-dest", "iframe")];
        assert!(is_foreign(&headers(&framed), true));
        assert!(is_foreign(&headers(&link[..1]), true));
    }
}
