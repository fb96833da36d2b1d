//! Which header fields of a request never reach the application, whoever sends them (law 1).
//!
//! Done before anything reads a header, on every route, and on trailers too. What remains has names of letters, digits
//! and `-` only, so that no two of them become one variable where an application server folds names together (CGI, WSGI
//! and their kin turn `X-User`, `X_User` and `x.user` into `HTTP_X_USER`). This module does *not* remove hop-by-hop
//! fields, nor write any.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName};

/// Names that change what was decided, or that only Usher may say. Dropped from everybody, a trusted proxy included: a
/// load balancer vouches for where a request came from, and passes on unread what else the client wrote.
mod never {
    /// `Proxy` becomes `HTTP_PROXY` in a CGI application's environment, and its own requests go there (httpoxy). The
    /// others make an application treat a request as one with another method or another target than was authorised:
    /// the decision would have been about a `GET`, and a `DELETE` be carried out. The last five say who the user is, as
    /// other gateways spell it; they look like a proxy's, but no load balancer writes them or takes them out.
    pub(super) const NAMES: [&str; 12] = [
        "proxy",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-http-path-override",
        "x-http-host-override",
        "x-host",
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
        "x-forwarded-access-token",
    ];
    /// `X-Original-URL` and `X-Rewrite-URL` replace the path in several frameworks.
    pub(super) const PREFIXES: [&str; 3] = ["x-usher-", "x-original-", "x-rewrite-"];
}

/// Names with which a proxy says who its client was, how it connected, and for what host. Dropped unless the peer is one
/// of `trusted_proxies`.
mod by_proxies {
    pub(super) const NAMES: [&str; 27] = [
        "forwarded",
        "forwarded-for",
        "x-real-ip",
        "x-real-port",
        "true-client-ip",
        "client-ip",
        "x-client-ip",
        "x-client-addr",
        "x-cluster-client-ip",
        "x-originating-ip",
        "x-proxyuser-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "proxy-client-ip",
        "http-client-ip",
        "x-remote-ip",
        "x-remote-addr",
        "x-appengine-user-ip",
        "x-scheme",
        "x-url-scheme",
        "front-end-https",
        // A certificate that was checked where TLS ended (RFC 9440 §2.4).
        "client-cert",
        "client-cert-chain",
        "x-arr-clientcert",
        // Where a server in between may read files from (Rack).
        "x-sendfile-type",
        "x-azure-clientip",
        "x-azure-socketip",
    ];
    pub(super) const PREFIXES: [&str; 11] = [
        "x-forwarded",
        "x-envoy-",
        "x-accel-",
        "x-ssl-",
        "cf-",
        "wl-proxy-",
        // The same certificate, as other gateways spell it.
        "ssl-client-",
        "x-client-cert",
        "x-client-verify",
        "x-amzn-mtls-",
        "x-tls-client-",
    ];
}

/// Drops what a client may not say.
#[derive(Debug)]
pub(crate) struct Stripper {
    reserved: HashSet<HeaderName>,
    /// One bit for each length of a reserved name (all beyond 63 share one): most names are not looked up at all.
    lengths: u64,
}

impl Stripper {
    /// `reserved`: every identity header and `strip_headers` of every site. A name that an application would fold
    /// together with a reserved one is reserved as well: `X_Role` in the configuration keeps `X-Role` out.
    pub(crate) fn new(reserved: &[HeaderName]) -> Self {
        let reserved: HashSet<_> = reserved.iter().cloned().chain(reserved.iter().filter_map(fold)).collect();
        let lengths = reserved.iter().fold(0, |lengths, name| lengths | length_bit(name.as_str()));
        Self { reserved, lengths }
    }

    /// Drops from a request's headers, or its trailers, every line of a field that this peer may not say. Looks at each
    /// name once, and allocates only when there is something to drop.
    pub(crate) fn strip(&self, headers: &mut HeaderMap, peer_trusted: bool) {
        let refused: Vec<HeaderName> =
            headers.keys().filter(|name| !self.may_pass(name, peer_trusted)).cloned().collect();
        for name in refused {
            headers.remove(name);
        }
    }

