//! What is expected of a request's path and headers on their way to the application, whatever a client sends.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a promise that is broken is a panic, and a fuzzer's only way to tell"
)]

use std::sync::LazyLock;

use http::header::{CONNECTION, HOST, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::Connection;
use super::admit::admit;
use super::prepare::forwarded_uri;
use super::strip::Stripper;
use crate::config::fuzzing::CONFIG;
use crate::forwarding::hop_by_hop;
use crate::routing::model::{lenient_readings, winner};
use crate::routing::{CanonicalPath, Router};

static ROUTER: LazyLock<Router> = LazyLock::new(|| Router::new(&CONFIG.sites));
static STRIPPER: LazyLock<Stripper> = LazyLock::new(|| Stripper::new(&CONFIG.reserved_headers));

/// A request target: what is admitted has one canonical path, which is the one that is matched *and* forwarded, and by
/// whatever lenient reading falls under the same route.
pub fn path(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(path) = CanonicalPath::parse(text) {
        assert_eq!(CanonicalPath::parse(path.as_str()).as_ref(), Ok(&path), "canonical twice");
    }
    let Ok(uri) = Uri::try_from(text) else { return };
    let mut request = Request::new(());
    *request.uri_mut() = uri.clone();
    if uri.authority().is_none() {
        request.headers_mut().insert(HOST, HeaderValue::from_static("app.test"));
    }
    let connection = Connection::new(([192, 0, 2, 1], 1).into(), false, ([127, 0, 0, 1], 443).into(), true, None);
    let Ok(target) = admit(&request, &connection) else { return };
    let matched = target.path.as_str();
    let Ok(route) = ROUTER.find(&target.host, &target.path, &Method::GET) else { return };

    let Ok(forwarded) = forwarded_uri(&target, route, &uri) else { unreachable!("{matched} cannot be forwarded") };
    assert_eq!(forwarded.query(), uri.query(), "the query is not ours to change");
    let expected = match &route.strip_prefix {
        Some(prefix) => matched.strip_prefix(prefix.as_str()).filter(|rest| !rest.is_empty()).unwrap_or("/"),
        None => matched,
    };
    assert_eq!(forwarded.path(), expected, "{matched} was decided about");
    assert_eq!(CanonicalPath::parse(forwarded.path()).as_ref().map(CanonicalPath::as_str), Ok(expected));

    let routes = &CONFIG.sites[0].routes;
    for reading in lenient_readings(matched) {
        let other = winner(routes, &reading, &Method::GET).map(|other| &other.name);
        assert_eq!(other, Some(&route.name), "{matched} may be read as {reading}");
    }
}

/// Header fields, one on each line: nothing that only Usher may say comes through in any spelling, what else comes through
/// is as it was sent, and what Usher then says stands alone.
pub fn header_filter(input: &[u8]) {
    let mut sent = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            sent.append(name, value);
        }
    }
    for trusted in [false, true] {
        let mut headers = sent.clone();
        STRIPPER.strip(&mut headers, trusted);
        check_stripped(&sent, &headers, trusted);
        write_identity(headers);
    }
}

fn check_stripped(sent: &HeaderMap, stripped: &HeaderMap, trusted: bool) {
    for name in stripped.keys() {
        let folded = fold(name);
        assert_eq!(folded, name.as_str(), "an application folds names together");
        assert!(CONFIG.reserved_headers.iter().all(|reserved| fold(reserved) != folded), "{name} is forged");
        let is_among = |names: &[&str]| names.contains(&folded.as_str());
        let begins = |starts: &[&str]| starts.iter().any(|start| folded.starts_with(start));
        let is_never = is_among(&["proxy", "x-http-method", "x-http-method-override"])
            || begins(&["x-usher-", "x-original-", "x-rewrite-"]);
        assert!(!is_never, "{name} came through");
        let is_a_proxys = is_among(&["forwarded", "x-real-ip"]) || begins(&["x-forwarded", "x-envoy-", "cf-"]);
        assert!(trusted || !is_a_proxys, "{name} came through from anybody");
        assert!(stripped.get_all(name).iter().eq(sent.get_all(name)), "{name} has changed");
    }
    for name in sent.keys() {
        let is_ordinary = ["accept", "authorization", "cookie", "content-", "if-", "sec-", "user-"]
            .iter()
            .any(|start| name.as_str().starts_with(start));
        assert!(!is_ordinary || fold(name) != name.as_str() || stripped.contains_key(name), "{name} was lost");
    }
}

/// Law 5: what `Connection` names is the client's own, never what Usher writes afterwards.
fn write_identity(mut headers: HeaderMap) {
    hop_by_hop::remove_from_request(&mut headers);
    assert!(!headers.contains_key(CONNECTION));
    assert!(headers.get_all(TE).iter().all(|coding| coding == "trailers"));
    for name in headers.keys() {
        let is_ours = CONFIG.reserved_headers.contains(name);
        assert!(!is_ours && *name != "keep-alive" && *name != "upgrade" && *name != "transfer-encoding", "{name}");
    }
    for name in &CONFIG.reserved_headers {
        headers.insert(name, HeaderValue::from_static("alice"));
    }
    for reserved in &CONFIG.reserved_headers {
        let alike = headers.iter().filter(|(name, _)| fold(name) == fold(reserved));
        assert!(alike.map(|(_, value)| value).eq(["alice"]), "{reserved} is not Usher's alone");
    }
}

/// A name as an application server makes a variable of it.
fn fold(name: &HeaderName) -> String {
    let fold = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    name.as_str().chars().map(fold).collect()
}
