//! Hosts as they stand in `Host`, and origins.

use std::net::Ipv6Addr;

use http::HeaderValue;
use url::{Host, Url};

use super::super::Mistake;
use crate::config::HostPattern;
use crate::oauth::EmailDomain;
use crate::oauth::email::is_domain;

/// The host of a site: an exact one, or `*.` and a suffix.
pub(in crate::config::check) fn host_pattern(text: &str) -> Result<HostPattern, Mistake> {
    match text.strip_prefix("*.") {
        Some(suffix) => match canonical(suffix)? {
            Host::Domain(domain) => Ok(HostPattern::OneLabel(format!(".{domain}"))),
            _ => Err(Mistake::new("has a wildcard before an address", "write the address alone")),
        },
        None => canonical(text).map(|host| HostPattern::Exact(host.to_string())),
    }
}

/// A domain of addresses: an exact one, or a dot and the name that others are below.
pub(in crate::config::check) fn email_domain(text: &str) -> Result<EmailDomain, Mistake> {
    let mistake = || {
        let advice = "write what is behind the @, as in example.com, or .example.com for whatever is below that";
        Mistake::new("is not a domain of addresses", advice)
    };
    let (dot, name) = text.strip_prefix('.').map_or(("", text), |name| (".", name));
    let domain = canonical(name).map_err(|_| mistake())?;
    format!("{dot}{domain}").parse().map_err(|_| mistake())
}

/// A host with an optional port, as the value of `Host`.
pub(in crate::config::check) fn host_value(text: &str) -> Result<HeaderValue, Mistake> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let mistake = || Mistake::new("is not a host", "write it as app.internal, app.internal:8080 or [::1]:8080");
    let host = canonical(host).map_err(|_| mistake())?;
    let value = match port {
        Some(port) => format!("{host}:{}", port.parse::<u16>().map_err(|_| mistake())?),
        None => host.to_string(),
    };
    HeaderValue::try_from(value).map_err(|_| mistake())
}

/// An origin as browsers send it: scheme, host, and the port unless it is the scheme's own.
pub(in crate::config::check) fn origin(text: &str) -> Result<String, Mistake> {
    let mistake =
        || Mistake::new("is not an origin", "write it as https://app.example.com, one by one, without a path");
    let url = Url::parse(text).map_err(|_| mistake())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let unnamed = url.username().is_empty() && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && bare && unnamed && !text.contains('*') {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(mistake())
    }
}

/// Lower case, punycode, no trailing dot. Spellings of addresses that only some software reads as such are refused.
fn canonical(text: &str) -> Result<Host<String>, Mistake> {
    let mistake = || Mistake::new("is not a host", "write the name alone, as in app.example.com or *.corp.example.com");
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.contains('%') {
        return Err(mistake());
    }
    let host = Host::parse(name).map_err(|_| match name.parse::<Ipv6Addr>() {
        Ok(_) => Mistake::new("is an IPv6 address without brackets", format!("write [{name}]")),
        Err(_) if name.contains([':', '/']) => {
            Mistake::new("is not a host", "write the name without scheme, port and path")
        }
        Err(_) => mistake(),
    })?;
    let plain = match &host {
        // A parser of URLs takes more, such as `$host` and `*`.
        Host::Domain(domain) => is_domain(domain),
        address => address.to_string() == name.to_ascii_lowercase(),
    };
    if plain { Ok(host) } else { Err(mistake()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_become_canonical() {
        let exact = |text: &str| HostPattern::Exact(text.into());
        for (text, host) in [
            ("App.Example.COM.", exact("app.example.com")),
            ("bücher.example", exact("xn--bcher-kva.example")),
            ("localhost", exact("localhost")),
            ("my_app", exact("my_app")),
            ("192.0.2.7", exact("192.0.2.7")),
            ("[::1]", exact("[::1]")),
            ("*.Corp.example.com", HostPattern::OneLabel(".corp.example.com".into())),
        ] {
            assert_eq!(host_pattern(text).unwrap(), host, "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.*.example.com",
            "a.*.example.com",
            "app.example.com:443",
            "https://app.example.com",
            "a/b",
            "a b",
            "a..b",
            "%61.example",
            "0x7f.1",
            "user@host",
            "$host",
            "${APP}.example.com",
            "::1",
            "*.192.0.2.7",
        ] {
            assert!(host_pattern(text).is_err(), "{text}");
        }
    }

    #[test]
    fn domains_of_addresses_are_names_and_no_patterns() {
        for (text, domain) in [
            ("Example.COM", "example.com"),
            (".Corp.example.", ".corp.example"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(email_domain(text).unwrap().to_string(), domain, "{text}");
        }
        for text in
            ["", ".", "*", "*.example.com", "..a", "a..b", "@example.com", "a@example.com", "a b", "[::1]", "a/b"]
        {
            assert!(email_domain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        assert_eq!(origin("https://App.Example.com:443").unwrap(), "https://app.example.com");
        assert_eq!(origin("http://localhost:3000/").unwrap(), "http://localhost:3000");
        for text in ["*", "null", "app.example.com", "https://a/b", "https://*.example.com", "https://u@a", "file:///x"]
        {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_header_may_have_a_port() {
        assert_eq!(host_value("App.internal:8080").unwrap(), "app.internal:8080");
        assert_eq!(host_value("[::1]").unwrap(), "[::1]");
        assert!(host_value("a:b").is_err());
    }
}
