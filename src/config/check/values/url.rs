//! URLs: of issuers, which are asked, and of upstreams, which are dialled.

use std::net::Ipv6Addr;

use url::{Host, ParseError, Url};

use super::super::Mistake;
use crate::config::UpstreamAddress;
use crate::oauth::email::is_domain;

/// What comes behind the base of an issuer where its discovery document is (OIDC Discovery §4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// The base of an issuer: http or https, without query, fragment and a slash at its end.
pub(in crate::config::check) fn base_url(text: &str, insecure_http: bool) -> Result<Url, Mistake> {
    const EXAMPLE: &str = "https://id.example.com/realms/main";
    let mut url = http_url(text, insecure_http, EXAMPLE)?;
    if url.query().is_some() {
        return Err(Mistake::new("must be a URL without a query", format!("write it as {EXAMPLE}")));
    }
    if let Some(base) = url.as_str().strip_suffix(WELL_KNOWN) {
        return Err(Mistake::new("is where the discovery document is", format!("write {base}")));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// An endpoint of an issuer: http or https, without user and fragment. Plain http only where that is wanted.
pub(in crate::config::check) fn endpoint(text: &str, insecure_http: bool) -> Result<Url, Mistake> {
    http_url(text, insecure_http, "https://id.example.com/token")
}

fn http_url(text: &str, insecure_http: bool, example: &str) -> Result<Url, Mistake> {
    let mistake = || {
        // What has a user or a query in it may hold a secret.
        let is_bare = !text.contains(['@', '?']) && !text.contains("://") && !text.starts_with('/');
        let meant = Some(format!("https://{text}")).filter(|meant| is_bare && Url::parse(meant).is_ok());
        Mistake::new("is not a URL", format!("write it in full, as in {}", meant.as_deref().unwrap_or(example)))
    };
    let url = Url::parse(text).map_err(|_| mistake())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(mistake());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Mistake::new("has a user in the URL", "use client_id and client_secret instead"));
    }
    if url.fragment().is_some() {
        return Err(Mistake::new("has a fragment in the URL", "take out everything from # on"));
    }
    if url.scheme() == "http" && !insecure_http {
        let remedy = "write https, or add insecure_http: true to the issuer if nobody can listen on the way";
        return Err(Mistake::new("goes over plain http", remedy));
    }
    Ok(url)
}

/// Where an application listens.
pub(in crate::config::check) fn upstream_address(text: &str) -> Result<UpstreamAddress, Mistake> {
    const FORMS: &str = "write it as http://app:8080, https://…, h2c://… or unix:/run/app.sock";
    if let Some(path) = text.strip_prefix("unix:") {
        let path = if path.starts_with("///") { path.trim_start_matches("//") } else { path };
        return match path.strip_prefix('/') {
            Some(_) => Ok(UpstreamAddress::Unix(path.into())),
            None => Err(Mistake::new("names a socket without its whole path", "write it as unix:/run/app.sock")),
        };
    }
    let Some((scheme, rest)) = text.split_once("://") else { return Err(without_scheme(text, FORMS)) };
    let default_port = match scheme {
        "http" | "h2c" => 80,
        "https" => 443,
        _ => return Err(Mistake::new("has a scheme that is not for applications", FORMS)),
    };
    // The parser knows hosts of special schemes only; what h2c means for a host is what http means for it.
    let url = Url::parse(&format!("http://{rest}")).map_err(|error| no_address(rest, error, FORMS))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Mistake::new("has a user in the address", "use upstream_authorization: { basic: … } instead"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(Mistake::new("must be an address without a path", "paths go on unchanged; see strip_prefix"));
    }
    // `http://app:80` loses its port in the parser, which is the port of http, but not of https.
    let stated = rest.trim_end_matches('/').rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let port = url.port().or(stated).unwrap_or(default_port);
    let host = match url.host() {
        Some(Host::Domain(name)) if !is_domain(name.strip_suffix('.').unwrap_or(name)) => None,
        host => host.map(|host| host.to_string()),
    };
    let host = host.ok_or_else(|| Mistake::new("is not an address", FORMS))?;
    if port == 0 {
        return Err(Mistake::new("has port 0", "name the port of the application"));
    }
    Ok(match scheme {
        "https" => UpstreamAddress::Https { host, port },
        "h2c" => UpstreamAddress::H2c { host, port },
        _ => UpstreamAddress::Http { host, port },
    })
}

/// Says again what was written only where it holds nothing but a host and a port.
fn without_scheme(text: &str, forms: &str) -> Mistake {
    let meant = format!("http://{text}");
    let remedy = match Url::parse(&meant) {
        _ if text.starts_with('/') => "write unix: before the path of a socket".to_owned(),
        Ok(url) if url.as_str() == format!("{meant}/") && url.username().is_empty() => {
            format!("write {meant}, or https:// where it speaks TLS")
        }
        _ => forms.to_owned(),
    };
    Mistake::new("has no scheme", remedy)
}

fn no_address(rest: &str, error: ParseError, forms: &str) -> Mistake {
    let host = rest.split('/').next().unwrap_or_default();
    match error {
        // What looks like a port at its end is one, or the last part of the address.
        _ if host.parse::<Ipv6Addr>().is_ok() => {
            Mistake::new("is an IPv6 address without brackets", "write it as http://[::1]:8080")
        }
        ParseError::InvalidPort => Mistake::new("has a port that is none", "write a number from 1 to 65535"),
        _ => Mistake::new("is not an address", forms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_addresses_and_nothing_more() {
        let host = |host: &str| host.to_owned();
        for (text, address) in [
            ("http://App:8080", UpstreamAddress::Http { host: host("app"), port: 8080 }),
            ("http://my_app/", UpstreamAddress::Http { host: host("my_app"), port: 80 }),
            ("https://app", UpstreamAddress::Https { host: host("app"), port: 443 }),
            ("https://app:80", UpstreamAddress::Https { host: host("app"), port: 80 }),
            ("h2c://[::1]:50051", UpstreamAddress::H2c { host: host("[::1]"), port: 50051 }),
            ("http://[::1]", UpstreamAddress::Http { host: host("[::1]"), port: 80 }),
            ("unix:/run/app.sock", UpstreamAddress::Unix("/run/app.sock".into())),
            ("unix:///run/app.sock", UpstreamAddress::Unix("/run/app.sock".into())),
        ] {
            assert_eq!(upstream_address(text).unwrap(), address, "{text}");
        }
        for text in [
            "",
            "app:8080",
            "ftp://app",
            "http://",
            "http://app/path",
            "http://app?x",
            "http://u:p@app",
            "http://app:0",
            "http://app:99999",
            "unix:run/app.sock",
            "http://a b",
            "http://*.app",
            "http://${APP}",
        ] {
            assert!(upstream_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn issuers_over_plain_http_must_be_wanted() {
        assert!(endpoint("http://app:8080/token", false).is_err());
        assert!(endpoint("http://app:8080/token", true).is_ok());
        for text in ["", "id.example.com", "ftp://x", "https://u:p@x", "https://x/#y"] {
            assert!(endpoint(text, true).is_err(), "{text}");
        }
        assert_eq!(base_url("https://id.example.com/a/", false).unwrap().as_str(), "https://id.example.com/a");
    }
}
