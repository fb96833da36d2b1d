//! Header names and values, methods.

use http::{HeaderName, HeaderValue, Method};

use super::super::Mistake;

/// Headers that belong to a connection (RFC 9110 §7.6.1) or to the framing of a message: nobody may set them by hand.
const FRAMING: [&str; 13] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Headers that Usher sets or reads itself. Without `Origin` and `Sec-Fetch-Site`, which say who made the browser send a
/// request, there would be no defence against other sites: what is stripped is gone before anything is read.
const TAKEN: [&str; 14] = [
    "authorization",
    "cookie",
    "forwarded",
    "origin",
    "proxy-authorization",
    "purpose",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-purpose",
    "set-cookie",
    "x-real-ip",
    "x-request-id",
    "x-usher-assertion",
];

/// Who the user is, as other gateways spell it: applications that stood behind one of them read these. No client and no proxy
/// gets them through, whether or not a site writes them; the other names that begin so say where a request came from.
const USER_OF_A_GATEWAY: [&str; 4] =
    ["x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username", "x-forwarded-user"];

/// A header name that passes every application server unchanged: letters, digits and hyphens (RFC 9110 allows more, but
/// `X_User` and `X-User` are one header to many of them).
pub(in crate::config::check) fn header_name(name: &str) -> Result<HeaderName, Mistake> {
    let mistake = || Mistake::new("is not a header name", "use letters, digits and hyphens only, as in X-User-Id");
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(mistake());
    }
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| mistake())?;
    if FRAMING.contains(&name.as_str()) {
        return Err(Mistake::new("is a header that frames the message", "use a name of your own, as in X-User-Id"));
    }
    Ok(name)
}

/// A header name that only Usher may say.
pub(in crate::config::check) fn identity_header_name(name: &str) -> Result<HeaderName, Mistake> {
    let name = header_name(name)?;
    let text = name.as_str();
    if TAKEN.contains(&text) || text.starts_with("x-forwarded-") && !USER_OF_A_GATEWAY.contains(&text) {
        return Err(Mistake::new("is a header with another meaning", "use a name of your own, as in X-User-Id"));
    }
    Ok(name)
}

/// A header value that nobody should see in a log.
pub(in crate::config::check) fn header_value(bytes: &[u8]) -> Result<HeaderValue, Mistake> {
    let mistake = |_| Mistake::new("cannot stand in a header", "take the control characters out");
    let mut value = HeaderValue::from_bytes(bytes).map_err(mistake)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A method, as clients write it.
pub(in crate::config::check) fn method(text: &str) -> Result<Method, Mistake> {
    if !text.is_empty() && text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(Mistake::new(
            "is not a method",
            format!("methods are upper case: write {}", text.to_ascii_uppercase()),
        ));
    }
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::TRACE | Method::CONNECT) => {
            Err(Mistake::new("is a method that Usher does not forward", "take TRACE and CONNECT out"))
        }
        Ok(method) => Ok(method),
        Err(_) => Err(Mistake::new("is not a method", "write GET, POST, PUT, …")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_an_application_could_fold_or_misread_are_refused() {
        for name in ["X-User-Id", "X-Forwarded-User", "X-Forwarded-Preferred-Username"] {
            assert!(identity_header_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "X_User",
            "x.user",
            "X User",
            ":authority",
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "connection",
            "Cookie",
            "AUTHORIZATION",
            "X-Forwarded-For",
            "X-Forwarded-Access-Token",
            "Upgrade",
            "X-Usher-Assertion",
            "Origin",
            "Sec-Fetch-Site",
            "X-Request-Id",
            "ü",
        ] {
            assert!(identity_header_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn methods_are_upper_case_and_neither_trace_nor_connect() {
        assert!(method("GET").is_ok() && method("PROPFIND").is_ok());
        for name in ["", "get", "Get", "TRACE", "CONNECT", "G T"] {
            assert!(method(name).is_err(), "{name}");
        }
    }

    #[test]
    fn values_are_sensitive() {
        assert_eq!(format!("{:?}", header_value(b"canary").unwrap()), "Sensitive");
        assert!(header_value(b"a\nb").is_err());
    }
}
