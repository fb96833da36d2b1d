//! What kind of request this is: it decides the form of a refusal, and whether a token may be spent for it.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::auth::origin;

const PURPOSE: HeaderName = HeaderName::from_static("purpose");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// The kind of a request, from its method and headers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestKind {
    /// A person looks at what comes back: pages and redirects, not JSON.
    pub(super) navigation: bool,
    /// The request has a right to spend the refresh token (R13): not a prefetch, not a `HEAD`, and from another site only
    /// when the user navigates here.
    pub(super) may_renew: bool,
}

impl RequestKind {
    /// Looks at a request.
    ///
    /// A navigation says so in Fetch Metadata; without them, it is a GET that prefers HTML. A prefetch, when the browser
    /// guesses that the user might want this next, is none; neither is a frame, which could not sign in.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let prefetch = [SEC_PURPOSE, PURPOSE].iter().any(|name| is_prefetch(headers.get(name)));
        let framed = || {
            let within = ["iframe", "frame", "embed", "object"];
            headers.get(SEC_FETCH_DEST).is_some_and(|dest| within.iter().any(|frame| dest == frame))
        };
        let navigates = match headers.get(SEC_FETCH_MODE) {
            Some(mode) => mode == "navigate" && !framed(),
            None => *method == Method::GET && !headers.contains_key(X_REQUESTED_WITH) && prefers_html(headers),
        };
        let navigation = navigates && !prefetch;
        let may_renew = !prefetch && *method != Method::HEAD && (navigation || !origin::is_cross_site(headers));
        Self { navigation, may_renew }
    }
}

fn is_prefetch(purpose: Option<&HeaderValue>) -> bool {
    let word = b"prefetch";
    purpose.is_some_and(|value| value.as_bytes().windows(word.len()).any(|window| window.eq_ignore_ascii_case(word)))
}

/// Whether `Accept` names HTML before anything else that it names with full weight. `*/*` alone prefers nothing.
fn prefers_html(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(ACCEPT).and_then(|value| value.to_str().ok()) else { return false };
    let Some(first) = accept.split(',').next() else { return false };
    let media_type = first.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("text/html") || media_type.eq_ignore_ascii_case("application/xhtml+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(method: &Method, lines: &[(&'static str, &'static str)]) -> RequestKind {
        let headers =
            lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        RequestKind::of(method, &headers)
    }

    #[test]
    fn fetch_metadata_decides_where_it_is_there() {
        assert!(kind(&Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]).navigation);
        assert!(kind(&Method::POST, &[("sec-fetch-mode", "navigate")]).navigation);
        assert!(!kind(&Method::GET, &[("sec-fetch-mode", "cors"), ("accept", "text/html")]).navigation);
        assert!(!kind(&Method::GET, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]).navigation);
    }

    #[test]
    fn without_fetch_metadata_a_get_that_prefers_html_is_a_navigation() {
        assert!(kind(&Method::GET, &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]).navigation);
        for headers in [
            &[("accept", "*/*")][..],
            &[("accept", "application/json, text/html")],
            &[],
            &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")],
        ] {
            assert!(!kind(&Method::GET, headers).navigation, "{headers:?}");
        }
        assert!(!kind(&Method::POST, &[("accept", "text/html")]).navigation);
    }

    #[test]
    fn a_prefetch_is_no_navigation_and_spends_nothing() {
        for header in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")] {
            let kind = kind(&Method::GET, &[header, ("sec-fetch-mode", "navigate")]);
            assert!(!kind.navigation && !kind.may_renew);
        }
    }

    #[test]
    fn head_and_cross_site_subresources_spend_nothing() {
        assert!(!kind(&Method::HEAD, &[]).may_renew);
        assert!(!kind(&Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]).may_renew);
        assert!(kind(&Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]).may_renew);
        assert!(kind(&Method::POST, &[]).may_renew);
    }
}
