//! What may stand in a trailer section.
//!
//! Trailers arrive after every decision about the message was made, and some servers merge them into the headers. So
//! nothing passes there that frames, routes, authenticates or caches a message (RFC 9110 §6.5.1).

use http::{HeaderMap, HeaderName, header};

const FORBIDDEN: [HeaderName; 34] = [
    header::ACCEPT_RANGES,
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LOCATION,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VARY,
    header::WWW_AUTHENTICATE,
];

/// Removes what may not stand in a trailer section.
pub(super) fn sanitize(trailers: &mut HeaderMap) {
    for name in &FORBIDDEN {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn status_trailers_pass_and_fields_that_decide_do_not() {
        let mut trailers = HeaderMap::new();
        for name in ["grpc-status", "server-timing", "set-cookie", "content-length", "authorization"] {
            trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        sanitize(&mut trailers);
        assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status", "server-timing"]);
    }
}
