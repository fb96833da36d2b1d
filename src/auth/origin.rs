//! Who made the browser send this request: the defence of cookie sessions against other sites (RFC 6750 §5.3).
//!
//! `SameSite=Lax` alone leaves sibling subdomains and old browsers; so an unsafe request and a WebSocket must come from the
//! site itself, as `Sec-Fetch-Site` or `Origin` tell, or from an origin that the route allows. A request with neither
//! header comes from no current browser (all of them send `Origin` with unsafe methods) and passes.

use http::header::{ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderName, Method};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request of this method and these headers, sent with cookies, may act for the user.
///
/// `scheme` and `host` are those of the site as the browser sees it; the host keeps its port.
#[must_use]
pub fn may_act(method: &Method, headers: &HeaderMap, scheme: &str, host: &str, allowed: &[String]) -> bool {
    if is_safe(method) && !headers.contains_key(UPGRADE) {
        return true;
    }
    let mut origins = headers.get_all(ORIGIN).iter().map(http::HeaderValue::as_bytes).peekable();
    if origins.peek().is_some() {
        // No browser says its own origin and that another site caused the request, nor two origins.
        let may = |origin| is_own(origin, scheme, host) && !is_cross_site(headers) || is_allowed(origin, allowed);
        return origins.all(may);
    }
    !is_from_elsewhere(headers)
}

/// Whether the request shows that a page of this very site sent it. One that says nothing of where it comes from shows nothing,
/// nor does what the user did without a page: this is stricter than [`may_act`].
#[must_use]
pub fn is_from_itself(headers: &HeaderMap, scheme: &str, host: &str) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    (origins.peek().is_some() || sites.peek().is_some())
        && origins.all(|origin| is_own(origin.as_bytes(), scheme, host))
        && sites.all(|site| site.as_bytes() == b"same-origin")
}

/// Whether the request shows that neither a page of this very site nor the user alone caused it. One that says nothing of where
/// it comes from does not show that.
#[must_use]
pub fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    // `none`: the user's own doing, such as a bookmark.
    headers.get_all(SEC_FETCH_SITE).iter().any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

fn is_allowed(origin: &[u8], allowed: &[String]) -> bool {
    allowed.iter().any(|allowed| origin.eq_ignore_ascii_case(allowed.as_bytes()))
}

/// Whether the request shows that another site caused it, whatever its method: such a request spends no token unless it is
/// a navigation (R13).
#[must_use]
pub fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get_all(SEC_FETCH_SITE).iter().any(|value| value.as_bytes() == b"cross-site")
}

/// RFC 9110 §9.2.1.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Compares an `Origin` with the site's own, where the scheme's default port may be said or not.
fn is_own(origin: &[u8], scheme: &str, host: &str) -> bool {
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let without_default = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    std::str::from_utf8(origin)
        .ok()
        .and_then(|origin| origin.strip_prefix(scheme)?.strip_prefix("://"))
        .is_some_and(|origin_host| without_default(origin_host) == without_default(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn acts(method: &Method, lines: &[(&'static str, &'static str)], allowed: &[&str]) -> bool {
        let headers =
            lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        let allowed: Vec<String> = allowed.iter().map(|origin| (*origin).to_owned()).collect();
        may_act(method, &headers, "https", "app.test", &allowed)
    }

    #[test]
    fn unsafe_requests_of_other_sites_are_refused() {
        for headers in [
            &[("origin", "https://evil.test")][..],
            &[("origin", "null")],
            &[("origin", "http://app.test")],
            &[("origin", "https://app.test.evil")],
            &[("origin", "https://app.test:8443")],
            &[("origin", "https://sibling.test"), ("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://app.test"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!acts(&Method::POST, headers, &[]), "{headers:?}");
        }
    }

    #[test]
    fn of_two_origins_each_must_be_one_that_may() {
        let headers = |origins: [&'static str; 2]| {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(ORIGIN, HeaderValue::from_static(origin));
            }
            headers
        };
        let own = "https://app.test";
        for origins in [[own, "https://evil.test"], ["https://evil.test", own]] {
            assert!(!may_act(&Method::POST, &headers(origins), "https", "app.test", &[]), "{origins:?}");
        }
        assert!(may_act(&Method::POST, &headers([own, own]), "https", "app.test", &[]));
    }

    #[test]
    fn the_site_itself_and_allowed_origins_may_act() {
        for headers in [
            &[("origin", "https://app.test"), ("sec-fetch-site", "same-origin")][..],
            &[("origin", "https://APP.test:443")],
            &[("origin", "https://spa.test"), ("sec-fetch-site", "cross-site")],
            &[],
        ] {
            assert!(acts(&Method::DELETE, headers, &["https://spa.test"]), "{headers:?}");
        }
    }

    #[test]
    fn only_what_says_so_comes_from_the_site_itself() {
        let comes = |lines: &[(&'static str, &'static str)]| {
            let headers =
                lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
            is_from_itself(&headers, "https", "app.test")
        };
        assert!(comes(&[("origin", "https://app.test")]));
        assert!(comes(&[("sec-fetch-site", "same-origin")]));
        assert!(comes(&[("origin", "https://app.test:443"), ("sec-fetch-site", "same-origin")]));
        for headers in [
            &[][..],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://app.test"), ("sec-fetch-site", "none")],
            &[("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")],
            &[("origin", "http://app.test")],
        ] {
            assert!(!comes(headers), "{headers:?}");
        }
    }

    #[test]
    fn a_cross_site_navigation_passes_but_a_web_socket_does_not() {
        assert!(acts(&Method::GET, &[("sec-fetch-site", "cross-site")], &[]));
        assert!(!acts(&Method::GET, &[("upgrade", "websocket"), ("origin", "https://evil.test")], &[]));
        assert!(acts(&Method::GET, &[("upgrade", "websocket"), ("origin", "https://app.test")], &[]));
    }
}
