//! URLs: of issuers, which are asked, and of upstreams, which are dialled.

use url::Url;

use super::super::Mistake;
use crate::config::UpstreamAddress;

/// The base of an issuer: http or https, without query, fragment and a slash at its end.
pub(in crate::config::check) fn base_url(text: &str, insecure_http: bool) -> Result<Url, Mistake> {
    let mut url = endpoint(text, insecure_http)?;
    if url.query().is_some() {
        return Err(Mistake::new("must be a URL without a query", "write it as https://id.example.com/realms/main"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// An endpoint of an issuer: http or https, without user and fragment. Plain http only where that is wanted.
pub(in crate::config::check) fn endpoint(text: &str, insecure_http: bool) -> Result<Url, Mistake> {
    let mistake = || Mistake::new("is not a URL", "write it in full, as in https://id.example.com/token");
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
    let mistake =
        || Mistake::new("is not an address", "write it as http://app:8080, https://…, h2c://… or unix:/run/app.sock");
    if let Some(path) = text.strip_prefix("unix:") {
        let path = if path.starts_with("///") { path.trim_start_matches("//") } else { path };
        return if path.starts_with('/') { Ok(UpstreamAddress::Unix(path.into())) } else { Err(mistake()) };
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(mistake)?;
    let default_port = match scheme {
        "http" | "h2c" => 80,
        "https" => 443,
        _ => return Err(mistake()),
    };
    // The parser knows hosts of special schemes only; what h2c means for a host is what http means for it.
    let url = Url::parse(&format!("http://{rest}")).map_err(|_| mistake())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Mistake::new("has a user in the address", "use upstream_authorization: { basic: … } instead"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(Mistake::new("must be an address without a path", "paths go on unchanged; see strip_prefix"));
    }
    // `http://app:80` loses its port in the parser, which is the port of http, but not of https.
    let stated = rest.trim_end_matches('/').rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let port = url.port().or(stated).unwrap_or(default_port);
    let host = url.host_str().ok_or_else(mistake)?.to_owned();
    if port == 0 {
        return Err(Mistake::new("has port 0", "name the port of the application"));
    }
    Ok(match scheme {
        "https" => UpstreamAddress::Https { host, port },
        "h2c" => UpstreamAddress::H2c { host, port },
        _ => UpstreamAddress::Http { host, port },
    })
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