    /// The first field that would make an application believe what only Usher may say, whoever sends it, and whatever the
    /// spelling: what is taken off where a request passes, and has to be refused where it does not. `overwritten` are the
    /// fields whose exact names are none, because another value takes their place.
    pub(crate) fn impostor<'h>(&self, headers: &'h HeaderMap, overwritten: &[HeaderName]) -> Option<&'h HeaderName> {
        let is_reserved = |name: &HeaderName| {
            self.reserved.contains(name)
                || never::NAMES.contains(&name.as_str())
                || never::PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
        };
        let is_by_proxies = |name: &HeaderName| {
            by_proxies::NAMES.contains(&name.as_str())
                || by_proxies::PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
        };
        let is_impostor = |name: &HeaderName| {
            // What the proxy itself says is its own, but nobody says it in another spelling.
            let is_forged = |folded: HeaderName| is_reserved(&folded) || folded != *name && is_by_proxies(&folded);
            is_reserved(name) || fold(name).is_none_or(is_forged)
        };
        headers.keys().find(|name| !overwritten.contains(name) && is_impostor(name))
    }

    fn may_pass(&self, name: &HeaderName, peer_trusted: bool) -> bool {
        let text = name.as_str();
        if self.lengths & length_bit(text) != 0 && self.reserved.contains(name) {
            return false;
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return false;
        }
        let among = |names: &[&str], prefixes: &[&str]| {
            names.contains(&text) || prefixes.iter().any(|prefix| text.starts_with(prefix))
        };
        // Nothing of the lists begins otherwise, and ordinary fields mostly do.
        if !text.starts_with(['c', 'f', 'h', 'p', 's', 't', 'w', 'x']) {
            return true;
        }
        !among(&never::NAMES, &never::PREFIXES) && (peer_trusted || !among(&by_proxies::NAMES, &by_proxies::PREFIXES))
    }
}

/// The name as an application might read it that folds names together.
fn fold(name: &HeaderName) -> Option<HeaderName> {
    let folded: String =
        name.as_str().chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    HeaderName::try_from(folded).ok()
}

fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn stripper() -> Stripper {
        Stripper::new(&["x-user", "x-groups", "remote_user"].map(HeaderName::from_static))
    }

    fn map(names: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("forged"));
        }
        headers
    }

    fn passes(name: &str, peer_trusted: bool) -> bool {
        let mut headers = map(&[name]);
        stripper().strip(&mut headers, peer_trusted);
        !headers.is_empty()
    }

    #[test]
    fn what_only_usher_may_say_is_dropped_from_everybody() {
        for name in [
            "X-User",
            "x-user",
            "X-USER",
            "X-Groups",
            "X-Usher-Assertion",
            "X-Usher-Anything",
            "Remote-User",
            "Proxy",
            "X-Original-URL",
            "X-Original-URI",
            "X-Rewrite-URL",
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
            "X-HTTP-Host-Override",
            "X-Forwarded-User",
            "X-Forwarded-Groups",
        ] {
            assert!(!passes(name, false), "{name}");
            assert!(!passes(name, true), "{name}");
        }
    }

    #[test]
    fn no_spelling_that_an_application_could_fold_together_passes() {
        for name in ["X_User", "x_user", "X-User_", "X_USER", "x.user", "x~user", "x'user", "x!user", "a_b", "_", "X*Y"]
        {
            assert!(!passes(name, false), "{name}");
            assert!(!passes(name, true), "{name}");
        }
    }

    #[test]
    fn what_a_proxy_says_is_believed_of_trusted_peers_only() {
        for name in [
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "X-Forwarded-Port",
            "X-Forwarded-Uri",
            "X-Forwarded-Method",
            "X-Forwarded-Prefix",
            "X-Forwarded-Ssl",
            "X-Forwarded",
            "Forwarded",
            "X-Real-IP",
            "True-Client-IP",
            "CF-Connecting-IP",
            "X-Client-IP",
            "Client-IP",
            "X-Cluster-Client-IP",
            "X-Envoy-Original-Path",
            "X-Accel-Mapping",
            "Client-Cert",
            "X-SSL-Client-Verify",
            "SSL-Client-Cert",
            "SSL-Client-S-DN",
            "X-Client-Cert",
            "X-Client-Verify",
            "X-ARR-ClientCert",
            "X-Amzn-Mtls-Clientcert-Subject",
            "X-TLS-Client-Cert",
            "WL-Proxy-Client-IP",
            "Front-End-Https",
        ] {
            assert!(!passes(name, false), "{name}");
            assert!(passes(name, true), "{name}");
        }
    }

    #[test]
    fn ordinary_fields_pass_untouched() {
        let names = [
            "host",
            "accept",
            "accept-encoding",
            "authorization",
            "cookie",
            "content-type",
            "content-length",
            "connection",
            "user-agent",
            "origin",
            "sec-fetch-mode",
            "sec-websocket-key",
            "te",
            "trailer",
            "upgrade",
            "via",
            "x-requested-with",
            "x-csrf-token",
            "x-request-id",
            "x-user-agent",
            "proxy-authorization",
            "traceparent",
            "if-none-match",
            "grpc-timeout",
            "x-client-info",
        ];
        let mut headers = map(&names);
        stripper().strip(&mut headers, false);
        assert_eq!(headers, map(&names));
    }

    #[test]
    fn an_impostor_is_found_in_every_spelling_but_those_that_are_overwritten() {
        let overwritten = ["x-user", "x-groups", "remote_user"].map(HeaderName::from_static);
        let impostor = |name: &str| {
            stripper().impostor(&map(&["accept", name, "x-forwarded-for"]), &overwritten).map(ToString::to_string)
        };
        for name in ["x_user", "x.user", "x-groups_", "remote-user", "x-usher-a", "x_usher_a", "proxy", "x_http.method"]
            .into_iter()
            .chain(["x_forwarded_for", "x-real_ip", "forwarded-for_", "cf_connecting_ip"])
        {
            let folds_to_one = !matches!(name, "x-groups_" | "forwarded-for_");
            assert_eq!(impostor(name).as_deref(), folds_to_one.then_some(name));
        }
        for name in ["x-user", "remote_user", "my_field", "x-forwarded-uri", "x-real-ip", "cookie"] {
            assert_eq!(impostor(name), None);
        }
    }

    #[test]
    fn every_line_of_a_field_is_dropped() {
        let mut headers = map(&["x-user", "accept", "X-User", "x_user", "cookie", "x-user"]);
        stripper().strip(&mut headers, false);
        assert_eq!(headers, map(&["accept", "cookie"]));
    }

    #[test]
    fn a_long_reserved_name_is_reserved() {
        let name = HeaderName::try_from(format!("x-{}", "a".repeat(100))).unwrap();
        let mut headers = map(&[name.as_str()]);
        Stripper::new(&[name]).strip(&mut headers, true);
        assert!(headers.is_empty());
    }

    #[test]
    fn every_listed_name_is_reached() {
        for name in never::NAMES.iter().chain(&by_proxies::NAMES) {
            assert!(!passes(name, false), "{name}");
        }
        for prefix in never::PREFIXES.iter().chain(&by_proxies::PREFIXES) {
            assert!(!passes(&format!("{}x", prefix.trim_end_matches('-').to_owned() + "-"), false), "{prefix}");
        }
    }

    proptest! {
        #[test]
        fn no_name_that_folds_to_a_reserved_one_passes(
            mask in any::<u16>(),
            separators in prop::collection::vec("[-_.~!*+'^`|$&#%]", 2),
            trusted in any::<bool>(),
        ) {
            let reserved = ["x", "user", "id"];
            let spelt = format!("{}{}{}{}{}", reserved[0], separators[0], reserved[1], separators[1], reserved[2]);
            let cased: String = spelt
                .chars()
                .enumerate()
                .map(|(index, letter)| if mask >> index & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
                .collect();
            let mut headers = map(&[&cased]);
            Stripper::new(&[HeaderName::from_static("x-user-id")]).strip(&mut headers, trusted);
            prop_assert!(headers.is_empty(), "{}", cased);
        }
    }
}
