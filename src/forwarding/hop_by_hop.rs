//! Headers that concern one connection only and are never forwarded (RFC 9110 §7.6.1).
//!
//! This runs before anything is put in, so that a client's `Connection: X-User-Id` removes its own headers and not ours
//! (law 5).

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Removes from a request what is meant for us alone: everything that any `Connection` line names, and the fields that
/// are hop-by-hop by definition. `TE: trailers` stays, because gRPC depends on it and trailers are passed on.
pub fn remove_from_request(headers: &mut HeaderMap) {
    let trailers = accepts_trailers(headers);
    remove_named(headers);
    remove_fixed(headers, |name| *name == TRAILER || *name == TE);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes from an answer what is meant for us alone. `Trailer` stays: it is end-to-end (RFC 9110 §6.6.2), and without
/// it no trailers reach an HTTP/1.1 client.
pub fn remove_from_response(headers: &mut HeaderMap) {
    remove_named(headers);
    remove_fixed(headers, |name| *name == TE);
}

/// Every option that the `Connection` lines name.
pub(super) fn options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(CONNECTION).iter().flat_map(list)
}

fn remove_named(headers: &mut HeaderMap) {
    // `close` and `keep-alive` name no field that could be there, and are nearly all that is ever said.
    let named: Vec<HeaderName> = options(headers)
        .filter(|option| !option.eq_ignore_ascii_case("close") && !option.eq_ignore_ascii_case("keep-alive"))
        .filter_map(|option| HeaderName::from_bytes(option.as_bytes()).ok())
        // What routes and frames a message is nobody's to remove: without `Host` the upstream would see another site.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named {
        headers.remove(name);
    }
}

fn remove_fixed(headers: &mut HeaderMap, also: impl Fn(&HeaderName) -> bool) {
    // One look at each field that is there is cheaper than one lookup for each that might be.
    while let Some(name) = headers.keys().find(|name| is_hop_by_hop(name) || also(name)).cloned() {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == PROXY_AUTHENTICATE
        || *name == PROXY_AUTHORIZATION
        || matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "proxy-authentication-info" | "http2-settings" | "alt-used"
        )
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(TE).iter().flat_map(list).any(|coding| {
        // `trailers` takes no weight, but a weight is no reason to misunderstand it.
        coding.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("trailers"))
    })
}

fn list(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn everything_that_any_connection_line_names_is_removed() {
        let mut request = headers(&[
            ("connection", "keep-alive, X-User"),
            ("connection", "x-b ,, close"),
            ("x-user", "root"),
            ("x-user", "admin"),
            ("x-b", "1"),
            ("x-c", "1"),
        ]);
        remove_from_request(&mut request);
        assert_eq!(names(&request), ["x-c"]);
    }

    #[test]
    fn host_and_length_stay_whatever_connection_names() {
        let mut request = headers(&[
            ("connection", "Host, content-length, te, @, \"x\""),
            ("host", "app.test"),
            ("content-length", "3"),
        ]);
        remove_from_request(&mut request);
        assert_eq!(request, headers(&[("host", "app.test"), ("content-length", "3")]));
    }

    #[test]
    fn the_fixed_list_is_removed_and_te_is_reduced_to_trailers() {
        let fields = [
            ("connection", "te, upgrade"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("proxy-authenticate", "Basic"),
            ("te", "gzip, Trailers"),
            ("trailer", "x-checksum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("http2-settings", "AAMAAABk"),
            ("accept", "*/*"),
        ];
        let mut request = headers(&fields);
        remove_from_request(&mut request);
        assert_eq!(request, headers(&[("accept", "*/*"), ("te", "trailers")]));
        let mut response = headers(&fields);
        remove_from_response(&mut response);
        assert_eq!(response, headers(&[("accept", "*/*"), ("trailer", "x-checksum")]));
    }

    #[test]
    fn te_without_trailers_goes() {
        let mut request = headers(&[("te", "gzip;q=0.5, deflate")]);
        remove_from_request(&mut request);
        assert!(request.is_empty());
    }
}
